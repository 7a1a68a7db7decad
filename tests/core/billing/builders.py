"""Payers, prices and money calls with honest defaults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from core import billing
from core.billing import Entry, Hold, Leg, Quote, Reason
from core.catalog import Charge, Model, Price
from core.chat import Profile
from core.kit.ids import AccountId, HoldId, ModelName, TurnId, new_id
from core.kit.orm import Work, read, unit_of_work

T = TypeVar("T")
MINUTE = timedelta(minutes=1)


def account() -> AccountId:
    return AccountId(new_id("acc"))


def model(price_in: str = "2", price_out: str = "8", charge: Charge = Charge.TOKEN) -> Model:
    return Model(
        name=ModelName("glm"),
        enabled=True,
        demo=False,
        profile=Profile(),
        charge=charge,
        price=Price(Decimal(price_in), Decimal(price_out), "CNY") if charge is Charge.TOKEN else None,
        price_version=1,
    )


def quoted(amount: int = 100) -> Quote:
    """A quote whose one input token costs one micro-credit."""
    return Quote(
        model=ModelName("glm"),
        charge=Charge.TOKEN,
        price_in=Decimal(1),
        price_out=Decimal(1),
        currency="CNY",
        credits_per_unit=Decimal(1),
        price_version=1,
        input_tokens=amount,
        max_output=0,
        amount=amount,
    )


async def in_work(body: Callable[[Work], Awaitable[T]]) -> T:
    return await unit_of_work(body)


async def give(payer: AccountId, amount: int, key: str = "grant:1") -> Entry:
    return await unit_of_work(lambda work: billing.credit(work, payer, amount, key=key, reason=Reason.GRANT))


async def hold(payer: AccountId, amount: int, key: str = "turn:1", owner: str = "", minutes: float = 15) -> Hold:
    return await unit_of_work(
        lambda work: billing.hold(
            work,
            [Leg(billing.credits_pot(payer), amount)],
            key=key,
            owner=owner or TurnId(new_id("turn")),
            expires_in=minutes * MINUTE,
            reason=Reason.CHAT,
            quote=quoted(amount),
        )
    )


async def capture(payer: AccountId, held: HoldId, spent: int) -> Sequence[Entry]:
    pot = billing.credits_pot(payer)
    return await unit_of_work(lambda work: billing.capture(work, held, {pot: spent}, memo={"model": "glm"}))


async def release(held: HoldId) -> None:
    await unit_of_work(lambda work: billing.release(work, held))


async def stands(payer: AccountId) -> tuple[int, int]:
    """Balance and held, after proving that the books of this account agree."""
    now = await billing.balance(payer)
    pot = billing.credits_pot(payer)
    (entries,) = await read("SELECT coalesce(sum(amount), 0) AS total FROM ledger_entry WHERE pot_id = $1", [pot])
    (legs,) = await read(
        "SELECT coalesce(sum(l.amount), 0) AS total FROM hold_leg l JOIN hold h ON h.id = l.hold_id "
        "WHERE l.pot_id = $1 AND h.state = 'open'",
        [pot],
    )
    assert (now.balance, now.held) == (int(entries["total"]), int(legs["total"]))
    return now.balance, now.held
