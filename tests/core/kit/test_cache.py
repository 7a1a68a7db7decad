"""The cache keeps no value that a change has overtaken."""

from __future__ import annotations

import asyncio

from core.kit.cache import Cache


async def value_of(number: int | None) -> int | None:
    return number


async def test_a_value_is_read_once_and_absence_is_asked_again() -> None:
    cache: Cache[str, int] = Cache(2)
    assert await cache.get("a", lambda: value_of(None)) is None
    assert await cache.get("a", lambda: value_of(1)) == 1
    assert await cache.get("a", lambda: value_of(2)) == 1


async def test_the_least_recently_used_leaves_first() -> None:
    cache: Cache[str, int] = Cache(2)
    for number, key in enumerate("ab"):
        await cache.get(key, lambda number=number: value_of(number))
    await cache.get("a", lambda: value_of(9))
    await cache.get("c", lambda: value_of(2))
    assert await cache.get("a", lambda: value_of(9)) == 0
    assert await cache.get("b", lambda: value_of(9)) == 9
    assert len(cache) == 2


async def test_a_read_that_began_before_the_change_is_not_kept() -> None:
    for change in ("drop", "clear", "drop_where"):
        cache: Cache[str, int] = Cache(2)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(begun: asyncio.Event = begun, go_on: asyncio.Event = go_on) -> int:
            begun.set()
            await go_on.wait()
            return 1

        reading = asyncio.create_task(cache.get("a", slow))
        await begun.wait()
        if change == "drop":
            cache.drop("a")
        elif change == "clear":
            cache.clear()
        else:
            cache.drop_where(lambda value: value == 1)
        go_on.set()
        assert await reading == 1
        assert await cache.get("a", lambda: value_of(2)) == 2, change


async def test_a_failed_read_leaves_nothing_behind() -> None:
    cache: Cache[str, int] = Cache(2)

    async def broken() -> int:
        raise OSError

    for _ in range(2):
        try:
            await cache.get("a", broken)
        except OSError:
            continue
        raise AssertionError("the failure was swallowed")
    assert await cache.get("a", lambda: value_of(1)) == 1
