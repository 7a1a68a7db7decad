"""The nouns of a turn: what a door asks, what it gets back, where the answer is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.chat import FinishReason, Notice, Part, TurnEvent, Usage
from core.kit.errors import Param
from core.kit.ids import AccountId, ConversationId, DeliveryId, HoldId, MessageId, ModelName, TurnId
from core.live import Cursor


class TurnState(StrEnum):
    """Where a turn stands. The last three are ends."""

    QUEUED = "queued"
    """Waits until its conversation is free; no hold, no context yet."""
    RUNNING = "running"
    """A process holds its lease and writes the answer."""
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """A person stopped it; what came is kept."""

    @property
    def ended(self) -> bool:
        return self not in (TurnState.QUEUED, TurnState.RUNNING)


@dataclass(frozen=True, slots=True)
class DeliveryTarget:
    """Where a door wants to show the answer."""

    door: str
    bot: str
    place: Mapping[str, Any]
    """JSON of the door's own: chat, thread, message replied to, locale."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One question as a door collected it."""

    account: AccountId
    """Who asks and pays."""
    door: str
    key: str
    """Idempotency key within the account: the platform's event id, the browser's own. The same key, the same turn."""
    parts: tuple[Part, ...]
    conversation: ConversationId | None = None
    """None: the conversation of `parent`, else the place's, else a new one (on which the place is put)."""
    place: str | None = None
    """See `conversations.place`."""
    parent: MessageId | None = None
    """The message this one follows; None: the conversation's head."""
    model: ModelName | None = None
    """None: the conversation's, the account's, the site's."""
    speaker: str | None = None
    """The asker's name where several people share a conversation."""
    delivery: DeliveryTarget | None = None


@dataclass(frozen=True, slots=True)
class TurnError:
    """Why a turn failed: the key `error.<code>` of the locales and its parameters."""

    code: str
    params: Mapping[str, Param] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and the answer to it."""

    id: TurnId
    conversation: ConversationId
    account: AccountId
    """Who asked and pays."""
    owner: AccountId
    """Whose conversation it is; may be another in groups."""
    door: str
    state: TurnState
    position: int | None
    """1 is the next to run; None unless queued."""
    model: ModelName | None
    user_message: MessageId | None
    """None while queued."""
    answer: MessageId | None
    """None while queued."""
    delivery: DeliveryId | None
    finish: FinishReason | None
    """How the answer ended; None until then, and when no answer began."""
    error: TurnError | None
    notices: tuple[Notice, ...]
    usage: Usage
    cost_micro: int
    created_at: datetime
    seq: int = 0
    """The last event number that the stored answer reflects."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event and its place in the log: hand `cursor` back to go on from there."""

    seq: int
    epoch: str
    event: TurnEvent

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer being shown in one place of a door."""

    id: DeliveryId
    turn: TurnId
    place: Mapping[str, Any]
    sent: tuple[str, ...]
    """The platform's message ids, in page order."""
    sending: int | None
    """The page whose send began and is not known to have arrived; None when there is none."""


class Kind(StrEnum):
    """What a turn does to the tree."""

    ASK = "ask"
    """A question under a parent, and its answer."""
    RETRY = "retry"
    """Another answer to a question that stands."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as it is kept in the turn's row until its conversation is free."""

    kind: Kind
    parts: tuple[Part, ...] = ()
    at_head: bool = True
    """Follow the conversation's head of the moment; else `parent`, where None is the root."""
    parent: MessageId | None = None
    question: MessageId | None = None
    """Of a RETRY: the question that stands."""
    model: ModelName | None = None
    """Demanded: refused when it is not there."""
    wish: ModelName | None = None
    """Preferred: the defaults take its place when it is not there."""
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Orphan:
    """What the sweep needs of a turn that nobody runs any more."""

    id: TurnId
    conversation: ConversationId
    account: AccountId
    answer: MessageId
    lease: str
    hold: HoldId | None
    seq: int
    stop_asked: bool
