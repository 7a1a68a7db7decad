"""The Telegram bot's process: recognises itself, then receives, works, shows, and resumes what a former one left.

Supports: private chats, groups, topics, by long polling. Not yet: webhooks, pictures, voice, payments. Never:
answering in a group when not addressed.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from collections.abc import Awaitable, Callable

import structlog

from bots.common import lease
from bots.common.dispatch import Desk
from bots.common.feed import Feed
from bots.common.inbound import Incoming
from bots.common.surface import Place
from bots.telegram.api import ApiError, BotApi, Json, NoAnswer, NotSent, read_json
from bots.telegram.keyboards import menus
from bots.telegram.poller import Poller
from bots.telegram.surface import Chats, TelegramSurface
from bots.telegram.updates import Me, lane, read
from bots.telegram.working import Worker
from core.kit.errors import AppError
from core.kit.scope import Scope

log = structlog.get_logger(__name__)

PAUSE_MOST_S = 60.0

Handle = Callable[[Json], Awaitable[None]]


class TelegramPlatform:
    """What the shared code asks of Telegram."""

    name = "telegram"
    whispers = False

    def __init__(self, api: BotApi, me: Me) -> None:
        self.bot = me.id
        self.chats = Chats(api)

    def surface(self, place: Place) -> TelegramSurface:
        """See Platform."""
        return self.chats.surface(place)


async def run(scope: Scope) -> None:
    """Be the bot until the process drains or the task is cancelled. Returns at once without a token."""
    token = scope.config.telegram_token
    if token is None:
        return
    async with BotApi(scope.config.telegram_api_url, token) as api:
        me = await _introduced(api)
        if me is None:
            return
        async with lease.held(scope, f"telegram:{me.id}"):
            log.info("telegram.ready", bot=me.username)
            await _serve(api, me, token)


async def _serve(api: BotApi, me: Me, token: str) -> None:
    platform = TelegramPlatform(api, me)
    desk = Desk(platform)
    worker = Worker(desk, platform.chats, api, me)
    handlers = asyncio.ensure_future(_handlers(worker, token))
    handle = functools.partial(_handled, handlers, worker)
    feed = Feed("telegram", me.id, handle, _lane, give_up=functools.partial(_given_up, desk, me))
    poller = Poller(api, feed)
    async with asyncio.TaskGroup() as group:
        group.create_task(_menu(api), name="telegram menu")
        resuming = group.create_task(desk.resume_now_and_then(), name="telegram resume")
        feeding = group.create_task(feed.run(), name="telegram feed")
        await poller.run()
        # Draining: what was stored stays for the next process, what is being shown has the drain's time.
        feeding.cancel()
        resuming.cancel()
        handlers.cancel()
    await desk.finished()


async def _handlers(worker: Worker, token: str) -> Handle:
    """Import aiogram aside and make the handlers."""
    module = await asyncio.to_thread(importlib.import_module, "bots.telegram.handlers")
    handle: Handle = module.handler_of(worker, token)
    return handle


async def _handled(handlers: asyncio.Future[Handle], worker: Worker, payload: str) -> None:
    """Work on one stored update; without aiogram while that is being imported."""
    handle = handlers.result() if handlers.done() else worker.worked
    await handle(read_json(payload))


async def _given_up(desk: Desk, me: Me, payload: str, error: AppError) -> None:
    meant = read(read_json(payload), me)
    if isinstance(meant, Incoming):
        await desk.explain(meant, error)


def _lane(payload: str) -> str:
    return lane(read_json(payload))


async def _introduced(api: BotApi) -> Me | None:
    """Who we are; None when the token is wrong. Waits as long as the server is away."""
    pause_s = 1.0
    while True:
        try:
            me = await api.call("getMe")
            return Me(str(me["id"]), str(me["username"]))
        except ApiError as error:
            if error.code in (401, 404):
                log.error("telegram.token_refused", hint="check PARLEY_TELEGRAM_TOKEN and PARLEY_TELEGRAM_API_URL")
                return None
            log.warning("telegram.away", why=str(error))
            pause_s = max(pause_s, error.retry_after_s or 0.0)
        except (NotSent, NoAnswer) as error:
            log.warning("telegram.away", why=str(error))
        await asyncio.sleep(pause_s)
        pause_s = min(PAUSE_MOST_S, pause_s * 2)


async def _menu(api: BotApi) -> None:
    """Register the commands for people's menus, in every language; the bot works without."""
    for call in menus():
        try:
            await api.call("setMyCommands", call)
        except (ApiError, NotSent, NoAnswer) as error:
            log.warning("telegram.menu_not_set", why=str(error))
