"""The small pure parts of the room: ids in order, titles, the longer of two memories, queued requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import ImagePart, Part, ReasoningAdded, ReasoningPart, TextAdded, TextPart, ToolUsed, TurnEvent
from core.kit.ids import MessageId, ModelName, looks_like, new_id
from core.turns import store
from core.turns.order import new_id_after
from core.turns.recovering import longer
from core.turns.titles import title_of
from core.turns.types import Ask, Kind


def test_ids_made_one_after_another_sort_so() -> None:
    last: str | None = None
    for _ in range(2000):
        fresh = new_id_after("turn", last)
        assert looks_like("turn", fresh)
        assert last is None or fresh > last
        last = fresh


def test_a_clock_that_went_back_does_not_jump_the_queue() -> None:
    ahead = "turn_7" + "z" * 25
    with pytest.raises(AssertionError):
        assert new_id("turn") > ahead
    ahead = "turn_7" + "0" * 24 + "z"
    assert new_id_after("turn", ahead) == "turn_7" + "0" * 23 + "10"


@pytest.mark.parametrize(
    ("parts", "title"),
    [
        ((TextPart("Hello there"),), "Hello there"),
        ((TextPart("  line one\n line two "),), "line one line two"),
        ((TextPart("x" * 100),), "x" * 40),
        ((TextPart("👨‍👩‍👧‍👦" * 50),), "👨‍👩‍👧‍👦" * (200 // 7)),
        ((TextPart("é" * 50),), "é" * 40),
        ((TextPart("word " * 20),), ("word " * 8).rstrip()),
        ((ImagePart("data:,"),), ""),
        ((TextPart("\0\n"),), ""),
    ],
)
def test_a_title_is_the_beginning_of_the_question(parts: tuple[Part, ...], title: str) -> None:
    assert title_of(parts, 40) == title


@pytest.mark.parametrize(
    ("parts", "events", "text"),
    [
        ((), [], ""),
        ((TextPart("abc"),), [TextAdded(0, "abc")], "abc"),
        ((TextPart("abc"),), [TextAdded(0, "abcde")], "abcde"),
        ((TextPart("abc"),), [TextAdded(3, "d"), ToolUsed("f"), TextAdded(4, "e")], "abcde"),
        ((), [TextAdded(0, "ab"), TextAdded(2, "c")], "abc"),
        ((TextPart("abc"),), [TextAdded(5, "f"), TextAdded(3, "de")], "abc"),
        ((TextPart("abcdef"),), [TextAdded(0, "abc")], "abcdef"),
    ],
)
def test_events_make_a_checkpoint_longer_never_shorter(
    parts: tuple[Part, ...], events: list[TurnEvent], text: str
) -> None:
    grown = longer(parts, events)
    assert "".join(part.text for part in grown if isinstance(part, TextPart)) == text


def test_thoughts_and_words_stay_in_their_order() -> None:
    events = [ReasoningAdded(2, "mm"), TextAdded(0, "yes"), ReasoningAdded(4, "!")]
    assert longer((ReasoningPart("hm"),), events) == (ReasoningPart("hmmm"), TextPart("yes"), ReasoningPart("!"))


@given(st.text(), st.integers(0, 50), st.integers(1, 7))
def test_any_checkpoint_and_the_whole_log_make_the_whole_text(text: str, stored: int, piece: int) -> None:
    events = [TextAdded(at, text[at : at + piece]) for at in range(0, len(text), piece)]
    parts = (TextPart(text[:stored]),) if text[:stored] else ()
    grown = longer(parts, events)
    assert "".join(part.text for part in grown if isinstance(part, TextPart)) == text


@pytest.mark.parametrize(
    "ask",
    [
        Ask(Kind.ASK, (TextPart("hi"), ImagePart("data:,", "low")), speaker="Ann", model=ModelName("m")),
        Ask(Kind.ASK, (TextPart("hi"),), at_head=False, parent=None),
        Ask(Kind.RETRY, at_head=False, question=MessageId("msg_1"), wish=ModelName("w")),
    ],
)
def test_a_waiting_request_is_remembered_whole(ask: Ask) -> None:
    assert store.load_ask(store.dump_ask(ask)) == ask
