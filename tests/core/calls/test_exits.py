"""Whatever way a paid stream ends, its hold is captured or released, once, and the books agree.

A table of exits: how the upstream behaves, what the caller does, and what it costs in the end. Prices are one
micro-credit a token; the prompt is 100 tokens by its quote, and 36 letters are 10 tokens by estimate.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

import pytest

from core import billing, calls
from core.adapters import Fault, UpstreamError
from core.billing import HoldState, Quote, Reason
from core.calls import PaidStream, Payer, Reservation
from core.catalog import Charge
from core.chat import (
    Call,
    Finish,
    FinishReason,
    ImageDelta,
    ReasoningDelta,
    Role,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageDelta,
    text_message,
)
from core.kit import orm
from core.kit.errors import Conflict, NotAffordable, NotFound, Unavailable, UpstreamFailed
from core.kit.ids import ModelName, RequestId, TurnId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope
from core.kit.supervisor import SETTLEMENTS
from core.reports import run as broken
from core.router import Audience
from tests.core.billing.builders import account, give, stands
from tests.core.calls.routing import Routing, Step
from tests.fakes.clock import FakeClock

WORDS = TextDelta("x" * 36)
DONE = Finish(FinishReason.STOP)
TOLD = UsageDelta(Usage(input=50, output=7))
CUT = UpstreamError(Fault.TRUNCATED)
CALL = Call(ModelName("glm"), (text_message(Role.USER, "hello"),))
GIVEN = 1000


def quote(amount: int = 400) -> Quote:
    return Quote(
        model=ModelName("glm"),
        charge=Charge.TOKEN,
        price_in=Decimal(1),
        price_out=Decimal(1),
        currency="CNY",
        credits_per_unit=Decimal(1),
        price_version=3,
        input_tokens=100,
        max_output=300,
        amount=amount,
    )


async def reserved(payer: Payer, key: str = "turn:1", work: Work | None = None) -> Reservation:
    return await calls.reserve(
        payer,
        quote(),
        key=key,
        owner=TurnId(new_id("turn")),
        expires_in=timedelta(minutes=15),
        reason=Reason.CHAT,
        work=work,
    )


async def paying() -> tuple[Payer, Reservation]:
    payer = Payer(account(), "default", is_admin=False)
    await give(payer.account, GIVEN)
    return payer, await reserved(payer)


def paid_stream(held: Reservation) -> AbstractAsyncContextManager[PaidStream]:
    audience = Audience(held.payer.account, held.payer.group, held.payer.is_admin)
    return calls.paid_stream(CALL, held, audience=audience, request_id=RequestId(new_id("req")), deadline_s=600)


async def read_all(paid: PaidStream) -> None:
    await paid.open()
    async for _ in paid.deltas():
        pass


async def leaves_without_a_word(_: PaidStream) -> None:
    return


async def settles(paid: PaidStream) -> None:
    await read_all(paid)
    await unit_of_work(lambda work: paid.settle(work, memo={"door": "web"}))


async def settles_alone(paid: PaidStream) -> None:
    await read_all(paid)
    await paid.settle()
    await paid.settle()


async def relays(paid: PaidStream) -> None:
    await paid.open()
    async for _ in paid.frames():
        pass


async def answers_whole(paid: PaidStream) -> None:
    await paid.open()
    assert paid.body() == b"{}"


async def stops_after_words(paid: PaidStream) -> None:
    await paid.open()
    async for _ in paid.deltas():
        break
    await unit_of_work(paid.settle)


async def fails_itself(paid: PaidStream) -> None:
    await paid.open()
    async for _ in paid.deltas():
        raise RuntimeError("the caller's own")


async def loses_its_transaction(paid: PaidStream) -> None:
    await read_all(paid)

    async def body(work: Work) -> None:
        await paid.settle(work)
        raise ZeroDivisionError

    await unit_of_work(body)


@dataclass(frozen=True)
class Exit:
    """One way out."""

    name: str
    cost: int | None
    """What is charged in the end; None when the hold is released."""
    steps: list[Step] = field(default_factory=list)
    caller: Callable[[PaidStream], Awaitable[None]] = read_all
    refusal: BaseException | None = None
    no_route: BaseException | None = None
    raises: type[BaseException] | None = None
    cancel: bool = False


EXITS = [
    Exit("done, settled with its words", 57, [WORDS, TOLD, DONE], settles),
    Exit("done, settled alone and twice", 57, [WORDS, TOLD, DONE], settles_alone),
    Exit("done, nobody settled", 57, [WORDS, TOLD, DONE]),
    Exit("done, nothing reported", 110, [WORDS, DONE]),
    Exit("relayed", 57, [WORDS, TOLD, DONE], relays),
    Exit("a whole answer", 102, caller=answers_whole),
    Exit("thinking only", 110, [ReasoningDelta("x" * 36), DONE]),
    Exit("a tool call only", 110, [ToolCallDelta(0, "call_1", "look", "x" * 36), DONE]),
    Exit("a tool call without arguments", 100, [ToolCallDelta(0, "call_1", "look"), DONE]),
    Exit("a picture only", 100, [ImageDelta("data:image/png;base64,AA=="), DONE]),
    Exit("a picture only, relayed", 100, [ImageDelta("data:image/png;base64,AA=="), DONE], relays),
    Exit("an empty answer", None, [TOLD, DONE]),
    Exit("stopped after words", 110, [WORDS, WORDS, DONE], stops_after_words),
    Exit("stopped before words", None, caller=leaves_without_a_word),
    Exit("no route", None, no_route=Unavailable("no_route"), raises=Unavailable),
    Exit("refused", None, refusal=UpstreamFailed("upstream_failed", fault="key_dead"), raises=UpstreamFailed),
    Exit("cut after words", 110, [WORDS, CUT], raises=UpstreamError),
    Exit(
        "cut after words and a first count",
        60,
        [UsageDelta(Usage(input=50, output=1)), WORDS, CUT],
        raises=UpstreamError,
    ),
    Exit("cut before words", None, [CUT], raises=UpstreamError),
    Exit("the caller fails after words", 110, [WORDS, DONE], fails_itself, raises=RuntimeError),
    Exit("the caller's transaction fails", 57, [WORDS, TOLD, DONE], loses_its_transaction, raises=ZeroDivisionError),
    Exit("cancelled after words", 110, [WORDS, asyncio.Event()], cancel=True),
    Exit("cancelled before words", None, [asyncio.Event()], cancel=True),
]


@pytest.mark.parametrize("exit_", EXITS, ids=lambda each: each.name)
async def test_every_exit_settles_once(exit_: Exit, house: Scope, routing: Routing) -> None:
    routing.steps, routing.refusal, routing.no_route = exit_.steps, exit_.refusal, exit_.no_route
    payer, held = await paying()

    async def call() -> None:
        async with paid_stream(held) as paid:
            await exit_.caller(paid)

    calling = asyncio.create_task(call())
    if exit_.cancel:
        await asyncio.sleep(0.02)
        calling.cancel()
    (outcome,) = await asyncio.gather(calling, return_exceptions=True)
    if exit_.cancel:
        assert isinstance(outcome, asyncio.CancelledError)
        await house.supervisor.drain(5, group=SETTLEMENTS)
    else:
        assert (type(outcome) if outcome is not None else None) is exit_.raises

    # No waiting here: who hears of an end finds the credits back already.
    hold, entries = await billing.find_hold(held.hold_id)
    assert hold.state is (HoldState.RELEASED if exit_.cost is None else HoldState.CAPTURED)
    assert [entry.amount for entry in entries] == ([] if exit_.cost is None else [-exit_.cost])
    assert await stands(payer.account) == (GIVEN - (exit_.cost or 0), 0)
    assert await broken() == []
    assert routing.closed == (0 if exit_.no_route else 1)


async def test_a_settlement_tells_cost_balance_and_usage(house: Scope, routing: Routing) -> None:
    routing.steps = [WORDS, TOLD, DONE]
    _, held = await paying()
    async with paid_stream(held) as paid:
        await read_all(paid)
        assert paid.produced == WORDS.text
        assert paid.finish is FinishReason.STOP
        assert not paid.estimated
        settlement = await unit_of_work(lambda work: paid.settle(work, memo={"door": "web"}))
        assert paid.settled == settlement
    assert (settlement.cost_micro, settlement.balance_micro) == (57, GIVEN - 57)
    assert settlement.usage == Usage(input=50, output=7)
    (entry,) = (await billing.find_hold(held.hold_id))[1]
    assert entry.memo == {"model": "glm", "input": 50, "output": 7, "door": "web"}
    assert house.supervisor.running(SETTLEMENTS) == []


async def test_a_settlement_is_tried_again_while_the_database_is_away(
    house: Scope, routing: Routing, monkeypatch: pytest.MonkeyPatch
) -> None:
    routing.steps = [WORDS, DONE]
    clock = house.clock
    assert isinstance(clock, FakeClock)
    payer, held = await paying()
    away = 2

    async def flaky(body: Callable[[Work], Awaitable[object]]) -> object:
        nonlocal away
        if away:
            away -= 1
            raise Unavailable("database_unavailable")
        return await orm.unit_of_work(body)

    monkeypatch.setattr(importlib.import_module("core.calls.reserve"), "unit_of_work", flaky)
    monkeypatch.setattr("core.calls.stream.WAIT_S", 0.01)
    async with paid_stream(held) as paid:
        await read_all(paid)
    assert await stands(payer.account) == (GIVEN, 400)
    for _ in range(200):
        if not house.supervisor.running(SETTLEMENTS):
            break
        await clock.advance(1)
        await asyncio.sleep(0.005)
    assert away == 0
    assert await stands(payer.account) == (GIVEN - 110, 0)


async def test_an_ended_process_leaves_the_hold_to_the_sweep(house: Scope, routing: Routing) -> None:
    routing.steps = [WORDS, DONE]
    payer, held = await paying()
    await house.supervisor.cancel_all(timeout_s=1)
    async with paid_stream(held) as paid:
        await read_all(paid)
    assert await stands(payer.account) == (GIVEN, 400)
    settlement = await unit_of_work(lambda work: calls.settle_by_record(work, held.hold_id, WORDS.text, {}))
    assert settlement.cost_micro == 110
    assert await stands(payer.account) == (GIVEN - 110, 0)


@pytest.mark.usefixtures("house")
async def test_a_record_settles_what_a_dead_process_left() -> None:
    payer, held = await paying()
    first = await unit_of_work(lambda work: calls.settle_by_record(work, held.hold_id, WORDS.text, {"swept": True}))
    assert (first.cost_micro, first.balance_micro) == (110, GIVEN - 110)
    assert first.usage == Usage(input=100, output=10, estimated=True)
    again = await unit_of_work(lambda work: calls.settle_by_record(work, held.hold_id, "", {}))
    assert again == first
    assert await stands(payer.account) == (GIVEN - 110, 0)


@pytest.mark.usefixtures("house")
async def test_a_record_without_words_gives_everything_back() -> None:
    payer, held = await paying()
    for _ in range(2):
        settlement = await unit_of_work(lambda work: calls.settle_by_record(work, held.hold_id, "", {}))
        assert (settlement.cost_micro, settlement.balance_micro) == (0, GIVEN)
    assert await stands(payer.account) == (GIVEN, 0)


async def test_a_record_of_an_expired_hold_is_a_late_debit(house: Scope) -> None:
    assert isinstance(house.clock, FakeClock)
    payer, held = await paying()
    house.clock.jump(16 * 60)
    assert await billing.owners.sweep() == 1
    settlement = await unit_of_work(lambda work: calls.settle_by_record(work, held.hold_id, WORDS.text, {}))
    assert settlement.cost_micro == 110
    assert await stands(payer.account) == (GIVEN - 110, 0)
    assert await broken() == []


@pytest.mark.usefixtures("house")
async def test_a_settlement_that_came_first_wins_over_the_record(routing: Routing) -> None:
    routing.steps = [WORDS, TOLD, DONE]
    _, held = await paying()
    async with paid_stream(held) as paid:
        await settles(paid)
    settlement = await unit_of_work(lambda work: calls.settle_by_record(work, held.hold_id, WORDS.text, {}))
    assert settlement.cost_micro == 57
    assert settlement.usage == Usage(input=50, output=7)


@pytest.mark.usefixtures("house")
async def test_a_known_key_is_refused_without_a_unit_of_work() -> None:
    payer, held = await paying()
    with pytest.raises(Conflict, match="request_running"):
        await reserved(payer)
    await calls.cancel(held)
    with pytest.raises(Conflict, match="request_repeated"):
        await reserved(payer)
    assert await stands(payer.account) == (GIVEN, 0)


@pytest.mark.usefixtures("house")
async def test_a_known_key_is_the_same_reservation_inside_one() -> None:
    payer, held = await paying()
    again = await unit_of_work(lambda work: reserved(payer, work=work))
    assert again == held
    await unit_of_work(lambda work: calls.cancel(held, work=work))
    assert await stands(payer.account) == (GIVEN, 0)


@pytest.mark.usefixtures("house")
async def test_who_cannot_pay_is_refused_before_any_call() -> None:
    poor = Payer(account(), "default", is_admin=False)
    with pytest.raises(NotAffordable):
        await reserved(poor)
    with pytest.raises(NotFound):
        await billing.find_hold(billing.find_hold.__name__)  # type: ignore[arg-type]
