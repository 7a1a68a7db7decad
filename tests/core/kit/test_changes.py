"""The change feed: two processes on one database, here two scopes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest_asyncio

from core.kit import changes
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope, bind
from tests.core.scopes import opened


@pytest_asyncio.fixture
async def two(database_url: str) -> AsyncIterator[tuple[Scope, Scope]]:
    async with opened(database_url) as one, opened(database_url) as other:
        yield one, other


def heard_by(scope: Scope, kind: changes.Kind = "channel") -> list[str]:
    heard: list[str] = []
    with bind(scope):
        changes.feed().subscribe(kind, heard.append)
    return heard


async def catch_up(scope: Scope) -> None:
    with bind(scope):
        await changes.feed().catch_up()


async def record(scope: Scope, *subjects: str, kind: changes.Kind = "channel") -> None:
    async def body(work: Work) -> None:
        for subject in subjects:
            await changes.record(work, kind, subject)

    with bind(scope):
        await unit_of_work(body)


async def test_a_change_is_heard_by_its_own_process_at_once_and_by_the_other_at_its_poll(
    two: tuple[Scope, Scope],
) -> None:
    one, other = two
    await catch_up(one)
    await catch_up(other)
    here, there, elsewhere = heard_by(one), heard_by(other), heard_by(other, "model")
    await record(one, "ch_1", "ch_2")
    assert here == ["ch_1", "ch_2"]
    assert there == []
    await catch_up(other)
    await catch_up(other)
    assert there == ["ch_1", "ch_2"]
    assert elsewhere == []


async def test_the_first_look_drops_everything(two: tuple[Scope, Scope]) -> None:
    await record(two[0], "before")
    there = heard_by(two[1])
    await catch_up(two[1])
    assert there == [""]


async def test_a_change_that_is_rolled_back_is_never_heard(two: tuple[Scope, Scope]) -> None:
    one, other = two
    await catch_up(other)
    there = heard_by(other)

    async def body(work: Work) -> None:
        await changes.record(work, "channel", "ch_1")
        raise LookupError

    with bind(one), contextlib.suppress(LookupError):
        await unit_of_work(body)
    await record(one, "ch_2")
    await catch_up(other)
    assert there == ["ch_2"]


async def test_a_listener_that_fails_is_called_again(two: tuple[Scope, Scope]) -> None:
    one, other = two
    await catch_up(other)
    calls: list[str] = []

    async def listener(subject: str) -> None:
        calls.append(subject)
        if len(calls) == 1:
            raise OSError

    with bind(other):
        changes.feed().subscribe("channel", listener)
    await record(one, "ch_1")
    with contextlib.suppress(OSError):
        await catch_up(other)
    await catch_up(other)
    assert calls == ["ch_1", "ch_1"]


async def test_who_was_away_too_long_drops_everything(two: tuple[Scope, Scope]) -> None:
    one, other = two
    await record(one, "first")
    await catch_up(other)
    there = heard_by(other)

    async def prune(work: Work) -> None:
        await work.change("DELETE FROM change WHERE number <= 2")

    await record(one, "second")
    await record(one, "third")
    with bind(one):
        await unit_of_work(prune)
    await catch_up(other)
    assert there == [""]


async def test_old_changes_are_pruned(two: tuple[Scope, Scope]) -> None:
    one, _ = two

    async def age(work: Work) -> None:
        await work.change(
            "UPDATE change_version SET number = $1 WHERE id = 1", [-(-(changes.KEPT + 300) // 256) * 256 - 1]
        )

    await record(one, "old")
    with bind(one):
        await unit_of_work(age)
        await record(one, "new")
        rows = await changes.ChangeRow.all()
    assert [row.subject for row in rows] == ["new"]


async def test_numbers_follow_commits_under_contention(two: tuple[Scope, Scope]) -> None:
    one, other = two
    await catch_up(other)
    there = heard_by(other)
    polling = True

    async def poll() -> None:
        while polling:
            await catch_up(other)
            await asyncio.sleep(0)

    poller = asyncio.create_task(poll())
    await asyncio.gather(*(record(one if n % 2 else other, f"s{n}") for n in range(20)))
    polling = False
    await poller
    await catch_up(other)
    assert sorted(there) == sorted(f"s{n}" for n in range(20))


async def test_a_running_feed_hears_within_two_seconds(two: tuple[Scope, Scope]) -> None:
    one, other = two
    heard: asyncio.Queue[str] = asyncio.Queue()
    with bind(other):
        changes.feed().subscribe("channel", heard.put_nowait)
        running = asyncio.create_task(changes.feed().run())
    try:
        async with asyncio.timeout(3):
            assert await heard.get() == ""
            await record(one, "ch_1")
            assert await heard.get() == "ch_1"
    finally:
        running.cancel()
        await asyncio.wait([running])
