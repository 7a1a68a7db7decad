"""How a turn ends, pure: the outcome, what it offers next, and the event that tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.chat import (
    Action,
    Failed,
    Finished,
    FinishReason,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    Usage,
    Verb,
)
from core.conversations import MessageState
from core.kit.errors import AppError, UpstreamFailed
from core.kit.ids import TurnId
from core.turns.types import TurnError, TurnState

INTERRUPTED = TurnError("interrupted")
"""The process that wrote the answer ended."""
TIMED_OUT = TurnError("turn_timeout")
CUT = TurnError("answer_cut")
"""The upstream ended in mid-answer."""
EMPTY = TurnError("answer_empty")
INTERNAL = TurnError("internal")


@dataclass(frozen=True, slots=True)
class Outcome:
    """State, reason and error of an ended turn."""

    state: TurnState
    finish: FinishReason | None
    error: TurnError | None = None


def finished(reason: FinishReason, parts: Sequence[Part]) -> Outcome:
    """The upstream said it is done; a whole answer without anything in it is a failure unless it was withheld."""
    if not parts and reason not in (FinishReason.FILTER, FinishReason.REFUSAL):
        return Outcome(TurnState.FAILED, None, EMPTY)
    return Outcome(TurnState.DONE, reason)


def stopped() -> Outcome:
    """A person pressed Stop."""
    return Outcome(TurnState.STOPPED, FinishReason.STOPPED)


def failed(error: TurnError, parts: Sequence[Part]) -> Outcome:
    """It broke; what came before is kept."""
    return Outcome(TurnState.FAILED, FinishReason.INTERRUPTED if parts else None, error)


def explained(error: BaseException, parts: Sequence[Part], *, from_upstream: bool) -> TurnError:
    """What an exception means to the asker. After words, whatever an upstream did is a cut."""
    if parts and (from_upstream or isinstance(error, UpstreamFailed)):
        return CUT
    if isinstance(error, AppError):
        return TurnError(error.code, error.params)
    return TurnError("upstream_failed") if from_upstream else INTERNAL


def message_state(outcome: Outcome, parts: Sequence[Part]) -> MessageState:
    """How whole the answer is."""
    if outcome.state is TurnState.DONE:
        return MessageState.DONE
    return MessageState.PARTIAL if parts else MessageState.FAILED


def offers(turn: TurnId, outcome: Outcome, *, kept: bool, answered: bool = True) -> tuple[Action, ...]:
    """What can be done next: always another answer, and going on where one was cut."""
    retry = (Action(Verb.RETRY, turn),) if answered else ()
    cut = outcome.state is not TurnState.DONE or outcome.finish is FinishReason.LENGTH
    return (*retry, Action(Verb.CONTINUE, turn)) if cut and kept else retry


def told(
    turn: TurnId, outcome: Outcome, *, kept: bool, answered: bool, usage: Usage, cost_micro: int, balance_micro: int
) -> Finished | Failed:
    """The last event of the turn. `kept`: something of an answer stands; `answered`: an answer was begun at all."""
    next_actions = offers(turn, outcome, kept=kept, answered=answered)
    if outcome.error is not None:
        return Failed(outcome.error.code, outcome.error.params, kept, cost_micro, next_actions)
    return Finished(outcome.finish or FinishReason.OTHER, usage, cost_micro, balance_micro, next_actions)


def produced(parts: Sequence[Part]) -> str:
    """Everything the model wrote, for an estimate of what it cost."""
    pieces: list[str] = []
    for part in parts:
        match part:
            case TextPart(text) | ReasoningPart(text):
                pieces.append(text)
            case ToolCallPart(_, name, arguments):
                pieces += (name, arguments)
            case _:
                pass
    return "".join(pieces)
