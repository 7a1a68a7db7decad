"""Looking at turns without touching them: what a page needs beside the tree of messages."""

from __future__ import annotations

from collections.abc import Iterable

from core.chat import Message, Role
from core.kit.ids import ConversationId, TurnId
from core.turns import store
from core.turns.types import Turn


async def ended(conversation: ConversationId) -> list[Turn]:
    """The turns of a conversation that are over, oldest first. Ask `conversations.get` first whether the reader may."""
    return await store.ended_in(conversation)


async def busy(conversations: Iterable[ConversationId]) -> set[ConversationId]:
    """Those of the conversations in which something runs or waits."""
    return await store.busy_among(list(conversations))


async def waiting_text(turn: TurnId) -> str:
    """The words of a question that still waits, so that its page can show them."""
    return Message(Role.USER, (await store.ask_of(turn)).parts).text
