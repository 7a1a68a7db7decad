"""Everything about money at once, from two processes: the books agree and nobody spends what is not there.

Each attempt runs in a task of its own, every second one in the other process, and reports how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TypeVar

import pytest

from core import billing, calls
from core.billing import ClosePot, Credit, HoldState, Reason, owners
from core.chat import Call, Finish, FinishReason, Role, TextDelta, Usage, UsageDelta, text_message
from core.kit.errors import AppError, Conflict, NotAffordable
from core.kit.ids import ModelName, RequestId, new_id
from core.kit.orm import unit_of_work
from core.kit.scope import Scope, bind, current
from core.reports import run as broken
from core.router import Audience
from tests.core.billing.builders import MINUTE, account, capture, give, hold, quoted, release, stands
from tests.core.calls.routing import Routing

T = TypeVar("T")
Processes = tuple[Scope, Scope]


async def at_once(processes: Processes, count: int, attempt: Callable[[int], Awaitable[T]]) -> list[T | AppError]:
    async def run(number: int) -> T | AppError:
        with bind(processes[number % 2]):
            try:
                return await attempt(number)
            except AppError as refusal:
                return refusal

    async with asyncio.timeout(60):
        return list(await asyncio.gather(*(run(number) for number in range(count))))


async def test_fifty_spenders_on_a_balance_for_ten(processes: Processes) -> None:
    payer = account()
    await give(payer, 1000)

    async def spend(number: int) -> int:
        held = await hold(payer, 100, f"v1:{number}")
        entries = await capture(payer, held.id, 100)
        return sum(entry.amount for entry in entries)

    outcomes = await at_once(processes, 50, spend)
    assert outcomes.count(-100) == 10
    assert sum(isinstance(outcome, NotAffordable) for outcome in outcomes) == 40
    assert await stands(payer) == (0, 0)


async def test_spenders_that_overshoot_never_pass_the_floor(processes: Processes) -> None:
    payer = account()
    await give(payer, 1000)

    async def spend(number: int) -> int:
        held = await hold(payer, 100, f"v1:{number}")
        entries = await capture(payer, held.id, 170)
        return -sum(entry.amount for entry in entries)

    outcomes = await at_once(processes, 50, spend)
    taken = sum(outcome for outcome in outcomes if isinstance(outcome, int))
    assert 0 < sum(isinstance(outcome, int) for outcome in outcomes) <= 10
    assert await stands(payer) == (1000 - taken, 0)
    assert taken <= 1000


async def test_a_hundred_replays_of_one_key_hold_once(processes: Processes) -> None:
    payer = account()
    await give(payer, 1000)
    outcomes = await at_once(processes, 100, lambda _: hold(payer, 100, "v1:same"))
    holds = [outcome for outcome in outcomes if not isinstance(outcome, AppError)]
    assert len(holds) == 100
    assert len({each.id for each in holds}) == 1
    assert sum(not each.replayed for each in holds) == 1
    assert await stands(payer) == (1000, 100)


async def test_a_hundred_replays_of_a_free_call_count_once(processes: Processes) -> None:
    payer = account()
    outcomes = await at_once(processes, 100, lambda _: hold(payer, 0, "v1:same"))
    assert sum(not isinstance(each, AppError) and not each.replayed for each in outcomes) == 1
    assert not any(isinstance(each, AppError) for each in outcomes)
    assert await stands(payer) == (0, 0)


async def test_a_hundred_replays_of_a_credit_give_once(processes: Processes) -> None:
    payer = account()
    outcomes = await at_once(processes, 100, lambda _: give(payer, 7, "code:1"))
    assert len({outcome.id for outcome in outcomes if not isinstance(outcome, AppError)}) == 1
    assert await stands(payer) == (7, 0)


async def test_a_hundred_replays_of_a_capture_charge_once(processes: Processes) -> None:
    payer = account()
    await give(payer, 1000)
    held = await hold(payer, 100)
    outcomes = await at_once(processes, 100, lambda number: capture(payer, held.id, number))
    charged = {entry.amount for each in outcomes if not isinstance(each, AppError) for entry in each}
    assert len(charged) <= 1
    assert await stands(payer) == (1000 + sum(charged), 0)


async def test_credits_and_captures_on_one_pot_lose_nothing(processes: Processes) -> None:
    payer = account()
    await give(payer, 10_000)
    holds = [await hold(payer, 100, f"turn:{number}") for number in range(20)]

    async def move(number: int) -> object:
        if number < 20:
            return await capture(payer, holds[number].id, 60)
        return await give(payer, 11, f"grant:late:{number}")

    outcomes = await at_once(processes, 60, move)
    assert not any(isinstance(outcome, AppError) for outcome in outcomes)
    assert await stands(payer) == (10_000 - 20 * 60 + 40 * 11, 0)


async def test_capture_and_release_of_one_hold_have_one_winner(processes: Processes) -> None:
    payer = account()
    await give(payer, 1000)
    for round_ in range(5):
        held = await hold(payer, 100, f"turn:{round_}")
        before = (await stands(payer))[0]

        async def end(number: int, held: billing.Hold = held) -> object:
            if number % 3 == 0:
                await release(held.id)
                return None
            return await capture(payer, held.id, 10)

        outcomes = await at_once(processes, 9, end)
        state = (await billing.find_hold(held.id))[0].state
        refused = {outcome.code for outcome in outcomes if isinstance(outcome, AppError)}
        if state is HoldState.CAPTURED:
            assert refused == {"hold_captured"}
            assert await stands(payer) == (before - 10, 0)
        else:
            assert state is HoldState.RELEASED
            assert refused == {"hold_released"}
            assert await stands(payer) == (before, 0)


async def test_a_sweep_and_a_capture_charge_once(processes: Processes) -> None:
    payer = account()
    await give(payer, 1000)
    holds = [await hold(payer, 20, f"turn:{number}", minutes=1) for number in range(20)]
    for process in processes:
        process.clock.jump(61)  # type: ignore[attr-defined]

    async def end(number: int) -> object:
        if number >= 20:
            return await owners.sweep()
        return await capture(payer, holds[number].id, 15)

    outcomes = await at_once(processes, 24, end)
    assert not any(isinstance(outcome, AppError) for outcome in outcomes)
    assert await stands(payer) == (1000 - 20 * 15, 0)


async def test_pots_named_in_opposite_order_wait_for_nobody_in_a_circle(processes: Processes) -> None:
    payers = [account() for _ in range(6)]

    async def move(number: int) -> object:
        order = payers if number % 3 else payers[::-1]
        ops = [Credit(payer, 1, f"c:{number}", Reason.GRANT) for payer in order[number % 2 :]]
        return await unit_of_work(lambda work: billing.post(work, ops))

    outcomes = await at_once(processes, 40, move)
    assert not any(isinstance(outcome, AppError) for outcome in outcomes)
    given = [(await stands(payer))[0] for payer in payers]
    assert sum(given) == sum(6 - number % 2 for number in range(40))


async def test_nothing_is_held_in_or_given_to_an_account_that_was_merged(processes: Processes) -> None:
    loser, survivor = account(), account()
    await give(loser, 1000)

    async def move(number: int) -> object:
        if number == 7:
            merge = ClosePot(loser, survivor, "merge:lnk_1")
            return await unit_of_work(lambda work: billing.post(work, [merge]))
        if number % 2:
            return await give(loser, 1, f"late:{number}")
        held = await hold(loser, 10, f"turn:{number}")
        await release(held.id)
        return None

    outcomes = await at_once(processes, 40, move)
    refused = {outcome.code for outcome in outcomes if isinstance(outcome, Conflict)}
    assert refused <= {"pot_closed", "link_busy"}
    total = 1000 + sum(isinstance(outcome, billing.Entry) for outcome in outcomes)
    left, moved = await stands(loser), await stands(survivor)
    assert left[1] == moved[1] == 0
    assert left[0] + moved[0] == total
    assert isinstance(outcomes[7], Conflict) or left[0] == 0


async def test_fifty_calls_on_a_balance_for_ten_reach_the_upstream_ten_times(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    routing = Routing()
    routing.steps = [TextDelta("x" * 36), UsageDelta(Usage(input=60, output=40)), Finish(FinishReason.STOP)]
    monkeypatch.setattr("core.calls.stream.router", SimpleNamespace(stream=routing.stream))
    payer = calls.Payer(account(), "default", is_admin=False)
    await give(payer.account, 1000)

    async def ask(number: int) -> int:
        held = await calls.reserve(
            payer,
            quoted(100),
            key=f"v1:{number}",
            owner=current().owner,
            expires_in=MINUTE,
            reason=Reason.API,
            work=None,
        )
        audience = Audience(payer.account, payer.group, payer.is_admin)
        call = Call(ModelName("glm"), (text_message(Role.USER, "hello"),))
        async with calls.paid_stream(
            call, held, audience=audience, request_id=RequestId(new_id("req")), deadline_s=60
        ) as paid:
            await paid.open()
            async for _ in paid.deltas():
                pass
            return (await paid.settle()).cost_micro

    outcomes = await at_once(processes, 50, ask)
    assert outcomes.count(100) == routing.closed == 10
    assert sum(isinstance(outcome, NotAffordable) for outcome in outcomes) == 40
    assert await stands(payer.account) == (0, 0)
    assert await broken() == []
