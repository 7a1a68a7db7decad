"""TurnEvent and AccountEvent: the two closed unions that doors hear.

A TurnEvent is what a door may render of one answer; events of a turn are numbered 1, 2, 3 … (`Seq`) and replayable.
An AccountEvent carries ids only and tells a door of an account to look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.chat.actions import Action
from core.chat.deltas import FinishReason
from core.chat.message import Message
from core.chat.usage import Usage
from core.kit.errors import Param
from core.kit.ids import ConversationId, LinkId, MessageId, ModelName, TurnId


@dataclass(frozen=True, slots=True)
class Accepted:
    """The turn runs: always the first event of a running turn."""

    conversation: ConversationId
    user_message: MessageId
    answer: MessageId
    model: ModelName
    held_micro: int
    """What was set aside, in micro-credits; 0 for free models."""


@dataclass(frozen=True, slots=True)
class TextAdded:
    """Text of the answer; `offset` counts code points of answer text before it, so repeats and gaps show."""

    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningAdded:
    """Thinking, with its own running offset."""

    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolUsed:
    """The model asked for a function; shown as a line."""

    name: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact worth a line: `notice.<code>` in the locales (`queued` with `position`, `context_cut` with `dropped`)."""

    code: str
    params: Mapping[str, Param] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole (or stopped by a person); nothing follows."""

    reason: FinishReason
    usage: Usage
    cost_micro: int
    balance_micro: int
    offers: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn ended badly; nothing follows. `kept` says that partial text stands."""

    code: str
    """Key `error.<code>` in the locales."""
    params: Mapping[str, Param] = field(default_factory=dict)
    kept: bool = False
    cost_micro: int = 0
    offers: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole answer so far as of `seq`: replaces what the follower has; later events go on from `seq`."""

    message: Message
    seq: int


TurnEvent = Accepted | TextAdded | ReasoningAdded | ToolUsed | Notice | Finished | Failed | Snapshot


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """Title, head or existence of a conversation changed."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn was queued or began in a conversation of this account."""

    conversation: ConversationId
    turn: TurnId


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn of this account's conversations ended, in whatever way."""

    conversation: ConversationId
    turn: TurnId


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    """Credits were spent or given; ask for the balance."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A link request of this account moved on."""

    link: LinkId


AccountEvent = ConversationChanged | TurnStarted | TurnEnded | BalanceChanged | LinkChanged
