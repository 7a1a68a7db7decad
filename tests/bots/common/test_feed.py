"""The feed over a real inbox: order in a lane, lanes side by side, bad events set aside, nothing lost at a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from bots.common import feed as under_test
from bots.common.feed import Feed
from core import db, inbox
from core.kit import scope
from core.kit.clock import SystemClock
from core.kit.errors import AppError, Unavailable
from core.kit.ids import OwnerId, new_id
from core.kit.orm import read
from core.kit.redis import Keys
from core.kit.supervisor import Supervisor

Run = Callable[[Feed], Awaitable[None]]


@pytest_asyncio.fixture
async def opened(database: db.Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[scope.Scope]:
    monkeypatch.setattr(under_test, "POLL_S", 0.05)
    made = scope.Scope(
        config=cast(Any, SimpleNamespace(embedded=True)),
        role="test",
        owner=OwnerId(new_id("own")),
        database=database,
        redis=None,
        keys=Keys("test:"),
        http=cast(Any, None),
        sealer=cast(Any, None),
        clock=SystemClock(),
        supervisor=Supervisor(),
    )
    with scope.bind(made):
        made.supervisor.capture()
        yield made
        await made.supervisor.cancel_all(timeout_s=5)


def lane_of(payload: str) -> str:
    return payload[0]


async def states() -> dict[str, str]:
    return {row["event_id"]: row["state"] for row in await read("SELECT event_id, state FROM inbox")}


async def run_until(opened: scope.Scope, feed: Feed, condition: Callable[[], Awaitable[bool]]) -> None:
    task = opened.supervisor.spawn("feed", feed.run())
    for _ in range(400):
        if await condition():
            break
        await asyncio.sleep(0.02)
    else:
        raise TimeoutError(await states())
    task.cancel()


async def all_worked_on() -> bool:
    return "new" not in (await states()).values()


async def test_a_lane_keeps_its_order_and_does_not_hold_up_others(opened: scope.Scope) -> None:
    begun, ended = [], []

    async def handle(payload: str) -> None:
        begun.append(payload)
        await asyncio.sleep(0.2 if payload.startswith("a") else 0)
        ended.append(payload)

    feed = Feed("telegram", "42", handle, lane_of)
    await feed.store([(payload, payload) for payload in ("a1", "a2", "b1", "b2", "a3")])
    await run_until(opened, feed, all_worked_on)
    assert [one for one in ended if one[0] == "a"] == ["a1", "a2", "a3"]
    assert ended[:2] == ["b1", "b2"]


async def test_an_event_stored_twice_is_worked_on_once(opened: scope.Scope) -> None:
    seen = []

    async def handle(payload: str) -> None:
        seen.append(payload)

    feed = Feed("telegram", "42", handle, lane_of)
    for _ in range(2):
        await feed.store([("e1", "a1")])
    await run_until(opened, feed, all_worked_on)
    await feed.store([("e1", "a1"), ("e2", "a2")])
    await run_until(opened, feed, all_worked_on)
    assert seen == ["a1", "a2"]


async def test_one_bad_event_is_set_aside_and_the_rest_goes_on(opened: scope.Scope) -> None:
    async def handle(payload: str) -> None:
        if payload == "a1":
            raise KeyError("chat")

    feed = Feed("telegram", "42", handle, lane_of)
    await feed.store([("1", "a1"), ("2", "a2"), ("3", "")])
    await run_until(opened, feed, all_worked_on)
    assert await states() == {"1": "failed", "2": "done", "3": "done"}


async def test_an_event_waits_while_we_cannot_serve(opened: scope.Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    async def handle(payload: str) -> None:
        tries.append(payload)
        if len(tries) == 1:
            raise Unavailable("database_unavailable")

    feed = Feed("telegram", "42", handle, lane_of)
    await feed.store([("1", "a1")])
    await run_until(opened, feed, all_worked_on)
    assert await states() == {"1": "done"}


async def test_the_person_is_told_when_it_never_worked(opened: scope.Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "TRIES", 1)
    told = []

    async def handle(payload: str) -> None:
        raise Unavailable("redis_unavailable")

    async def give_up(payload: str, error: AppError) -> None:
        told.append((payload, error.code))

    feed = Feed("telegram", "42", handle, lane_of, give_up=give_up)
    await feed.store([("1", "a1")])
    await run_until(opened, feed, all_worked_on)
    assert told == [("a1", "redis_unavailable")]
    assert await states() == {"1": "failed"}


async def test_a_process_that_stops_leaves_its_events_to_the_next(opened: scope.Scope) -> None:
    async def handle(payload: str) -> None:
        opened.draining = True
        raise Unavailable("draining")

    feed = Feed("telegram", "42", handle, lane_of)
    await feed.store([("1", "a1"), ("2", "b1")])
    task = opened.supervisor.spawn("feed", feed.run())
    await asyncio.sleep(0.3)
    task.cancel()
    assert await states() == {"1": "new", "2": "new"}
    assert [event.payload for event in await inbox.pending("telegram", "42", 10)] == ["a1", "b1"]
