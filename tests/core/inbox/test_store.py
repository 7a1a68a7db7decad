"""Platform events are stored once and worked on in order; a bad one stops nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from core import inbox
from core.kit.orm import read
from core.kit.scope import Scope, bind
from tests.core.scopes import opened
from tests.fakes.clock import FakeClock


@pytest_asyncio.fixture
async def scope(database_url: str) -> AsyncIterator[Scope]:
    async with opened(database_url) as scope:
        with bind(scope):
            yield scope


async def pending_ids(platform: str = "telegram", bot: str = "7") -> list[str]:
    return [event.event_id for event in await inbox.pending(platform, bot)]


async def test_a_repeated_event_is_kept_once_with_its_first_payload(scope: Scope) -> None:
    assert await inbox.store("telegram", "7", [("1", "{}"), ("2", '{"a": 1}')]) == 2
    assert await inbox.store("telegram", "7", [("2", '{"a": 2}'), ("3", "{}")]) == 1
    assert await inbox.store("telegram", "8", [("1", "{}")]) == 1
    assert await inbox.store("telegram", "7", []) == 0
    events = await inbox.pending("telegram", "7")
    assert [(event.event_id, event.payload, event.tries) for event in events] == [
        ("1", "{}", 0),
        ("2", '{"a": 1}', 0),
        ("3", "{}", 0),
    ]


async def test_two_pollers_that_store_the_same_events_keep_each_once(scope: Scope) -> None:
    batch = [(str(n), "{}") for n in range(250)]
    stored = await asyncio.gather(*(inbox.store("telegram", "7", batch) for _ in range(4)))
    assert sum(stored) == 250
    assert sorted(await pending_ids(), key=int)[:3] == ["0", "1", "2"]
    assert len(await inbox.pending("telegram", "7", limit=300)) == 250


async def test_a_done_event_leaves_no_content_and_is_still_recognised(scope: Scope) -> None:
    await inbox.store("discord", "b", [("1", "secret words")])
    (event,) = await inbox.pending("discord", "b")
    await inbox.done(event.id)
    await inbox.done(event.id)
    assert await pending_ids("discord", "b") == []
    assert await inbox.store("discord", "b", [("1", "secret words")]) == 0
    assert (await read("SELECT payload FROM inbox"))[0]["payload"] == ""


async def test_a_failed_event_is_put_aside_and_the_next_goes_on(scope: Scope) -> None:
    await inbox.store("telegram", "7", [("1", "not json"), ("2", "{}")])
    first, second = await inbox.pending("telegram", "7")
    await inbox.failed(first.id, "DecodeError\u202e" + "x" * 500)
    await inbox.done(first.id)
    assert await pending_ids() == ["2"]
    (row,) = await read("SELECT state, tries, error FROM inbox WHERE id = $1", [first.id])
    assert (row["state"], row["tries"], len(row["error"])) == ("failed", 1, 200)
    await inbox.done(second.id)
    assert await pending_ids() == []


async def test_old_events_are_pruned_when_no_platform_repeats_them_any_more(scope: Scope) -> None:
    clock = scope.clock
    assert isinstance(clock, FakeClock)
    await inbox.store("telegram", "7", [("1", "{}"), ("2", "{}"), ("3", "{}")])
    first, second, _ = await inbox.pending("telegram", "7")
    await inbox.done(first.id)
    await inbox.failed(second.id, "DecodeError")
    assert await inbox.prune() == 0
    clock.jump(3 * 86_400)
    assert await inbox.prune() == 1
    clock.jump(5 * 86_400)
    assert await inbox.prune() == 1
    assert await pending_ids() == ["3"]
