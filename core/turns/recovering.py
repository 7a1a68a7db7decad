"""The longer of two memories, pure: a checkpointed answer, made longer by the events that came after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.chat import Part, ReasoningAdded, ReasoningPart, TextAdded, TextPart, TurnEvent


def longer(parts: Sequence[Part], events: Iterable[TurnEvent]) -> tuple[Part, ...]:
    """The parts with all text that the events add at their end; an event beyond a hole ends it."""
    grown = list(parts)
    text = sum(len(part.text) for part in grown if isinstance(part, TextPart))
    thought = sum(len(part.text) for part in grown if isinstance(part, ReasoningPart))
    for event in events:
        match event:
            case TextAdded(offset, added):
                if offset > text:
                    break
                more = added[text - offset :]
                text += len(more)
                _add(grown, more, reasoning=False)
            case ReasoningAdded(offset, added):
                if offset > thought:
                    break
                more = added[thought - offset :]
                thought += len(more)
                _add(grown, more, reasoning=True)
            case _:
                pass
    return tuple(grown)


def _add(parts: list[Part], more: str, *, reasoning: bool) -> None:
    if not more:
        return
    last = parts[-1] if parts else None
    if reasoning and isinstance(last, ReasoningPart):
        parts[-1] = ReasoningPart(last.text + more, last.state)
    elif not reasoning and isinstance(last, TextPart):
        parts[-1] = TextPart(last.text + more)
    else:
        parts.append(ReasoningPart(more) if reasoning else TextPart(more))
