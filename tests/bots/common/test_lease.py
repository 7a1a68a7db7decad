"""The lease of a bot over a real Redis: one holder at a time, a dead one is succeeded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from bots.common import lease
from core.kit.clock import SystemClock
from core.kit.ids import OwnerId, new_id
from core.kit.redis import Keys, Redis, close_redis, open_redis
from core.kit.scope import Scope
from core.kit.supervisor import Supervisor


@pytest_asyncio.fixture
async def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setattr(lease, "ASK_S", 0.02)
    client = open_redis(redis_url)
    yield client
    await close_redis(client)


@pytest.fixture
def keys() -> Keys:
    return Keys(f"test:{new_id('req')}:")


def process(redis: Redis, keys: Keys, *, embedded: bool = False) -> Scope:
    return Scope(
        config=cast(Any, SimpleNamespace(embedded=embedded)),
        role="telegram",
        owner=OwnerId(new_id("own")),
        database=cast(Any, None),
        redis=redis,
        keys=keys,
        http=cast(Any, None),
        sealer=cast(Any, None),
        clock=SystemClock(),
        supervisor=Supervisor(),
    )


async def test_the_second_process_waits_until_the_first_gives_back(redis: Redis, keys: Keys) -> None:
    order = []

    async def second() -> None:
        async with lease.held(process(redis, keys), "telegram:42"):
            order.append("second")

    async with lease.held(process(redis, keys), "telegram:42"):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.1)
        order.append("first")
    await asyncio.wait_for(waiting, 2)
    assert order == ["first", "second"]


async def test_the_lease_of_a_killed_process_runs_out(
    redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 1)
    await redis.set(keys.key("lease", "telegram:42"), "own_dead", ex=1)
    async with asyncio.timeout(3), lease.held(process(redis, keys), "telegram:42"):
        assert await redis.get(keys.key("lease", "telegram:42")) != b"own_dead"


async def test_a_holder_renews_what_would_run_out(redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 1)
    monkeypatch.setattr(lease, "RENEW_S", 0.2)
    holder = process(redis, keys)
    async with lease.held(holder, "telegram:42"):
        await asyncio.sleep(1.5)
        assert await redis.get(keys.key("lease", "telegram:42")) == holder.owner.encode()


async def test_bots_do_not_share_a_lease(redis: Redis, keys: Keys) -> None:
    async with (
        asyncio.timeout(2),
        lease.held(process(redis, keys), "telegram:42"),
        lease.held(process(redis, keys), "discord:42"),
    ):
        assert await redis.get(keys.key("lease", "telegram:42")) is not None


async def test_one_process_alone_needs_none(redis: Redis, keys: Keys) -> None:
    async with lease.held(process(redis, keys, embedded=True), "telegram:42"):
        assert await redis.get(keys.key("lease", "telegram:42")) is None
