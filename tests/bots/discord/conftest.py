"""The whole bot: every room on a database of its own, a scripted upstream, a Discord on loopback."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from core import accounts, adapters, catalog, channels, db, live, settings, turns
from core.accounts import Account
from core.adapters import Pause, Target, script
from core.chat import Call, Finish, FinishReason, TextDelta
from core.kit import changes, scope
from core.kit.clock import SystemClock
from core.kit.ids import OwnerId, new_id
from core.kit.redis import Keys, Redis, close_redis, open_redis
from core.kit.supervisor import Supervisor
from core.live import MemoryLog
from tests.fakes.discord import BOT, TOKEN, FakeDiscord

with warnings.catch_warnings():
    # discord.py imports audioop for its voice calls; newer Pythons get that from a package it depends on there.
    warnings.simplefilter("ignore", DeprecationWarning)
    from bots.discord import app


@dataclass
class Upstream:
    """Plays one script a call, the last one again and again."""

    scripts: list[list[str | float]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def says(self, *steps: str | float) -> None:
        """Add a script of texts, and of pauses in seconds."""
        self.scripts.append(list(steps))

    def play(self, call: Call, _: Target) -> Iterator[adapters.Step]:
        self.calls.append(call)
        scripts = self.scripts or [["Hello", " world"]]
        for step in scripts.pop(0) if len(scripts) > 1 else scripts[0]:
            yield Pause(step) if isinstance(step, float) else TextDelta(step)
        yield Finish(FinishReason.STOP)


@dataclass
class House:
    """One process with the bot in it."""

    scope: scope.Scope
    discord: FakeDiscord
    upstream: Upstream
    bot: asyncio.Task[None]
    again: Callable[[], Awaitable[House]]
    """The process is gone and another one starts on the same database; bind its scope to ask the rooms."""

    async def account(self, user: int = 7) -> Account:
        return await accounts.find(f"discord:{user}")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    played = Upstream()
    with script.playing("discord", make=played.play):
        yield played


@pytest_asyncio.fixture
async def discord() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as server:
        yield server


@pytest_asyncio.fixture
async def house(
    database: db.Database, discord: FakeDiscord, upstream: Upstream, redis_url: str
) -> AsyncIterator[House]:
    log, redis = MemoryLog(), open_redis(redis_url)
    keys = Keys(f"test:{new_id('req')}:")
    opened: list[scope.Scope] = []

    async def start() -> House:
        for old in opened:
            await old.supervisor.cancel_all(timeout_s=5)
        new = _scope(database, redis, keys, discord.url)
        new._states[live._open] = log
        opened.append(new)
        with scope.bind(new):
            new.supervisor.capture()
            for load in (settings.load, catalog.load, channels.load, turns.recover):
                await load()
            if len(opened) == 1:
                await _furnish()
            await redis.delete(keys.key("discord", BOT, "identified"))  # not every restart shall wait five seconds
            bot = new.supervisor.spawn("discord", app.run(new))
            if discord.token == TOKEN:
                sessions = discord.sessions
                await discord.until(lambda: discord.sessions > sessions)
            return House(new, discord, upstream, bot, start)

    try:
        first = await start()
        with scope.bind(first.scope):
            yield first
    finally:
        await opened[-1].supervisor.cancel_all(timeout_s=5)
        await close_redis(redis)


def _scope(database: db.Database, redis: Redis, keys: Keys, url: str) -> scope.Scope:
    config = SimpleNamespace(discord_token=TOKEN, discord_api_url=url, embedded=True)
    return scope.Scope(
        config=cast(Any, config),
        role="test",
        owner=OwnerId(new_id("own")),
        database=database,
        redis=redis,
        keys=keys,
        http=cast(Any, None),
        sealer=cast(Any, None),
        clock=SystemClock(),
        supervisor=Supervisor(),
    )


async def _furnish() -> None:
    models = {"free": "free", **{f"model-{number}": "free" for number in range(8)}}
    await channels.add("script", vendor="script", base_url="script:discord", models=models, by="test")
    for name in models:
        await catalog.price(name, free=True, by="test")
    await settings.set("chat.default_model", "free", by="test")
    await changes.feed().catch_up()
