"""The whole bot: every room on a database of its own, a scripted upstream, a Bot API server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from bots.telegram import app
from core import accounts, adapters, billing, catalog, channels, db, live, settings, turns
from core.accounts import Account
from core.adapters import Pause, Target, UpstreamError, script
from core.chat import Call, Delta, Finish, FinishReason, TextDelta
from core.kit import changes, scope
from core.kit.clock import SystemClock
from core.kit.ids import OwnerId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.redis import Keys, Redis, close_redis, open_redis
from core.kit.supervisor import Supervisor
from core.live import MemoryLog
from tests.fakes.telegram import TOKEN, FakeTelegram

Step = Delta | float | UpstreamError


@dataclass
class Upstream:
    """Plays one script a call, the last one again and again."""

    scripts: list[list[Step]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def says(self, *steps: Step | str) -> None:
        """Add a script of texts, pauses in seconds, and at its end a Finish unless there is one."""
        played = [TextDelta(step) if isinstance(step, str) else step for step in steps]
        if not any(isinstance(step, Finish | UpstreamError) for step in played):
            played.append(Finish(FinishReason.STOP))
        self.scripts.append(played)

    def play(self, call: Call, _: Target) -> Iterator[adapters.Step]:
        self.calls.append(call)
        if not self.scripts:
            self.says("Hello", " world")
        for step in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
            yield Pause(step) if isinstance(step, float) else step


@dataclass
class House:
    """One process with the bot in it."""

    scope: scope.Scope
    telegram: FakeTelegram
    upstream: Upstream
    bot: asyncio.Task[None]
    again: Callable[[], Awaitable[House]]
    """The process is gone and another one starts on the same database; bind its scope to ask the rooms."""

    async def account(self, user: int = 7) -> Account:
        return await accounts.find(f"telegram:{user}")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    played = Upstream()
    with script.playing("bots", make=played.play):
        yield played


@pytest_asyncio.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as server:
        yield server


@pytest_asyncio.fixture
async def house(
    database: db.Database, telegram: FakeTelegram, upstream: Upstream, redis_url: str
) -> AsyncIterator[House]:
    log, redis = MemoryLog(), open_redis(redis_url)
    keys = Keys(f"test:{new_id('req')}:")
    opened: list[scope.Scope] = []

    async def start() -> House:
        for old in opened:
            await old.supervisor.cancel_all(timeout_s=5)
        new = _scope(database, redis, keys, telegram.url)
        new._states[live._open] = log
        opened.append(new)
        with scope.bind(new):
            new.supervisor.capture()
            for load in (settings.load, catalog.load, channels.load, turns.recover):
                await load()
            if len(opened) == 1:
                await _furnish()
            return House(new, telegram, upstream, new.supervisor.spawn("telegram", app.run(new)), start)

    first = await start()
    try:
        with scope.bind(first.scope):
            yield first
    finally:
        await opened[-1].supervisor.cancel_all(timeout_s=5)
        await close_redis(redis)


def _scope(database: db.Database, redis: Redis, keys: Keys, url: str) -> scope.Scope:
    config = SimpleNamespace(telegram_token=TOKEN, telegram_api_url=url, embedded=True)
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
    await channels.add(
        "script", vendor="script", base_url="script:bots", models={"free": "free", "paid": "paid"}, by="test"
    )
    await catalog.price("free", free=True, by="test")
    await catalog.price("paid", price_in="1", price_out="2", by="test")
    await settings.set("chat.default_model", "free", by="test")
    await changes.feed().catch_up()


async def give(account: Account, amount: int) -> None:
    """Credits out of nothing, in micro-credits."""

    async def body(work: Work) -> None:
        await billing.credit(work, account.id, amount, key=f"grant:{new_id('req')}", reason=billing.Reason.GRANT)

    await unit_of_work(body)
