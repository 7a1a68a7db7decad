"""The ledger over a real database: once a unit of work, first outcomes for ever, late debits, closing a pot."""

from __future__ import annotations

import asyncio

import pytest

from core import billing, settings
from core.billing import ClosePot, Credit, HoldState, Leg, Reason
from core.kit import changes
from core.kit.errors import BadInput, Conflict, NotAffordable, NotFound
from core.kit.ids import HoldId
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import Scope
from tests.core.billing.builders import MINUTE, account, capture, give, hold, quoted, release, stands
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.usefixtures("house")


async def state_of(held: HoldId) -> HoldState:
    return (await billing.find_hold(held))[0].state


async def test_a_hold_is_captured_in_part_and_the_rest_returns() -> None:
    payer = account()
    await give(payer, 1000)
    held = await hold(payer, 400)
    assert await stands(payer) == (1000, 400)
    (entry,) = await capture(payer, held.id, 150)
    assert (entry.amount, entry.reason, entry.reference, entry.key) == (-150, Reason.CHAT, held.id, held.key)
    assert await stands(payer) == (850, 0)
    assert await state_of(held.id) is HoldState.CAPTURED
    spent = await read("SELECT spent FROM hold_leg WHERE hold_id = $1", [held.id])
    assert spent == [{"spent": 150}]


async def test_a_release_returns_everything_and_writes_nothing() -> None:
    payer = account()
    await give(payer, 1000)
    held = await hold(payer, 400)
    await release(held.id)
    await release(held.id)
    assert await stands(payer) == (1000, 0)
    assert len(await billing.entries(payer)) == 1


async def test_a_hold_keeps_its_quote() -> None:
    payer = account()
    await give(payer, 10**15)
    held = await hold(payer, 123_456_789_012)
    found, entries = await billing.find_hold(held.id)
    assert found == held
    assert found.quote == quoted(123_456_789_012)
    assert entries == []


async def test_who_lacks_credits_is_refused_and_nothing_is_written() -> None:
    payer = account()
    await give(payer, 1_000_000)
    with pytest.raises(NotAffordable) as refusal:
        await hold(payer, 1_500_000)
    assert refusal.value.params == {"missing": "0.50", "needed": "1.50", "available": "1.00"}
    assert await stands(payer) == (1_000_000, 0)
    with pytest.raises(NotAffordable):
        await hold(account(), 1)
    assert await read("SELECT id FROM hold") == []


async def test_a_free_call_needs_no_credits_and_still_counts_once() -> None:
    payer = account()
    held = await hold(payer, 0)
    assert (await hold(payer, 0)).replayed
    assert list(await capture(payer, held.id, 0)) == []
    assert await stands(payer) == (0, 0)
    assert await state_of(held.id) is HoldState.CAPTURED


async def test_a_replayed_hold_is_the_first_one_as_it_stands_now() -> None:
    payer = account()
    await give(payer, 1000)
    first = await hold(payer, 400)
    again = await hold(payer, 999)
    assert (again.id, again.replayed, again.legs) == (first.id, True, first.legs)
    assert await stands(payer) == (1000, 400)
    await capture(payer, first.id, 1)
    assert (await hold(payer, 400)).state is HoldState.CAPTURED


async def test_another_payer_cannot_have_the_same_key() -> None:
    one, two = account(), account()
    await give(one, 1000)
    await give(two, 1000)
    await hold(one, 400, "v1:key")
    # A replay answers with what the key first did, whoever asks: doors put the account into the key.
    assert (await hold(two, 400, "v1:key")).replayed
    assert await stands(two) == (1000, 0)


async def test_a_replayed_capture_returns_the_first_entries() -> None:
    payer = account()
    await give(payer, 1000)
    held = await hold(payer, 400)
    first = await capture(payer, held.id, 150)
    assert list(await capture(payer, held.id, 399)) == list(first)
    assert await stands(payer) == (850, 0)
    with pytest.raises(Conflict, match="hold_captured"):
        await release(held.id)


async def test_a_released_hold_cannot_be_captured() -> None:
    payer = account()
    await give(payer, 1000)
    held = await hold(payer, 400)
    await release(held.id)
    with pytest.raises(Conflict, match="hold_released"):
        await capture(payer, held.id, 1)


async def test_an_unknown_hold_is_not_found() -> None:
    with pytest.raises(NotFound):
        await capture(account(), HoldId("hold_unknown"), 1)
    with pytest.raises(NotFound):
        await release(HoldId("hold_unknown"))
    with pytest.raises(NotFound):
        await billing.find_hold(HoldId("hold_unknown"))


async def test_a_replayed_credit_is_given_once_in_each_account() -> None:
    one, two = account(), account()
    first = await give(one, 500)
    assert await give(one, 700) == first
    assert (await give(two, 500)).id != first.id
    assert await stands(one) == (500, 0)
    assert await stands(two) == (500, 0)


async def test_a_debit_takes_only_what_is_available() -> None:
    payer = account()
    await give(payer, 1000)
    await hold(payer, 400)
    with pytest.raises(NotAffordable):
        await unit_of_work(lambda work: billing.debit(work, payer, 601, key="d", reason=Reason.GRANT))
    entry = await unit_of_work(lambda work: billing.debit(work, payer, 600, key="d", reason=Reason.GRANT))
    assert entry.amount == -600
    assert await stands(payer) == (400, 400)


async def test_a_second_money_call_in_one_unit_of_work_is_a_programming_error() -> None:
    payer = account()

    async def body(work: Work) -> None:
        await billing.credit(work, payer, 5, key="a", reason=Reason.GRANT)
        await billing.credit(work, payer, 5, key="b", reason=Reason.GRANT)

    with pytest.raises(AssertionError, match="second money call"):
        await unit_of_work(body)
    assert await stands(payer) == (0, 0)


async def test_several_operations_go_through_one_call() -> None:
    one, two = account(), account()
    await unit_of_work(
        lambda work: billing.post(
            work,
            [Credit(one, 5, "a", Reason.GRANT), Credit(two, 7, "a", Reason.GRANT), Credit(one, 1, "b", Reason.GRANT)],
        )
    )
    assert await stands(one) == (6, 0)
    assert await stands(two) == (7, 0)


async def test_one_refusal_undoes_the_whole_unit_of_work() -> None:
    one, two = account(), account()
    with pytest.raises(BadInput):
        await unit_of_work(
            lambda work: billing.post(work, [Credit(one, 5, "a", Reason.GRANT), Credit(two, -7, "a", Reason.GRANT)])
        )
    assert await stands(one) == (0, 0)


async def test_the_plain_form_raises_inside_a_unit_of_work() -> None:
    payer = account()
    held = await hold(payer, 0)

    async def body(_: Work) -> None:
        await billing.lane.release(held.id)

    with pytest.raises(RuntimeError):
        await unit_of_work(body)


async def test_the_plain_form_commits_by_itself() -> None:
    payer = account()
    await give(payer, 1000)
    pot = billing.credits_pot(payer)
    held = await billing.lane.hold(
        [Leg(pot, 300)], key="v1:1", owner="own_1", expires_in=MINUTE, reason=Reason.API, quote=quoted(300)
    )
    assert await stands(payer) == (1000, 300)
    (entry,) = await billing.lane.capture(held.id, {pot: 100}, memo={"door": "v1"})
    assert (entry.memo, entry.reason) == ({"door": "v1"}, Reason.API)
    assert await stands(payer) == (900, 0)
    other = await billing.lane.hold(
        [Leg(pot, 300)], key="v1:2", owner="own_1", expires_in=MINUTE, reason=Reason.API, quote=quoted(300)
    )
    await billing.lane.release(other.id)
    assert await stands(payer) == (900, 0)


async def test_the_floor_of_a_pot_is_the_setting_at_its_birth() -> None:
    early = account()
    await give(early, 100)
    await settings.load()
    await settings.set("billing.floor", "0.000050", by="cli")
    await changes.feed().catch_up()
    late = account()
    await give(late, 100)
    for payer, left in ((early, 0), (late, -50)):
        held = await hold(payer, 100, f"turn:{payer}")
        (entry,) = await capture(payer, held.id, 1000)
        assert await stands(payer) == (left, 0)
        assert entry.memo["waived"] == 900 + left
        with pytest.raises(NotAffordable):
            await hold(payer, 1, f"turn:{payer}:next")


async def test_a_capture_after_expiry_is_a_late_debit_under_the_same_key(house: Scope) -> None:
    assert isinstance(house.clock, FakeClock)
    payer = account()
    await give(payer, 500)
    held = await hold(payer, 400)
    house.clock.jump(16 * 60)
    assert await billing.owners.sweep() == 1
    assert await stands(payer) == (500, 0)
    assert await state_of(held.id) is HoldState.EXPIRED
    other = await hold(payer, 450, "turn:2")
    (late,) = await capture(payer, held.id, 300)
    # What another hold has set aside meanwhile is not there to be taken.
    assert (late.amount, late.key, late.memo["waived"]) == (-50, held.key, 250)
    assert list(await capture(payer, held.id, 300)) == [late]
    assert await stands(payer) == (450, 450)
    await release(other.id)
    assert await state_of(held.id) is HoldState.EXPIRED


async def test_closing_a_pot_moves_everything_by_two_entries() -> None:
    loser, survivor = account(), account()
    await give(loser, 700)
    await give(survivor, 50)
    merge = ClosePot(loser, survivor, "merge:lnk_1")
    (first,) = await unit_of_work(lambda work: billing.post(work, [merge]))
    (again,) = await unit_of_work(lambda work: billing.post(work, [merge]))
    assert first == again
    assert isinstance(first, tuple)
    assert [(entry.key, entry.amount) for entry in first] == [("merge:lnk_1:out", -700), ("merge:lnk_1:in", 700)]
    assert await stands(loser) == (0, 0)
    assert await stands(survivor) == (750, 0)
    for late in (hold(loser, 0, "late"), give(loser, 5, "late")):
        with pytest.raises(Conflict, match="pot_closed"):
            await late


async def test_a_pot_that_holds_cannot_be_closed() -> None:
    loser, survivor = account(), account()
    await give(loser, 700)
    held = await hold(loser, 10)
    merge = ClosePot(loser, survivor, "merge:lnk_1")
    with pytest.raises(Conflict, match="link_busy"):
        await unit_of_work(lambda work: billing.post(work, [merge]))
    await release(held.id)
    await unit_of_work(lambda work: billing.post(work, [merge]))
    assert await stands(survivor) == (700, 0)


async def test_an_account_without_a_pot_can_be_merged() -> None:
    loser, survivor = account(), account()
    (entries,) = await unit_of_work(lambda work: billing.post(work, [ClosePot(loser, survivor, "merge:lnk_1")]))
    assert entries == ()
    assert await stands(survivor) == (0, 0)


async def test_entries_come_newest_first_and_bounded() -> None:
    payer = account()
    for number in range(5):
        await give(payer, 1 + number, f"grant:{number}")
        # Ids made within one millisecond have no order.
        await asyncio.sleep(0.002)
    assert [entry.amount for entry in await billing.entries(payer, 3)] == [5, 4, 3]
    assert (await billing.entries(payer, 1))[0].created_at.tzinfo is not None
