"""What each kind of update does: aiogram's dispatcher and router, one handler a kind.

aiogram decodes and dispatches; what a handler needs it reads from the raw update, which keeps what a newer Bot API adds
and the rich text that decoding must not touch. Importing this file imports aiogram, which takes seconds: `app.py` does
it in a thread, while it already receives, stores, and finishes what a former process left.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiogram import Bot, Dispatcher, Router
from aiogram.types import CallbackQuery, ChatMemberUpdated, Message, MessageGenerationStopped

from bots.common.dispatch import Desk
from bots.common.inbound import Incoming, Press
from bots.telegram.api import ApiError, BotApi, Json, NoAnswer, NotSent
from bots.telegram.surface import Chats
from bots.telegram.updates import Me, Stopped, plain, read

log = structlog.get_logger(__name__)

ANSWER_CHARS = 200


def handler_of(desk: Desk, chats: Chats, api: BotApi, me: Me, token: str) -> Callable[[Json], Awaitable[None]]:
    """What works on one raw update; it raises what it cannot remedy, and ValidationError for what cannot be decoded."""
    router = Router(name="parley")

    @router.message()
    async def message(_message: Message, raw: dict[str, Any]) -> None:
        incoming = read(raw, me)
        if isinstance(incoming, Incoming):
            await desk.message(incoming)

    @router.callback_query()
    async def press(query: CallbackQuery, raw: dict[str, Any]) -> None:
        pressed = read(raw, me)
        if isinstance(pressed, Press):
            await desk.press(pressed, functools.partial(_answer, api, query.id))

    @router.stopped_message_generation()
    async def stopped(_event: MessageGenerationStopped, raw: dict[str, Any]) -> None:
        halted = read(raw, me)
        if isinstance(halted, Stopped):
            chat = chats.chat(halted.incoming.chat)
            if chat.drafter is not None and halted.draft_id == chat.draft_id:
                chat.drafter.halted = True
            await desk.stopped(halted.incoming, chat.stops.get(halted.draft_id))

    @router.my_chat_member()
    async def membership(event: ChatMemberUpdated) -> None:
        log.info("telegram.membership", status=event.new_chat_member.status, kind=event.chat.type)

    dispatcher = Dispatcher()
    dispatcher.include_router(router)
    bot = Bot(token)  # aiogram wants one to decode with; nothing is sent through it

    async def handle(update: Json) -> None:
        await dispatcher.feed_raw_update(bot, plain(update), raw=update)

    return handle


async def _answer(api: BotApi, query: str, text: str) -> None:
    try:
        await api.call("answerCallbackQuery", {"callback_query_id": query, "text": text[:ANSWER_CHARS] or None})
    except (ApiError, NotSent, NoAnswer) as error:  # too old, or lost: the press itself goes on
        log.info("telegram.press_unanswered", why=str(error))
