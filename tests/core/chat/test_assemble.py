"""Deltas become parts, whatever their order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import (
    Delta,
    Finish,
    FinishReason,
    ImageDelta,
    ImagePart,
    Part,
    ReasoningDelta,
    ReasoningPart,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    UsageDelta,
)
from core.chat.assemble import Assembler


def fed(*deltas: Delta) -> Assembler:
    assembler = Assembler()
    for delta in deltas:
        assembler.feed(delta)
    return assembler


@pytest.mark.parametrize(
    ("deltas", "parts"),
    [
        ([], ()),
        ([TextDelta("Hel"), TextDelta(""), TextDelta("lo")], (TextPart("Hello"),)),
        ([TextDelta("")], ()),
        (
            [ReasoningDelta("hm"), TextDelta(""), ReasoningDelta("m"), TextDelta("yes")],
            (ReasoningPart("hmm"), TextPart("yes")),
        ),
        (
            [TextDelta("a"), ReasoningDelta("b"), TextDelta("c")],
            (TextPart("a"), ReasoningPart("b"), TextPart("c")),
        ),
        (
            [
                ToolCallDelta(0, "call_a", "weather", '{"ci'),
                ToolCallDelta(1, "call_b", "time"),
                TextDelta("wait"),
                ToolCallDelta(0, arguments='ty": 1}'),
                ToolCallDelta(1, arguments="{}"),
            ],
            (
                ToolCallPart("call_a", "weather", '{"city": 1}'),
                ToolCallPart("call_b", "time", "{}"),
                TextPart("wait"),
            ),
        ),
        (
            [ToolCallDelta(0, "call_a", "one", "{}"), ToolCallDelta(0, "call_b", "two", "{}")],
            (ToolCallPart("call_a", "one", "{}"), ToolCallPart("call_b", "two", "{}")),
        ),
        ([ToolCallDelta(2, None, "f", "{}")], (ToolCallPart("call_2", "f", "{}"),)),
        ([ToolCallDelta(0, "call_a", None, "{")], ()),
        (
            [TextDelta("see "), ImageDelta("https://x.example/a.png"), TextDelta("!")],
            (TextPart("see "), ImagePart("https://x.example/a.png"), TextPart("!")),
        ),
    ],
)
def test_deltas_become_parts(deltas: list[Delta], parts: tuple[Part, ...]) -> None:
    assert fed(*deltas).parts() == parts


def test_the_last_usage_and_the_finish_are_kept() -> None:
    assembler = fed(UsageDelta(Usage(1, 1)), UsageDelta(Usage(3, 4)), Finish(FinishReason.LENGTH))
    assert assembler.usage == Usage(3, 4)
    assert assembler.finish is FinishReason.LENGTH
    assert assembler.is_empty


def test_what_was_produced_includes_thinking_and_arguments() -> None:
    assembler = fed(ReasoningDelta("think "), TextDelta("say "), ToolCallDelta(0, "x", "run", "{}"))
    assert assembler.produced() == "think say run{}"


@given(st.lists(st.builds(TextDelta, st.text()) | st.builds(ReasoningDelta, st.text())))
def test_no_word_is_lost_and_offsets_count_code_points(deltas: list[Delta]) -> None:
    assembler = fed(*deltas)
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    reasoning = "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
    assert "".join(part.text for part in assembler.parts() if isinstance(part, TextPart)) == text
    assert "".join(part.text for part in assembler.parts() if isinstance(part, ReasoningPart)) == reasoning
    assert (assembler.text_length, assembler.reasoning_length) == (len(text), len(reasoning))
