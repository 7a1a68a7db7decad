"""Deltas: the smallest things an adapter reports, in the order of arrival."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.chat.usage import Usage


class FinishReason(StrEnum):
    """Why an answer ended. The first group comes from upstreams, the second from us."""

    STOP = "stop"
    LENGTH = "length"
    TOOL = "tool"
    FILTER = "filter"
    REFUSAL = "refusal"
    OTHER = "other"

    STOPPED = "stopped"
    """A person pressed Stop; what came is kept and paid."""
    INTERRUPTED = "interrupted"
    """The process or the upstream ended in mid-answer; what came is kept and paid."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call; `id` and `name` come once, `arguments` in pieces by `index`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ImageDelta:
    """A picture the model made, by URL or `data:` URL."""

    url: str


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """What the upstream says was consumed so far; the last one wins, they are never summed."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finish:
    """The family's own end sign was seen. Always last; a stream without one was cut."""

    reason: FinishReason


Delta = TextDelta | ReasoningDelta | ToolCallDelta | ImageDelta | UsageDelta | Finish


def is_visible(delta: Delta) -> bool:
    """Whether this delta commits the answer to its channel: text, thinking, a tool call or a picture."""
    match delta:
        case TextDelta(text) | ReasoningDelta(text):
            return text != ""
        case ToolCallDelta() | ImageDelta():
            return True
        case _:
            return False
