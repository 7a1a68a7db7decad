"""What comes in: platform-neutral messages and button presses, and the TurnRequest a message becomes.

A door reads its platform's update into an `Incoming` or a `Press` and hands it to dispatch.py; nothing below this file
knows the platform's JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

from bots.common.surface import Place
from core import conversations, turns
from core.accounts import Account
from core.chat import TextPart
from core.kit.ids import MessageId, TurnId

QUOTE_CHARS = 2_000
"""How much of another person's message is quoted to the model when someone replies to it with a mention."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts, as the platform knows them."""

    id: str
    display: str
    """A name to show others; may be empty."""
    handle: str = ""
    """The unique public name, such as `@mei`; empty where there is none."""
    language: str | None = None
    """The platform's hint, such as `zh-hans`."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that is meant for the bot (a door passes on nothing else)."""

    event: str
    """The platform's event id: makes the turn's idempotency key."""
    person: Person
    chat: str
    place: Place
    """Where the answer is to be shown; kept in the Delivery."""
    text: str
    """As typed, without the mention of the bot; of a command, the words behind it."""
    private: bool
    """Between the person and the bot alone."""
    thread: str = "0"
    command: str | None = None
    """The command's name, when it is one."""
    reply_to: str | None = None
    """The platform id of the *bot's* message that this replies to."""
    quote: str | None = None
    """Text of somebody else's message that this replies to."""
    attachments: int = 0
    """Pictures and files that came along (not read yet)."""


@dataclass(frozen=True, slots=True)
class Press:
    """A button was pressed."""

    event: str
    person: Person
    chat: str
    place: Place
    """Where a new answer is to be shown: as a reply to the message with the button."""
    payload: str
    private: bool
    thread: str = "0"
    message: str | None = None
    """The platform id of the message that carries the button; None when it is gone."""


@dataclass(frozen=True, slots=True)
class Source:
    """The turn and answer that a bot's message shows."""

    turn: TurnId
    answer: MessageId


async def source_of(door: str, bot: str, chat: str, message: str | None) -> Source | None:
    """What the bot's message `message` in `chat` shows; None for one that is no answer, or is unknown."""
    if message is None:
        return None
    found = await turns.deliveries.find(door, bot, chat, message)
    return None if found is None else Source(*found)


def place_of(door: str, bot: str, incoming: Incoming | Press) -> str:
    """The key of the binding: the chat in private ones, the person in the chat in groups."""
    user = "0" if incoming.private else incoming.person.id
    return conversations.place(door, bot, incoming.chat, incoming.thread, user)


async def ask(door: str, bot: str, incoming: Incoming, account: Account, *, locale: str) -> turns.Turn:
    """Start the turn that answers this message; the same event twice is one turn.

    A reply to one of the bot's answers goes on from that answer, a branch. Otherwise a private chat goes on in its
    conversation, and a fresh mention in a group opens a new one. Raises what `turns.start` raises.
    """
    place = place_of(door, bot, incoming)
    source = await source_of(door, bot, incoming.chat, incoming.reply_to)
    if source is None and not incoming.private:
        await conversations.unbind(place)
    request = turns.TurnRequest(
        account=account.id,
        door=door,
        key=f"{door}:{bot}:{incoming.event}",
        parts=(TextPart(_worded(incoming)),),
        place=place,
        parent=source.answer if source else None,
        speaker=None if incoming.private else incoming.person.display or None,
        delivery=turns.DeliveryTarget(door, bot, {**incoming.place, "locale": locale}),
    )
    turn = await turns.start(request)
    if source is not None:
        await conversations.bind(place, turn.conversation)
    return turn


def _worded(incoming: Incoming) -> str:
    if not incoming.quote:
        return incoming.text
    quoted = "\n".join(f"> {line}" for line in incoming.quote[:QUOTE_CHARS].splitlines())
    return f"{quoted}\n\n{incoming.text}"
