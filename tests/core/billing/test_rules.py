"""Quotes and costs: never negative, never more than what was set aside, rounded once and upwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.billing import rules
from core.billing.types import (
    Capture,
    Credit,
    Debit,
    Entry,
    Expire,
    Hold,
    HoldState,
    Leg,
    Op,
    OpenHold,
    Pot,
    Reason,
    Release,
)
from core.catalog import Charge
from core.chat import Usage
from core.kit.errors import AppError, BadInput, Conflict, NotAffordable
from core.kit.ids import AccountId, EntryId, HoldId, PotId, new_id
from core.kit.money import MAX_CREDITS
from tests.core.billing.builders import model, quoted

prices = st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False).map(str)
rates = st.decimals(min_value=Decimal("0.000001"), max_value=1000, places=6, allow_nan=False)
counts = st.integers(min_value=0, max_value=2_000_000)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@given(price_in=prices, price_out=prices, rate=rates, asked=counts, answer=counts, used=counts, said=counts)
def test_a_usage_within_the_quote_never_costs_more_than_the_hold(
    *, price_in: str, price_out: str, rate: Decimal, asked: int, answer: int, used: int, said: int
) -> None:
    offer = rules.quote(model(price_in, price_out), asked, answer, rate)
    assert 0 <= rules.cost(Usage(input=min(used, asked), output=min(said, answer)), offer) <= offer.amount


@given(
    price_in=prices, price_out=prices, rate=rates, asked=counts, answer=counts, more_asked=counts, more_answer=counts
)
def test_more_tokens_never_cost_less(
    *, price_in: str, price_out: str, rate: Decimal, asked: int, answer: int, more_asked: int, more_answer: int
) -> None:
    offer = rules.quote(model(price_in, price_out), 0, 0, rate)
    less = rules.cost(Usage(input=asked, output=answer), offer)
    assert less <= rules.cost(Usage(input=asked + more_asked, output=answer + more_answer), offer)


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3)))
def test_no_reported_count_makes_a_cost_negative_or_no_number(count: Any) -> None:
    cost = rules.cost(Usage(input=count, output=count), rules.quote(model(), 10, 10, Decimal(10)))
    assert type(cost) is int
    assert 0 <= cost < 2**62


@given(prices, rates, st.integers(min_value=1, max_value=1000))
def test_a_call_with_a_price_never_costs_nothing(price: str, rate: Decimal, tokens: int) -> None:
    cost = rules.cost(Usage(input=tokens), rules.quote(model(price, price), 0, 0, rate))
    assert (cost > 0) == (Decimal(price) > 0)


def test_a_cost_is_tokens_times_price_times_rate() -> None:
    # 1,000,000 tokens at ¥2 are ¥2, 20 credits; 500,000 at ¥8 are ¥4, 40 credits.
    offer = rules.quote(model("2", "8"), 0, 0, Decimal(10))
    assert rules.cost(Usage(input=1_000_000, output=500_000), offer) == 60_000_000


def test_a_quote_without_a_limit_takes_the_models_own_cap() -> None:
    assert rules.quote(model(), 100, None, Decimal(10)).max_output == 4096


@pytest.mark.parametrize("charge", [Charge.FREE, Charge.UNPRICED])
def test_free_and_unpriced_models_set_nothing_aside(charge: Charge) -> None:
    offer = rules.quote(model(charge=charge), 10_000, None, Decimal(10))
    assert offer.amount == 0
    assert rules.cost(Usage(input=10_000, output=10_000), offer) == 0


PAYER = AccountId("acc_0000000000000000000000000a")
POT = rules.credits_pot(PAYER)


def pot(balance: int = 0, held: int = 0, floor: int = 0) -> Pot:
    return Pot(POT, PAYER, balance, held, floor)


def open_hold(amount: int, key: str = "k") -> OpenHold:
    return OpenHold((Leg(POT, amount),), key, "turn_1", timedelta(minutes=1), Reason.CHAT, quoted(amount))


def known(amount: int, state: HoldState = HoldState.OPEN) -> Hold:
    return Hold(HoldId("hold_1"), "k", state, (Leg(POT, amount),), "turn_1", quoted(amount), NOW)


def decide(books: rules.Books, *ops: Op) -> tuple[list[Any], rules.Changes]:
    return rules.decide(books, ops, now=NOW, entry_id=lambda: EntryId(new_id("ent")))


def test_the_pot_of_an_account_is_known_without_looking() -> None:
    assert POT == "pot_0000000000000000000000000a"
    assert rules.owner_of(POT) == PAYER


@pytest.mark.parametrize(
    ("balance", "held", "amount", "refused"),
    [
        (100, 0, 100, False),
        (100, 1, 100, True),
        (0, 0, 1, True),
        (0, 0, 0, False),
        (-5, 0, 0, False),
        (-5, 0, 1, True),
    ],
)
def test_a_hold_needs_what_is_available(balance: int, held: int, amount: int, refused: bool) -> None:
    # The floor is for overshoot: it makes no hold affordable.
    (outcome,), changes = decide(rules.Books({POT: pot(balance, held, floor=50)}), open_hold(amount))
    assert isinstance(outcome, NotAffordable) == refused
    assert bool(changes.opened) != refused
    assert refused or changes.pots[POT].held == held + amount


def test_a_refusal_says_what_is_missing_in_credits() -> None:
    (refusal,), _ = decide(rules.Books({POT: pot(2_000_000, 500_000)}), open_hold(5_000_000))
    assert refusal.params == {"missing": "3.50", "needed": "5.00", "available": "1.50"}
    assert refusal.status == 402


def test_operations_are_decided_one_after_another() -> None:
    outcomes, changes = decide(rules.Books({POT: pot(100)}), open_hold(60, "a"), open_hold(60, "b"), open_hold(40, "c"))
    assert [isinstance(outcome, NotAffordable) for outcome in outcomes] == [False, True, False]
    assert changes.pots[POT] == pot(100, 100)


@pytest.mark.parametrize(
    ("balance", "held", "floor", "reserved", "spent", "taken"),
    [
        (100, 40, 0, 40, 30, 30),
        (100, 40, 0, 40, 0, 0),
        (100, 40, 0, 40, 90, 90),
        (100, 40, 0, 40, 150, 100),
        (100, 40, 20, 40, 150, 120),
        (100, 90, 0, 40, 60, 50),
        (40, 40, 0, 40, 41, 40),
        # A balance already below its floor still pays what was set aside, and no more.
        (10, 40, 0, 40, 80, 40),
    ],
)
def test_overshoot_goes_down_to_the_floor_only_and_never_into_other_holds(
    *, balance: int, held: int, floor: int, reserved: int, spent: int, taken: int
) -> None:
    books = rules.Books({POT: pot(balance, held, floor)}, [known(reserved)])
    (entries,), changes = decide(books, Capture(HoldId("hold_1"), {POT: spent}))
    assert [entry.amount for entry in entries] == ([-taken] if taken else [])
    assert changes.pots[POT] == pot(balance - taken, held - reserved, floor)
    if spent > taken:
        assert entries[0].memo["waived"] == spent - taken


@given(
    balance=st.integers(-1000, 1000),
    others=st.integers(0, 500),
    floor=st.integers(0, 500),
    reserved=st.integers(0, 500),
    spent=st.integers(0, 5000),
    late=st.booleans(),
)
def test_no_capture_breaks_the_floor(
    *, balance: int, others: int, floor: int, reserved: int, spent: int, late: bool
) -> None:
    before = pot(balance, others + (0 if late else reserved), floor)
    state = HoldState.EXPIRED if late else HoldState.OPEN
    (entries,), changes = decide(
        rules.Books({POT: before}, [known(reserved, state)]), Capture(HoldId("hold_1"), {POT: spent})
    )
    after = changes.pots.get(POT, before)
    assert after.held == others
    assert after.available >= min(-floor, before.available)
    assert before.balance - after.balance == -sum(entry.amount for entry in entries) <= spent


def test_a_captured_hold_replays_its_first_entries() -> None:
    first = Entry(EntryId("ent_1"), POT, PAYER, -30, Reason.CHAT, "hold_1", "k", {}, NOW)
    books = rules.Books({POT: pot(70)}, [known(40, HoldState.CAPTURED)], [first])
    (entries,), changes = decide(books, Capture(HoldId("hold_1"), {POT: 99}))
    assert entries == (first,)
    assert not changes.pots
    assert not changes.entries


def test_an_expired_hold_takes_one_late_debit() -> None:
    books = rules.Books({POT: pot(70)}, [known(40, HoldState.EXPIRED)])
    capture = Capture(HoldId("hold_1"), {POT: 30})
    (first, second), changes = decide(books, capture, capture)
    assert [entry.amount for entry in first] == [-30]
    assert first[0].key == "k"
    assert first[0].memo["late"] is True
    assert second == first
    assert changes.pots[POT] == pot(40)
    assert not changes.moved


def test_a_late_debit_takes_nothing_from_a_closed_pot() -> None:
    closed = Pot(POT, PAYER, 0, 0, floor=50, closed=True)
    books = rules.Books({POT: closed}, [known(40, HoldState.EXPIRED)])
    (entries,), _ = decide(books, Capture(HoldId("hold_1"), {POT: 30}))
    assert entries == ()


@pytest.mark.parametrize(
    ("state", "op", "code"),
    [
        (HoldState.RELEASED, Capture(HoldId("hold_1"), {POT: 1}), "hold_released"),
        (HoldState.CAPTURED, Release(HoldId("hold_1")), "hold_captured"),
        (HoldState.RELEASED, Release(HoldId("hold_1")), None),
        (HoldState.EXPIRED, Release(HoldId("hold_1")), None),
        (HoldState.CAPTURED, Expire(HoldId("hold_1")), None),
        (HoldState.RELEASED, Expire(HoldId("hold_1")), None),
    ],
)
def test_a_hold_is_resolved_once(state: HoldState, op: Op, code: str | None) -> None:
    (outcome,), changes = decide(rules.Books({POT: pot(100)}, [known(40, state)]), op)
    assert (outcome.code if isinstance(outcome, Conflict) else None) == code
    assert not changes.pots
    assert not changes.moved


@pytest.mark.parametrize("amount", [0, -1, MAX_CREDITS + 1, True, 1.0, float("nan"), float("inf"), "5", None])
@pytest.mark.parametrize("verb", [Credit, Debit])
def test_hostile_amounts_are_refused(verb: type[Credit | Debit], amount: object) -> None:
    outcomes, changes = decide(rules.Books({POT: pot(10**15)}), verb(PAYER, cast(int, amount), "k", Reason.GRANT))
    assert isinstance(outcomes[0], BadInput)
    assert not changes.pots


@pytest.mark.parametrize("amount", [-1, True, float("nan"), 2.5])
def test_a_capture_is_never_negative(amount: object) -> None:
    books = rules.Books({POT: pot(100, 40)}, [known(40)])
    outcomes, changes = decide(books, Capture(HoldId("hold_1"), {POT: cast(int, amount)}))
    assert isinstance(outcomes[0], BadInput)
    assert not changes.pots


@pytest.mark.parametrize("amount", [-1, True, float("nan"), 2.5])
def test_a_hold_is_never_negative(amount: object) -> None:
    outcomes, changes = decide(rules.Books({POT: pot(100)}), open_hold(cast(int, amount)))
    assert isinstance(outcomes[0], BadInput)
    assert not changes.opened


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x00b", "line\nbreak"])
def test_a_key_is_short_printable_text(key: str) -> None:
    outcomes, _ = decide(rules.Books({POT: pot(100)}), open_hold(1, key), Credit(PAYER, 1, key, Reason.GRANT))
    assert all(isinstance(outcome, BadInput) for outcome in outcomes)


def test_a_balance_stays_far_from_the_limit_of_its_column() -> None:
    outcomes, _ = decide(rules.Books({POT: pot(rules.MAX_BALANCE)}), Credit(PAYER, MAX_CREDITS, "k", Reason.GRANT))
    assert isinstance(outcomes[0], BadInput)


operations = st.lists(
    st.one_of(
        st.builds(
            lambda amount, key: Credit(PAYER, amount, f"c{key}", Reason.GRANT), st.integers(-5, 60), st.integers(0, 3)
        ),
        st.builds(
            lambda amount, key: Debit(PAYER, amount, f"d{key}", Reason.GRANT), st.integers(-5, 60), st.integers(0, 3)
        ),
        st.builds(
            lambda amount, n: OpenHold(
                (Leg(POT, amount),), f"h{n}", "turn_1", timedelta(1), Reason.CHAT, quoted(1), HoldId(f"hold_{n}")
            ),
            st.integers(-5, 60),
            st.integers(0, 3),
        ),
        st.builds(lambda n, spent: Capture(HoldId(f"hold_{n}"), {POT: spent}), st.integers(0, 4), st.integers(-5, 99)),
        st.builds(lambda n: Release(HoldId(f"hold_{n}")), st.integers(0, 4)),
        st.builds(lambda n: Expire(HoldId(f"hold_{n}")), st.integers(0, 4)),
    ),
    max_size=30,
)


@given(operations, st.integers(0, 30))
def test_whatever_happens_the_books_agree(ops: list[Op], floor: int) -> None:
    outcomes, changes = decide(rules.Books({POT: pot(floor=floor)}), *ops)
    after = changes.pots.get(POT, pot(floor=floor))
    states = {hold.id: HoldState.OPEN for hold in changes.opened} | changes.moved
    still_open = [hold for hold in changes.opened if states[hold.id] is HoldState.OPEN]
    assert after.balance == sum(entry.amount for entry in changes.entries)
    assert after.held == sum(leg.amount for hold in still_open for leg in hold.legs)
    assert after.available >= -floor
    assert len({(entry.key, entry.pot) for entry in changes.entries}) == len(changes.entries)
    assert len(outcomes) == len(ops)
    assert all(isinstance(each, AppError | Hold | tuple) for each in outcomes)
    assert all(isinstance(pot_id, str) for pot_id in (PotId(each) for each in changes.pots))
