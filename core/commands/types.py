"""Command and its context: what a handler is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.accounts import Account
from core.commands.replies import Reply
from core.kit.ids import TurnId


@dataclass(frozen=True, slots=True)
class CommandContext:
    """Who asks, where, and in which language."""

    account: Account
    locale: str
    door: str
    """`telegram`, `discord` or `web`: also where a new conversation is said to have begun."""
    place: str
    """The binding's key, see `conversations.place`."""
    label: str
    """How the other side of a link sees this person, such as `Telegram @mei`."""
    private: bool = True
    """Nobody else reads along."""
    turn: TurnId | None = None
    """The turn whose answer the command replies to."""


Handler = Callable[[str, CommandContext], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the table."""

    name: str
    """Lower case, at most 32 letters: Telegram's and Discord's rule alike."""
    caption_key: str
    """One line for menus and help."""
    handler: Handler
    argument: str | None = None
    """The name of the one optional argument; None when it takes none."""
    argument_key: str | None = None
    """The argument's caption."""
    private: bool = False
    """Answers for the asker's eyes only: a door whispers it, or asks for a private chat."""
