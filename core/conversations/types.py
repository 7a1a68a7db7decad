"""Views of the conversations room: a tree of messages with a head, and its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.chat import Message, Part, Role
from core.kit.ids import AccountId, ConversationId, MessageId, ModelName, TurnId


class MessageState(StrEnum):
    """How whole a message is."""

    DONE = "done"
    STREAMING = "streaming"
    """An answer being written; its parts are what was checkpointed."""
    PARTIAL = "partial"
    """An answer that ended early; what came is kept."""
    FAILED = "failed"
    """An answer that ended without words."""


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as its owner sees it."""

    id: ConversationId
    account: AccountId
    """The owner; in groups whoever began it."""
    title: str
    """Empty until the first question, or a person, names it."""
    head: MessageId | None
    """The leaf of the branch that is shown; None while empty."""
    model: ModelName | None
    """The model chosen for it; None follows the account's and the site's default."""
    door: str
    created_at: datetime
    updated_at: datetime
    deleted: bool = False
    system: str = ""
    """Instructions that stand before every question here."""


@dataclass(frozen=True, slots=True)
class MessageView:
    """One node of the tree."""

    id: MessageId
    conversation: ConversationId
    parent: MessageId | None
    role: Role
    parts: tuple[Part, ...]
    state: MessageState
    turn: TurnId | None
    """The turn that asked or answers it."""
    model: ModelName | None
    author: AccountId | None
    """Who asked; None for answers."""
    author_name: str | None
    created_at: datetime

    @property
    def message(self) -> Message:
        """Role, parts and speaker, without ids."""
        return Message(self.role, self.parts, self.author_name)
