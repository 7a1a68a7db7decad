"""The door of a bot: what dispatch needs of a platform, and who is speaking.

A bot is a `Platform` (below) plus a loop that reads updates and calls `Desk.message` and `Desk.press` (dispatch.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bots.common.inbound import Person
from bots.common.surface import Place, Surface
from core import accounts
from core.accounts import Account
from core.i18n import match


class Platform(Protocol):
    """What a bot tells about its platform."""

    name: str
    """`telegram` or `discord`: the provider of identities and the door of turns."""
    bot: str
    """This bot's own id on the platform; part of every key."""
    whispers: bool
    """Can show a page to one person alone in a group (`Page.whisper`)."""

    def surface(self, place: Place) -> Surface:
        """The place where something is to be shown; also one that a former process described."""
        ...


@dataclass(frozen=True, slots=True)
class DoorContext:
    """Who speaks, and in which language they are answered."""

    account: Account
    locale: str


async def enter(platform: Platform, person: Person) -> DoorContext:
    """Recognise the person; their first contact makes an account, silently. Raises NotAllowed for a banned one."""
    account = await accounts.resolve(platform.name, person.id, person.display)
    return DoorContext(account, account.locale or match(person.language))


def label_of(platform: Platform, person: Person) -> str:
    """How the other side of a link sees this person: `Telegram Mei (@mei)`."""
    known = " ".join(part for part in (person.display, f"({person.handle})" if person.handle else "") if part)
    return f"{platform.name.capitalize()} {known or person.id}"[:120]
