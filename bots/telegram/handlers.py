"""What each kind of update does: aiogram's dispatcher and router, one handler a kind.

aiogram decodes and dispatches; what a handler needs it reads from the raw update, which keeps what a newer Bot API adds
and the rich text that decoding must not touch. Importing this file imports aiogram, which takes seconds: `app.py` does
it in a thread, and works on the raw updates alone meanwhile (`working.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiogram import Bot, Dispatcher, Router
from aiogram.types import CallbackQuery, ChatMemberUpdated, Message, MessageGenerationStopped

from bots.telegram.api import Json
from bots.telegram.updates import KINDS, plain
from bots.telegram.working import Worker

log = structlog.get_logger(__name__)


def handler_of(worker: Worker, token: str) -> Callable[[Json], Awaitable[None]]:
    """What works on one raw update; it raises what it cannot remedy, and ValidationError for what cannot be decoded."""
    router = Router(name="parley")

    @router.message()
    async def message(_message: Message, raw: dict[str, Any]) -> None:
        await worker.worked(raw)

    @router.callback_query()
    async def press(_query: CallbackQuery, raw: dict[str, Any]) -> None:
        await worker.worked(raw)

    @router.stopped_message_generation()
    async def stopped(_event: MessageGenerationStopped, raw: dict[str, Any]) -> None:
        await worker.worked(raw)

    @router.my_chat_member()
    async def membership(event: ChatMemberUpdated) -> None:
        log.info("telegram.membership", status=event.new_chat_member.status, kind=event.chat.type)

    dispatcher = Dispatcher()
    dispatcher.include_router(router)
    bot = Bot(token)  # aiogram wants one to decode with; nothing is sent through it

    async def handle(update: Json) -> None:
        if not any(kind in update for kind in KINDS):  # aiogram would warn of it with all that it says
            log.info("telegram.kind_unknown", kinds=sorted(name for name in update if name != "update_id"))
            return
        await dispatcher.feed_raw_update(bot, plain(update), raw=update)

    return handle
