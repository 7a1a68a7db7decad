"""Names in Redis: one deployment must not meet another, also on one server."""

from __future__ import annotations

import asyncio

import pytest

from core.kit import redis as kit
from core.kit.redis import Keys, answers, close_redis, deployment_prefix, open_redis


@pytest.mark.parametrize(
    "other",
    ["postgres://other:word@db/parley", "postgres://db/parley?sslmode=require", "postgres://DB/parley"],
)
def test_one_database_is_one_deployment_whoever_connects(other: str) -> None:
    assert deployment_prefix(other) == deployment_prefix("postgres://user:secret@db/parley")


@pytest.mark.parametrize(
    "other", ["postgres://db/other", "postgres://other/parley", "postgres://db:5433/parley", "sqlite:///db/parley"]
)
def test_another_database_is_another_deployment(other: str) -> None:
    if other.startswith("sqlite"):
        assert deployment_prefix(other) != deployment_prefix("sqlite:///db/other")
    assert deployment_prefix(other) != deployment_prefix("postgres://db/parley")


def test_every_name_starts_with_the_prefix_and_names_no_person() -> None:
    keys = Keys.of("postgres://db/parley")
    names = [keys.changes, keys.guess("login", "alice@example.com"), keys.queue("quick"), keys.key("a", 1)]
    assert all(name.startswith(keys.prefix) for name in names)
    assert not any("alice" in name for name in names)


async def test_more_callers_than_connections_wait_for_their_turn(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "CONNECTIONS", 2)
    client = open_redis(redis_url)
    try:
        assert await asyncio.gather(*(client.ping() for _ in range(20))) == [True] * 20
    finally:
        await close_redis(client)


async def test_a_redis_that_is_away_does_not_answer() -> None:
    client = open_redis("redis://127.0.0.1:1/0")
    assert not await answers(client)
    await close_redis(client)


def test_another_address_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        open_redis("http://127.0.0.1/")
