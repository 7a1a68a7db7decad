"""The throttle: never more than our share of Discord's limits, whatever is asked at once."""

from __future__ import annotations

import asyncio

import pytest

from bots.discord import throttle
from bots.discord.throttle import Throttle, Window
from tests.fakes.discord import BUCKETS


async def test_a_channel_takes_four_writes_and_then_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "WRITES_S", 0.3)
    clock = asyncio.get_running_loop().time
    guard, began = Throttle(), clock()
    made: list[float] = []

    async def write(method: str, path: str) -> None:
        await guard.admit(method, path)
        made.append(clock() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(write("POST", "/api/v10/channels/1/messages"))
    assert [sum(1 for at in made if at < bound) for bound in (0.29, 0.59, 2.0)] == [4, 8, 10]


async def test_edits_other_channels_and_interactions_do_not_wait_for_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "WRITES_S", 60.0)
    guard = Throttle()
    async with asyncio.timeout(1):
        for _ in range(4):
            await guard.admit("POST", "/api/v10/channels/1/messages")
            await guard.admit("PATCH", "/api/v10/channels/1/messages/9")
            await guard.admit("POST", "/api/v10/channels/2/messages")
        for _ in range(100):
            await guard.admit("POST", "/api/v10/interactions/1/token/callback")
            await guard.admit("PATCH", "/api/v10/webhooks/1/token/messages/@original")
        for _ in range(20):
            await guard.admit("POST", "/api/v10/channels/1/typing")


async def test_everything_together_stays_below_fifty_a_second() -> None:
    guard = Throttle()
    clock = asyncio.get_running_loop().time
    began = clock()
    for number in range(throttle.EVERYTHING + 5):
        await guard.admit("POST", f"/api/v10/channels/{number}/messages")
    assert 1.0 <= clock() - began < 2.0


def test_one_write_of_the_five_is_left_to_a_successor() -> None:
    for most, span_s in (BUCKETS["POST message"], BUCKETS["PATCH message"]):
        assert most > throttle.WRITES
        assert span_s < throttle.WRITES_S
    assert throttle.EVERYTHING < 50


def test_a_window_counts_any_span_of_its_length() -> None:
    window = Window(2, 10.0)
    window.take(0.0)
    window.take(9.0)
    assert window.wait_s(9.5) == 0.5
    assert window.wait_s(10.0) == 0.0
