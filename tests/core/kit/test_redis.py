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


async def test_a_cancelled_caller_leaves_wherever_it_waits(redis_url: str) -> None:
    for steps in range(40):
        client = open_redis(redis_url)
        if steps % 2:
            await client.ping()
        command = asyncio.ensure_future(client.ping())
        for _ in range(steps // 2):
            await asyncio.sleep(0)
        if not command.done():
            command.cancel()
            with pytest.raises(asyncio.CancelledError):
                await command
        assert await client.echo("alive") == b"alive"
        await close_redis(client)


async def test_a_redis_that_hangs_is_left_and_its_late_answer_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "ANSWER_S", 0.1)
    calls = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        while request := await reader.read(1000):
            if b"SETINFO" in request:
                writer.write(b"+OK\r\n" * request.count(b"SETINFO"))
                continue
            calls += 1
            await asyncio.sleep(0.2 if calls == 1 else 0)
            writer.write(b"$4\r\nlate\r\n" if calls == 1 else b"$4\r\ngood\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    client = open_redis(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        with pytest.raises(TimeoutError):
            await client.get("x")
        await asyncio.sleep(0.2)
        assert await client.get("x") == b"good"
    finally:
        await close_redis(client)
        server.close()


def test_another_address_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        open_redis("http://127.0.0.1/")
