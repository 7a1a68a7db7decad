"""The Surface: the place in a chat where one answer appears, as the presenter and dispatch see it.

A door builds a Surface from a `Place` (the JSON that a Delivery row keeps), so that a restart finds the same place.
The presenter asks `live_wait()` before each unfinished showing and calls `post` and `edit` for what must arrive.

Who waits for whom. `post` and `edit` return when the platform has confirmed; they wait by themselves for their turn
(one writer per chat) and raise one of the errors below instead of repeating a request whose outcome they cannot know.
The presenter repeats: it waits out `Flooded`, backs off on `Unsent`, and treats `Uncertain` as this file says.
A library that waits out 429s itself (discord.py) simply never raises `Flooded`.

To write a door: implement `Surface`, a `Platform` (door.py) and the reading of updates into `Incoming` and `Press`
(inbound.py); dispatch.py and present.py do the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bots.common.pager import PageLimits
from core.chat import Action

Place = Mapping[str, str | int | bool | None]
"""The door's own description of a place, JSON: chat, thread, message replied to, locale; flat, strings where ids."""


@dataclass(frozen=True, slots=True)
class Button:
    """A label and what pressing it means; doors turn it into whatever buttons they have."""

    label: str
    action: Action
    style: str = ""
    """"" · primary · success · danger: a hint that a door may ignore."""


@dataclass(frozen=True, slots=True)
class Page:
    """One message to be shown."""

    text: str
    """Markdown, within the surface's `limits.page` (plus `limits.spare` for the last page's footer)."""
    rows: tuple[tuple[Button, ...], ...] = ()
    thinking: bool = False
    """Nothing to show yet: `text` is the line that says so, or empty."""
    whisper: bool = False
    """For the person addressed alone, where the platform can do that."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that exists on the platform."""

    chat: str
    message: str
    more: tuple[str, ...] = field(default=())
    """Further messages of the same page, where a fallback needed several."""


@dataclass(frozen=True, slots=True)
class SurfaceLimits:
    """What the presenter must know of a platform."""

    page: PageLimits
    spare: int
    """Characters that a page may be longer than `page` allows, for a footer."""
    drafts: bool
    """Unfinished text is shown by `draft`, not by editing a message."""
    first_chars: int
    """An unfinished answer gets its message when it is this long …"""
    first_s: float
    """… or after this many seconds, whichever comes first."""
    step_chars: int
    """A live edit shows at least this many new characters."""
    hint_s: float
    """A typing hint fades after this; it is repeated while nothing else is shown."""
    keep_s: float | None = None
    """A draft is written again after this even if nothing is new; None where nothing expires."""
    repeatable: bool = False
    """A post repeated with the same key cannot double (Discord's nonce). False: see `Uncertain`."""


class SurfaceError(Exception):
    """The root of what a write may raise."""

    partly = False
    """Some messages of the page exist by now; a repeat with the same key goes on behind them."""


class Flooded(SurfaceError):
    """Refused for now: wait `retry_after_s`, whatever its length. Nothing was written."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Unsent(SurfaceError):
    """The request did not reach the platform, or it said that it failed: nothing was written, try again later."""


class Uncertain(SurfaceError):
    """The request left and no answer came: the message may or may not exist.

    An edit is simply repeated. A post is repeated when `limits.repeatable`; otherwise the presenter posts one short
    line with a button that brings the text, so that nothing is lost and nothing doubled.
    """


class Missing(SurfaceError):
    """The message to edit does not exist any more."""


class Refused(SurfaceError):
    """The platform will never take this content, in no form the surface has; `str()` says why, for the log."""


class Unreachable(SurfaceError):
    """The place is closed to us (blocked, kicked, deleted): give up, quietly."""


class Surface(Protocol):
    """One answer's place. Not shared between answers; several may be open in one chat."""

    @property
    def limits(self) -> SurfaceLimits:
        """Constant for the life of the surface."""
        ...

    def live_wait(self, *, draft: bool) -> float:
        """Seconds until unfinished text would be welcome, as a draft or an edit; `inf` when the chat has no room."""
        ...

    async def hint(self) -> None:
        """Show that something is being written. Best effort: never raises a SurfaceError."""
        ...

    async def draft(self, page: Page) -> None:
        """Show unfinished text that is no message; only where `limits.drafts`. Its stop button is the platform's own.

        Raises Flooded, Unsent and Unreachable; other faults are dropped, the next draft overtakes this one.
        """
        ...

    async def post(self, page: Page, key: str) -> Sent:
        """A new message; `key` names it for ever, in at most 25 characters. Raises any SurfaceError but Missing."""
        ...

    async def edit(self, sent: Sent, page: Page, *, live: bool = False) -> Sent:
        """Replace a message's text and buttons; unchanged is success. `live` marks an unfinished showing, which may be
        dropped by raising Flooded at once. Raises any SurfaceError."""
        ...

    async def remove(self, sent: Sent) -> None:
        """Take a message back. Best effort: never raises a SurfaceError."""
        ...

    def close(self) -> None:
        """The answer is over: give up the chat's live slot. Called exactly once, also after errors."""
        ...


@runtime_checkable
class Waits(Protocol):
    """A surface that can tell when a post would leave at once, so that a crash while waiting leaves no doubt."""

    async def ready(self) -> None:
        """Wait for the chat's turn, however long that is."""
        ...
