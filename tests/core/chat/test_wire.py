"""Whatever the house says over a wire comes back the same; what it does not know is refused."""

from __future__ import annotations

import dataclasses
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import (
    AccountEvent,
    Action,
    FinishReason,
    Message,
    Notice,
    Part,
    Role,
    Snapshot,
    TextAdded,
    TextPart,
    TurnEvent,
    Usage,
    Verb,
    wire,
)
from core.kit.ids import ConversationId, LinkId, MessageId, ModelName, TurnId

counts = st.integers(0, 2**53 - 1)
params = st.dictionaries(st.text(), st.one_of(st.text(), counts, st.floats(allow_nan=False, allow_infinity=False)))
texts = st.text()
for name in (ConversationId, MessageId, LinkId, ModelName, TurnId):
    st.register_type_strategy(name, texts)
st.register_type_strategy(int, counts)
actions = st.builds(Action, st.sampled_from(Verb), texts)
usages = st.builds(Usage)
parts = st.one_of(*(st.builds(kind) for kind in get_args(Part)))
messages = st.builds(Message, st.sampled_from(Role), st.lists(parts, max_size=3).map(tuple), st.none() | texts)


def of(kind: type) -> st.SearchStrategy:
    special = {
        "params": params,
        "offers": st.lists(actions, max_size=2).map(tuple),
        "usage": usages,
        "reason": st.sampled_from(FinishReason),
        "message": messages,
    }
    names = {field.name for field in dataclasses.fields(kind)}
    return st.builds(kind, **{name: strategy for name, strategy in special.items() if name in names})


def over_the_wire(document: wire.Document) -> object:
    return orjson.loads(orjson.dumps(document))


@given(parts)
def test_a_part_comes_back(part: Part) -> None:
    assert wire.load_part(over_the_wire(wire.dump_part(part))) == part


@given(messages)
def test_a_message_comes_back(message: Message) -> None:
    assert wire.load_message(over_the_wire(wire.dump_message(message))) == message


@pytest.mark.parametrize("kind", get_args(TurnEvent), ids=lambda kind: kind.__name__)
def test_each_turn_event_comes_back(kind: type) -> None:
    @given(of(kind))
    def check(event: TurnEvent) -> None:
        assert wire.load_event(over_the_wire(wire.dump_event(event))) == event

    check()


@pytest.mark.parametrize("kind", get_args(AccountEvent), ids=lambda kind: kind.__name__)
def test_each_account_event_comes_back(kind: type) -> None:
    @given(of(kind))
    def check(event: AccountEvent) -> None:
        assert wire.load_account_event(over_the_wire(wire.dump_account_event(event))) == event

    check()


@pytest.mark.parametrize("kind", [*get_args(TurnEvent), *get_args(AccountEvent)], ids=lambda kind: kind.__name__)
def test_the_kind_is_the_class_name_in_snake_case(kind: type) -> None:
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip("_")
    assert snake in (wire._EVENTS if kind in get_args(TurnEvent) else wire._ACCOUNT_EVENTS)


@given(actions)
def test_an_action_comes_back(action: Action) -> None:
    assert wire.load_action(over_the_wire(wire.dump_action(action))) == action


def test_the_published_form_stays() -> None:
    assert wire.dump_event(TextAdded(3, "hé")) == {"type": "text_added", "offset": 3, "text": "hé"}
    assert wire.dump_event(Notice("queued", {"position": 2})) == {
        "type": "notice",
        "code": "queued",
        "params": {"position": 2},
    }
    assert wire.dump_event(Snapshot(Message(Role.ASSISTANT, (TextPart("hi"),)), 7)) == {
        "type": "snapshot",
        "message": {"role": "assistant", "parts": [{"type": "text", "text": "hi"}]},
        "seq": 7,
    }
    assert wire.dump_action(Action(Verb.RETRY, "turn_1")) == {"verb": "retry", "target": "turn_1"}


def test_fields_of_later_versions_are_ignored() -> None:
    assert wire.load_part({"type": "text", "text": "a", "colour": "red"}) == TextPart("a")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"type": "hologram"},
        {"type": "text"},
        {"type": "text", "text": 5},
        {"type": "text", "text": "a", "v": 2},
    ],
)
def test_an_unknown_form_is_refused(document: object) -> None:
    with pytest.raises(wire.WireError):
        wire.load_part(document)
    with pytest.raises(wire.WireError):
        wire.load_event(document)
    with pytest.raises(wire.WireError):
        wire.load_message(document)


def test_half_an_emoji_is_mended_and_a_whole_one_kept() -> None:
    assert wire.well_formed("a\ud83d!") == "a\ufffd!"
    assert wire.well_formed("a\ud83d\ude00!") == "a😀!"
    assert wire.decode(wire.encode({"a": ["x\ud83d", "é"]})) == {"a": ["x\ufffd", "é"]}


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(wire.WireError):
        wire.decode("{")


def test_a_parameter_may_be_called_like_the_version() -> None:
    event = Notice("queued", {"v": ""})
    assert wire.load_event(wire.decode(wire.encode(wire.dump_event(event)))) == event
