"""Who owns a hold, and what becomes of it when the owner is gone."""

from __future__ import annotations

import asyncio

import pytest

from core import billing
from core.billing import HoldState, owners, store
from core.kit import orm
from core.kit.ids import OwnerId, new_id
from core.kit.orm import read, unit_of_work
from core.kit.scope import Scope, bind
from tests.core.billing.builders import account, capture, give, hold, stands
from tests.core.scopes import opened
from tests.fakes.clock import FakeClock

LONG = 24 * 60.0


async def other_process(house: Scope) -> OwnerId:
    owner = OwnerId(new_id("own"))
    await unit_of_work(lambda work: store.put_owner(work, owner, "web", house.clock.now()))
    return owner


async def test_a_dead_owners_holds_are_released(house: Scope) -> None:
    assert isinstance(house.clock, FakeClock)
    mine = await owners.register("web")
    dead = await other_process(house)
    payer = account()
    await give(payer, 1000)
    theirs = await hold(payer, 300, "v1:a", owner=dead, minutes=LONG)
    await hold(payer, 200, "v1:b", owner=mine, minutes=LONG)
    await hold(payer, 100, "turn:c", minutes=LONG)
    house.clock.jump(owners.DEAD_AFTER_S - 1)
    assert await owners.sweep() == 0
    house.clock.jump(2)
    assert await owners.sweep() == 1
    assert await stands(payer) == (1000, 300)
    assert (await billing.find_hold(theirs.id))[0].state is HoldState.EXPIRED
    assert [row["id"] for row in await read("SELECT id FROM owner")] == [mine]


async def test_an_owner_that_only_slept_posts_what_it_spent(house: Scope) -> None:
    assert isinstance(house.clock, FakeClock)
    sleeper = await other_process(house)
    payer = account()
    await give(payer, 1000)
    held = await hold(payer, 300, "v1:a", owner=sleeper, minutes=LONG)
    house.clock.jump(60)
    await owners.sweep()
    (entry,) = await capture(payer, held.id, 120)
    assert (entry.amount, entry.memo["late"]) == (-120, True)
    assert await stands(payer) == (880, 0)


async def test_a_hold_of_an_unknown_process_is_released(house: Scope) -> None:
    payer = account()
    await give(payer, 1000)
    await hold(payer, 300, "v1:a", owner=new_id("own"), minutes=LONG)
    assert await owners.sweep() == 1
    assert await stands(payer) == (1000, 0)


async def test_at_the_start_of_an_embedded_process_every_other_owner_is_dead(house: Scope) -> None:
    killed = await other_process(house)
    payer = account()
    await give(payer, 1000)
    await hold(payer, 300, "v1:a", owner=killed, minutes=LONG)
    assert isinstance(house.clock, FakeClock)
    house.clock.jump(1)
    await owners.register("up")
    alone = orm.dialect() == "sqlite"
    assert await owners.sweep(at_start=True) == (1 if alone else 0)
    assert await stands(payer) == (1000, 0 if alone else 300)


async def test_an_overdue_hold_is_released_whoever_owns_it(house: Scope) -> None:
    assert isinstance(house.clock, FakeClock)
    mine = await owners.register("web")
    payer = account()
    await give(payer, 1000)
    await hold(payer, 300, "v1:a", owner=mine, minutes=1)
    await hold(payer, 100, "turn:b", minutes=1)
    await hold(payer, 50, "turn:c", minutes=3)
    house.clock.jump(61)
    assert await owners.sweep() == 2
    assert await stands(payer) == (1000, 50)


async def test_a_sweep_takes_many_holds_in_bounded_bites(house: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(house.clock, FakeClock)
    monkeypatch.setattr(owners, "BATCH", 3)
    payer = account()
    await give(payer, 1000)
    for number in range(8):
        await hold(payer, 10, f"turn:{number}", minutes=1)
    house.clock.jump(61)
    assert await owners.sweep() == 8
    assert await stands(payer) == (1000, 0)


async def test_a_beating_process_is_not_taken_for_dead(house: Scope) -> None:
    clock = house.clock
    assert isinstance(clock, FakeClock)
    mine = await owners.register("web")
    payer = account()
    await give(payer, 1000)
    await hold(payer, 300, "v1:a", owner=mine, minutes=LONG)
    beating = house.supervisor.spawn("billing.beat", owners.beat)
    async with opened(house.database.address.url, clock=clock) as second:
        for _ in range(owners.DEAD_AFTER_S // owners.BEAT_S + 2):
            await until_asleep(clock)
            await clock.advance(owners.BEAT_S)
        await until_asleep(clock)
        with bind(second):
            assert await owners.sweep() == 0
            beating.cancel()
            await asyncio.wait([beating])
            clock.jump(owners.DEAD_AFTER_S + 1)
            assert await owners.sweep() == 1


async def until_asleep(clock: FakeClock) -> None:
    for _ in range(5000):
        if clock._sleepers:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("nobody waits for the clock")
