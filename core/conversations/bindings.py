"""Bindings: which conversation a place (a chat, topic, thread or tab) is on."""

from __future__ import annotations

from core.conversations import store
from core.conversations.errors import conversation_unknown
from core.kit.errors import BadInput
from core.kit.ids import ConversationId
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current

MAX_PLACE = 160


def place(door: str, bot: str, chat: str | int, thread: str | int = 0, user: str | int = 0) -> str:
    """The name of a place: `door:bot:chat:thread:user`, with 0 for what does not apply. Raises BadInput."""
    name = f"{door}:{bot}:{chat}:{thread}:{user}"
    if len(name) > MAX_PLACE:
        raise BadInput("place_too_long")
    return name


async def bound(place: str) -> ConversationId | None:
    """The conversation the place is on; None when there is none or it was deleted."""
    return await store.bound(place)


async def bind(place: str, conversation: ConversationId) -> None:
    """Put the place on a conversation, whatever it was on. Raises NotFound when that is not there."""
    now = current().clock.now()

    async def body(work: Work) -> None:
        known = await store.conversation(conversation)
        if known is None or known.deleted:
            raise conversation_unknown()
        await store.bind(work, place, conversation, now)

    await unit_of_work(body)


async def unbind(place: str) -> None:
    """Free the place: its next question begins a new conversation."""

    async def body(work: Work) -> None:
        await store.unbind(work, place)

    await unit_of_work(body)
