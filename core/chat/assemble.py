"""The assembler: deltas as they come become the parts of one answer.

Text and reasoning that follow each other join; a change of kind opens a new part, so the order of thinking and
speaking is kept. Pieces of a tool call join by index wherever they stand. Some upstreams repeat index 0 for every
call: another id under a known index is therefore another call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from core.chat.deltas import (
    Delta,
    Finish,
    FinishReason,
    ImageDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageDelta,
)
from core.chat.parts import ImagePart, Part, ReasoningPart, TextPart, ToolCallPart
from core.chat.usage import Usage


@dataclass(slots=True)
class _Words:
    reasoning: bool
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _ToolCall:
    index: int
    id: str | None = None
    name: str = ""
    pieces: list[str] = field(default_factory=list)


class Assembler:
    """Collects the deltas of one answer; read it at any time."""

    def __init__(self) -> None:
        self._order: list[_Words | _ToolCall | ImagePart] = []
        self.text_length = 0
        """Code points of answer text so far: the offset of the next `TextAdded`."""
        self.reasoning_length = 0
        """Code points of reasoning so far: the offset of the next `ReasoningAdded`."""
        self.usage: Usage | None = None
        """The last usage reported; None while there was none."""
        self.finish: FinishReason | None = None
        """How the stream said it ended; None while it did not."""

    def feed(self, delta: Delta) -> None:
        """Take the next delta."""
        match delta:
            case TextDelta(text):
                self.text_length += len(text)
                self._say(text, reasoning=False)
            case ReasoningDelta(text):
                self.reasoning_length += len(text)
                self._say(text, reasoning=True)
            case ToolCallDelta():
                self._call(delta)
            case ImageDelta(url):
                self._order.append(ImagePart(url))
            case UsageDelta(usage):
                self.usage = usage
            case Finish(reason):
                self.finish = reason
            case _:
                assert_never(delta)

    def parts(self) -> tuple[Part, ...]:
        """The answer so far; a tool call without a name yet is left out."""
        parts: list[Part] = []
        for each in self._order:
            match each:
                case _Words(reasoning, pieces):
                    text = "".join(pieces)
                    parts.append(ReasoningPart(text) if reasoning else TextPart(text))
                case _ToolCall(index, call, name, pieces):
                    if name:
                        parts.append(ToolCallPart(call or f"call_{index}", name, "".join(pieces)))
                case ImagePart():
                    parts.append(each)
        return tuple(parts)

    def produced(self) -> str:
        """Everything the model wrote, thinking and arguments included: what an estimate of its output counts."""
        pieces: list[str] = []
        for each in self._order:
            match each:
                case _Words():
                    pieces += each.pieces
                case _ToolCall():
                    pieces += (each.name, *each.pieces)
                case ImagePart():
                    pass
        return "".join(pieces)

    @property
    def is_empty(self) -> bool:
        """Whether nothing came that a person could see."""
        return not self._order

    def _say(self, text: str, *, reasoning: bool) -> None:
        if text == "":
            return
        last = self._order[-1] if self._order else None
        if not isinstance(last, _Words) or last.reasoning != reasoning:
            last = _Words(reasoning)
            self._order.append(last)
        last.pieces.append(text)

    def _call(self, delta: ToolCallDelta) -> None:
        known = next(
            (each for each in reversed(self._order) if isinstance(each, _ToolCall) and each.index == delta.index), None
        )
        if known is None or (delta.id and known.id and known.id != delta.id):
            known = _ToolCall(delta.index)
            self._order.append(known)
        known.id = known.id or delta.id or None
        known.name = known.name or delta.name or ""
        known.pieces.append(delta.arguments)
