"""Guessing is counted across processes, and refused when it cannot be counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core import limits
from core.kit.errors import TooMany, Unavailable
from core.kit.scope import Scope, bind
from tests.core.scopes import opened


@pytest_asyncio.fixture
async def scope(database_url: str, redis_url: str) -> AsyncIterator[Scope]:
    async with opened(database_url, redis_url=redis_url) as scope:
        with bind(scope):
            yield scope


async def test_the_try_after_the_last_has_to_wait_and_is_told_how_long(scope: Scope) -> None:
    for _ in range(5):
        await limits.guess("link.claim", "acc_1", 5, 600)
    with pytest.raises(TooMany) as refused:
        await limits.guess("link.claim", "acc_1", 5, 600)
    assert refused.value.retry_after_s is not None
    assert 110 <= refused.value.retry_after_s <= 120
    assert refused.value.params["minutes"] == 2


async def test_subjects_and_buckets_are_counted_apart(scope: Scope) -> None:
    await limits.guess("login.name", "mei", 1, 600)
    await limits.guess("login.name", "lin", 1, 600)
    await limits.guess("login.address", "mei", 1, 600)
    with pytest.raises(TooMany):
        await limits.guess("login.name", "mei", 1, 600)


async def test_the_bucket_fills_again_with_time(scope: Scope) -> None:
    await limits.guess("b", "s", 2, 0.4)
    await limits.guess("b", "s", 2, 0.4)
    with pytest.raises(TooMany):
        await limits.guess("b", "s", 2, 0.4)
    await asyncio.sleep(0.25)
    await limits.guess("b", "s", 2, 0.4)


async def test_a_right_guess_starts_afresh(scope: Scope) -> None:
    await limits.guess("b", "s", 1, 600)
    await limits.forget("b", "s")
    await limits.guess("b", "s", 1, 600)


async def test_two_processes_count_as_one(database_url: str, redis_url: str) -> None:
    outcomes: list[str] = []
    async with opened(database_url, redis_url=redis_url) as one, opened(database_url, redis_url=redis_url) as other:

        async def attempt(scope: Scope) -> None:
            with bind(scope):
                try:
                    await limits.guess("b", "s", 7, 600)
                except TooMany:
                    outcomes.append("refused")
                else:
                    outcomes.append("allowed")

        await asyncio.gather(*(attempt(one if n % 2 else other) for n in range(30)))
    assert outcomes.count("allowed") == 7
    assert outcomes.count("refused") == 23


async def test_nobody_guesses_while_nobody_counts(database_url: str) -> None:
    for address in (None, "redis://127.0.0.1:1/0"):
        async with opened(database_url, redis_url=address) as scope:
            with bind(scope):
                with pytest.raises(Unavailable):
                    await limits.guess("b", "s", 5, 600)
                await limits.forget("b", "s")


async def test_what_is_guessed_leaves_no_name_in_redis_and_no_bucket_for_ever(scope: Scope) -> None:
    await limits.guess("login.name", "mei@example.org", 5, 600)
    assert scope.redis is not None
    names = [key async for key in scope.redis.scan_iter(match=f"{scope.keys.prefix}*")]
    assert len(names) == 1
    assert b"mei" not in names[0]
    assert 0 < await scope.redis.ttl(names[0]) <= 600
