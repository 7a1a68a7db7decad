"""Following through gaps: a lost log, a capped one, one that is away. Nothing is lost or doubled for the reader."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from core import live, turns
from core.chat import Finished, Snapshot, TextAdded, TurnEvent, wire
from core.kit.errors import NotFound
from core.kit.ids import TurnId, new_id
from core.kit.scope import Scope
from core.live import Cursor, LogUnavailable, MemoryLog, event_log
from core.turns import following, outbox, runner
from tests.core.turns.conftest import Upstream, ask, check_books, latest, quiet, said, until_end, until_text


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CHECKPOINT_S", 0.1)
    monkeypatch.setattr(following, "POLL_S", 0.05)
    monkeypatch.setattr(following, "GAP_PAUSE_S", 0.05)
    monkeypatch.setattr(outbox, "RETRY_S", 0.1)


@pytest.fixture
def log(house: Scope) -> MemoryLog:
    opened = live.log()
    assert isinstance(opened, MemoryLog)
    return opened


class Away:
    """Makes a log answer like a Redis that is not there."""

    def __init__(self, log: MemoryLog, patch: pytest.MonkeyPatch) -> None:
        self.on = False
        for name in ("append", "append_next", "read", "tail", "signal"):
            patch.setattr(log, name, self._guarded(getattr(log, name)))

    def _guarded(self, method: Any) -> Any:
        async def call(*args: Any, **more: Any) -> Any:
            if self.on:
                raise LogUnavailable
            return await method(*args, **more)

        return call


async def test_a_log_lost_in_mid_answer_is_bridged_by_a_snapshot(upstream: Upstream, log: MemoryLog) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    upstream.says("one", first, " two", second, " three")
    turn = await turns.start(ask("count"))
    events: list[TurnEvent] = []

    async def read() -> None:
        async with aclosing(turns.follow(turn.id)) as followed:
            async for numbered in followed:
                events.append(numbered.event)

    reading = asyncio.create_task(read())
    await until_text(turn, "one")
    log.lose(live.turn_topic(turn.id))
    first.set()
    await asyncio.sleep(0.3)
    second.set()
    await asyncio.wait_for(reading, 5)
    assert said(events) == "one two three"
    assert any(isinstance(event, Snapshot) for event in events)
    assert isinstance(events[-1], Finished)


async def test_coming_back_to_another_epoch_begins_with_a_snapshot(upstream: Upstream, log: MemoryLog) -> None:
    gate = asyncio.Event()
    upstream.says("one", gate, " two")
    turn = await turns.start(ask("count"))
    await until_text(turn, "one")
    await asyncio.sleep(0.3)
    reading = asyncio.create_task(until_end(turn, after=Cursor("other", 1)))
    await asyncio.sleep(0.1)
    gate.set()
    events = await reading
    assert isinstance(events[0], Snapshot)
    assert events[0].message.text == "one"
    assert said(events) == "one two"


async def test_who_comes_late_to_a_capped_log_gets_a_snapshot(
    upstream: Upstream, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "TURN_LIMITS", event_log.Limits(5, 60))
    gate = asyncio.Event()
    upstream.says(*(step for _ in range(12) for step in ("word ", 0.06)), gate, "end")
    turn = await turns.start(ask("many"))
    await until_text(turn, "word " * 12)
    await asyncio.sleep(0.2)
    reading = asyncio.create_task(until_end(turn))
    await asyncio.sleep(0.1)
    gate.set()
    events = await reading
    assert isinstance(events[0], Snapshot)
    assert said(events) == "word " * 12 + "end"


async def test_while_the_log_is_away_the_answer_goes_on_and_followers_read_the_row(
    upstream: Upstream, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(log, monkeypatch)
    gates = [asyncio.Event() for _ in range(3)]
    upstream.says("one", gates[0], " two", gates[1], " three", gates[2], " four")
    turn = await turns.start(ask("count"))
    events: list[TurnEvent] = []

    async def read() -> None:
        async with aclosing(turns.follow(turn.id)) as followed:
            async for numbered in followed:
                events.append(numbered.event)

    await until_text(turn, "one")
    away.on = True
    reading = asyncio.create_task(read())
    gates[0].set()
    async with asyncio.timeout(5):
        while said(events) != "one two":
            await asyncio.sleep(0.02)
    gates[1].set()
    async with asyncio.timeout(5):
        while said(events) != "one two three":
            await asyncio.sleep(0.02)
    away.on = False
    gates[2].set()
    await asyncio.wait_for(reading, 5)
    assert said(events) == "one two three four"
    assert isinstance(events[-1], Finished)
    await quiet()
    await check_books()


async def test_a_turn_that_begins_and_ends_while_the_log_is_away(
    upstream: Upstream, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(log, monkeypatch)
    away.on = True
    turn = await turns.start(ask("hi"))
    events = await until_end(turn)
    assert isinstance(events[-1], Finished)
    assert said(events) == "Hello world"
    await quiet()
    assert (await latest(turn)).cost_micro > 0
    await check_books()


async def test_a_short_absence_of_the_log_costs_no_word(
    upstream: Upstream, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(log, monkeypatch)
    upstream.says(*(step for number in range(20) for step in (f"{number} ", 0.03)))
    turn = await turns.start(ask("count"))
    await asyncio.sleep(0.1)
    away.on = True
    await asyncio.sleep(0.2)
    away.on = False
    await quiet()
    page = await log.read(live.turn_topic(turn.id), 0)
    assert "".join(_texts(page)) == "".join(f"{number} " for number in range(20))
    assert [entry.seq for entry in page.entries] == list(range(1, len(page.entries) + 1))


def _texts(page: event_log.Page) -> list[str]:
    loaded = [wire.load_event(wire.decode(entry.data)) for entry in page.entries]
    return [event.text for event in loaded if isinstance(event, TextAdded)]


async def test_an_unknown_turn_is_not_found(house: Scope) -> None:
    with pytest.raises(NotFound):
        await until_end(TurnId(new_id("turn")))


async def test_a_stop_while_the_log_is_away_is_read_from_the_row(
    upstream: Upstream, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(log, monkeypatch)
    upstream.says("on and on", asyncio.Event())
    turn = await turns.start(ask("go"))
    await until_text(turn, "on and on")
    away.on = True
    await turns.cancel(turn.id, by=turn.account)
    assert isinstance((await until_end(turn))[-1], Finished)
    await quiet()
    await check_books()
