"""What one raw update does, whoever dispatched it: a message, a press, a stop go to the desk.

Importing aiogram takes seconds. Until its dispatcher is there, `worked` does the same from the raw update alone, so
that whoever writes right after a start is answered at once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import structlog

from bots.common.dispatch import Desk
from bots.common.inbound import Incoming, Press
from bots.telegram.api import ApiError, BotApi, Json, NoAnswer, NotSent
from bots.telegram.surface import Chats
from bots.telegram.updates import Me, Stopped, read

log = structlog.get_logger(__name__)

ANSWER_CHARS = 200


@dataclass(frozen=True, slots=True)
class Worker:
    """The bot's desk, and what is needed to answer."""

    desk: Desk
    chats: Chats
    api: BotApi
    me: Me

    async def worked(self, update: Json) -> None:
        """Work on one update of any kind; kinds we do not know mean nothing. Raises what it cannot remedy."""
        meant = read(update, self.me)
        if isinstance(meant, Incoming):
            await self.desk.message(meant)
        elif isinstance(meant, Press):
            await self.desk.press(meant, functools.partial(self._answer, str(update["callback_query"]["id"])))
        elif isinstance(meant, Stopped):
            chat = self.chats.chat(meant.incoming.chat)
            if chat.drafter is not None and meant.draft_id == chat.draft_id:
                chat.drafter.halted = True
            await self.desk.stopped(meant.incoming, chat.stops.get(meant.draft_id))

    async def _answer(self, query: str, text: str) -> None:
        try:
            await self.api.call(
                "answerCallbackQuery", {"callback_query_id": query, "text": text[:ANSWER_CHARS] or None}
            )
        except (ApiError, NotSent, NoAnswer) as error:  # too old, or lost: the press itself goes on
            log.info("telegram.press_unanswered", why=str(error))
