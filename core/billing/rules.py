"""Decisions about money, pure: quotes, costs, and what each operation does to pots, holds and entries.

`decide` takes what stands in the books and a list of operations, one after another as if each came alone, and
answers with the outcome of each and with the changes of all. It never asks the time or the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from core.billing.types import (
    Capture,
    ClosePot,
    Credit,
    Debit,
    Done,
    Entry,
    Expire,
    Hold,
    HoldState,
    Memo,
    Op,
    OpenHold,
    Pot,
    Quote,
    Reason,
    Release,
)
from core.catalog import Charge, Model
from core.chat import Usage
from core.kit.errors import AppError, BadInput, Conflict, NotAffordable, NotFound
from core.kit.ids import AccountId, EntryId, HoldId, PotId
from core.kit.money import MAX_CREDITS, Credits, cost_of_tokens, format_credits, round_up

MAX_BALANCE = 10**18
"""A thousand times the largest amount, and still far from the 64-bit limit."""
MAX_TOKENS = 10**9
"""More than any call can have: what an upstream reports beyond it is taken for this."""
MAX_KEY = 200
MAX_REFERENCE = 80


def quote(model: Model, input_tokens: int, max_output: int | None, credits_per_unit: Decimal) -> Quote:
    """What a call of this size costs at most. `max_output` None means the model's own cap.

    Free models cost 0; so do unpriced ones, which only administrators may call.
    """
    asked = _tokens(input_tokens)
    answer = _tokens(model.profile.max_output if max_output is None else max_output)
    price = model.price if model.charge is Charge.TOKEN else None
    unquoted = Quote(
        model=model.name,
        charge=model.charge,
        price_in=price.input if price else Decimal(0),
        price_out=price.output if price else Decimal(0),
        currency=price.currency if price else "",
        credits_per_unit=credits_per_unit,
        price_version=model.price_version,
        input_tokens=asked,
        max_output=answer,
        amount=0,
    )
    return replace(unquoted, amount=cost(Usage(input=asked, output=answer), unquoted))


def cost(usage: Usage, quoted: Quote) -> Credits:
    """What this usage costs by the prices of the quote: whole micro-credits, never negative, rounded up once.

    A usage within the quote never costs more than its amount. Counts that are negative or no numbers count as 0.
    """
    if quoted.charge is not Charge.TOKEN:
        return Credits(0)
    exact = cost_of_tokens(_tokens(usage.input), quoted.price_in, quoted.credits_per_unit)
    exact += cost_of_tokens(_tokens(usage.output), quoted.price_out, quoted.credits_per_unit)
    return round_up(exact) if exact > 0 else Credits(0)


def credits_pot(account: AccountId) -> PotId:
    """The pot of an account's credits: the same 26 characters under another prefix, so nobody has to look it up."""
    return PotId(f"pot_{account.partition('_')[2]}")


def owner_of(pot: PotId) -> AccountId:
    """The account whose credits lie in this pot."""
    return AccountId(f"acc_{pot.partition('_')[2]}")


@dataclass(frozen=True, slots=True)
class Books:
    """What stands: every pot, hold and entry that the operations name or touch. Pots are locked by the reader."""

    pots: Mapping[PotId, Pot]
    holds: Sequence[Hold] = ()
    entries: Sequence[Entry] = ()
    """Those with the keys of credits, debits and mergers, and of the holds to be captured."""


@dataclass(slots=True)
class Changes:
    """What must be written, and nothing else."""

    pots: dict[PotId, Pot] = field(default_factory=dict)
    """As they stand afterwards."""
    opened: list[Hold] = field(default_factory=list)
    """New rows; `moved` may name them too."""
    moved: dict[HoldId, HoldState] = field(default_factory=dict)
    """Holds whose state changed."""
    spent: dict[tuple[HoldId, PotId], int] = field(default_factory=dict)
    """Legs that spent."""
    entries: list[Entry] = field(default_factory=list)


def pots_of(ops: Iterable[Op]) -> set[PotId]:
    """The pots that operations name; those of named holds come on top."""
    named: set[PotId] = set()
    for op in ops:
        match op:
            case OpenHold():
                named |= {leg.pot for leg in op.legs}
            case Credit() | Debit():
                named.add(credits_pot(op.account))
            case ClosePot():
                named |= {credits_pot(op.account), credits_pot(op.into)}
            case Capture() | Release() | Expire():
                pass
            case _:
                assert_never(op)
    return named


def keys_of(ops: Iterable[Op]) -> set[str]:
    """The keys of entries that operations may have written before."""
    named: set[str] = set()
    for op in ops:
        match op:
            case Credit() | Debit():
                named.add(op.key)
            case ClosePot():
                named |= {f"{op.key}:out", f"{op.key}:in"}
            case _:
                pass
    return named


def decide(
    books: Books, ops: Sequence[Op], *, now: datetime, entry_id: Callable[[], EntryId]
) -> tuple[list[Done | AppError], Changes]:
    """The outcome of each operation, in order, and what to write. A refused operation changes nothing."""
    desk = _Desk(books, now, entry_id)
    outcomes: list[Done | AppError] = []
    for op in ops:
        try:
            outcomes.append(desk.do(op))
        except AppError as refusal:
            outcomes.append(refusal)
    return outcomes, desk.changes


class _Desk:
    """The books while operations are decided. Each verb first looks, refuses or replays, and only then changes."""

    def __init__(self, books: Books, now: datetime, entry_id: Callable[[], EntryId]) -> None:
        self.now = now
        self.entry_id = entry_id
        self.pots = dict(books.pots)
        self.holds = {hold.id: hold for hold in books.holds}
        self.by_key = {hold.key: hold.id for hold in books.holds}
        self.entries = {(entry.key, entry.pot): entry for entry in books.entries}
        self.changes = Changes()

    def do(self, op: Op) -> Done:
        match op:
            case OpenHold():
                return self.open(op)
            case Capture():
                return self.capture(op)
            case Release():
                return self.resolve(op.hold, HoldState.RELEASED)
            case Expire():
                return self.resolve(op.hold, HoldState.EXPIRED)
            case Credit():
                return self.give(op)
            case Debit():
                return self.take(op)
            case ClosePot():
                return self.close(op)
            case _:
                assert_never(op)

    def open(self, op: OpenHold) -> Hold:
        _check_key(op.key)
        assert op.legs, "a hold without a leg is nobody's"
        assert len({leg.pot for leg in op.legs}) == len(op.legs), "two legs of a hold in one pot"
        if op.key in self.by_key:
            return replace(self.holds[self.by_key[op.key]], replayed=True)
        for leg in op.legs:
            if type(leg.amount) is not int or leg.amount < 0:
                raise BadInput("amount_invalid", field="amount")
            pot = self.pots[leg.pot]
            if pot.closed:
                raise Conflict("pot_closed")
            # Nothing needs nothing: a free call goes on whatever the balance.
            if leg.amount > max(pot.available, 0):
                raise _unaffordable(leg.amount, pot)
        for leg in op.legs:
            pot = self.pots[leg.pot]
            self._set(replace(pot, held=pot.held + leg.amount))
        hold = Hold(
            id=op.id,
            key=op.key,
            state=HoldState.OPEN,
            legs=tuple(op.legs),
            owner=op.owner,
            quote=op.quote,
            expires_at=self.now + op.expires_in,
            reason=op.reason,
        )
        self.holds[hold.id] = hold
        self.by_key[hold.key] = hold.id
        self.changes.opened.append(hold)
        return hold

    def capture(self, op: Capture) -> tuple[Entry, ...]:
        hold = self._known(op.hold)
        legs = {leg.pot: leg.amount for leg in hold.legs}
        for pot_id, amount in op.spent.items():
            assert pot_id in legs, "spent from a pot the hold has no leg in"
            if type(amount) is not int or amount < 0:
                raise BadInput("amount_invalid", field="spent")
        late = hold.state is HoldState.EXPIRED
        posted = tuple(entry for pot in legs if (entry := self.entries.get((hold.key, pot))))
        if hold.state is HoldState.CAPTURED or (late and posted):
            return posted
        if hold.state is HoldState.RELEASED:
            raise Conflict("hold_released")
        written: list[Entry] = []
        for pot_id, reserved in legs.items():
            pot = self.pots[pot_id]
            wanted = op.spent.get(pot_id, 0)
            set_aside = 0 if late else reserved
            # What was set aside is there; beyond it only what neither other holds nor the floor forbid.
            beyond = 0 if pot.closed else max(0, pot.available + pot.floor)
            taken = min(wanted, set_aside + beyond)
            self._set(replace(pot, balance=pot.balance - taken, held=pot.held - set_aside))
            if taken:
                remarks: dict[str, str | int | bool | None] = {"waived": wanted - taken} if wanted > taken else {}
                if late:
                    remarks["late"] = True
                memo = {**op.memo, **remarks}
                written.append(
                    self._post(pot_id, -taken, reason=hold.reason, reference=hold.id, key=hold.key, memo=memo)
                )
                self.changes.spent[hold.id, pot_id] = taken
        if not late:
            self._move(hold, HoldState.CAPTURED)
        return tuple(written)

    def resolve(self, hold_id: HoldId, state: HoldState) -> tuple[Entry, ...]:
        hold = self._known(hold_id)
        if hold.state is HoldState.CAPTURED and state is HoldState.RELEASED:
            raise Conflict("hold_captured")
        if hold.state is not HoldState.OPEN:
            return ()
        for leg in hold.legs:
            pot = self.pots[leg.pot]
            self._set(replace(pot, held=pot.held - leg.amount))
        self._move(hold, state)
        return ()

    def give(self, op: Credit) -> tuple[Entry, ...]:
        pot_id = credits_pot(op.account)
        _check_posting(op.key, op.reference, op.amount)
        if known := self.entries.get((op.key, pot_id)):
            return (known,)
        pot = self.pots[pot_id]
        if pot.closed:
            raise Conflict("pot_closed")
        if pot.balance + op.amount > MAX_BALANCE:
            raise BadInput("amount_invalid", field="amount")
        self._set(replace(pot, balance=pot.balance + op.amount))
        return (self._post(pot_id, op.amount, reason=op.reason, reference=op.reference, key=op.key, memo=op.memo),)

    def take(self, op: Debit) -> tuple[Entry, ...]:
        pot_id = credits_pot(op.account)
        _check_posting(op.key, op.reference, op.amount)
        if known := self.entries.get((op.key, pot_id)):
            return (known,)
        pot = self.pots[pot_id]
        if pot.closed:
            raise Conflict("pot_closed")
        if op.amount > pot.available:
            raise _unaffordable(op.amount, pot)
        self._set(replace(pot, balance=pot.balance - op.amount))
        return (self._post(pot_id, -op.amount, reason=op.reason, reference=op.reference, key=op.key, memo=op.memo),)

    def close(self, op: ClosePot) -> tuple[Entry, ...]:
        assert op.account != op.into, "an account cannot be merged into itself"
        _check_posting(f"{op.key}:out", op.reference, 1)
        source, target = self.pots[credits_pot(op.account)], self.pots[credits_pot(op.into)]
        out_key, in_key = f"{op.key}:out", f"{op.key}:in"
        if source.closed:
            posted = self.entries.get((out_key, source.id)), self.entries.get((in_key, target.id))
            return tuple(entry for entry in posted if entry)
        if target.closed:
            raise Conflict("pot_closed")
        if source.held:
            raise Conflict("link_busy")
        moved = source.balance
        if moved < 0 and target.available + moved < -target.floor:
            raise Conflict("link_debt")
        if target.balance + moved > MAX_BALANCE:
            raise BadInput("amount_invalid", field="amount")
        self._set(replace(source, balance=0, closed=True))
        if not moved:
            return ()
        self._set(replace(target, balance=target.balance + moved))
        return (
            self._post(source.id, -moved, reason=op.reason, reference=op.reference, key=out_key, memo={}),
            self._post(target.id, moved, reason=op.reason, reference=op.reference, key=in_key, memo={}),
        )

    def _known(self, hold_id: HoldId) -> Hold:
        hold = self.holds.get(hold_id)
        if hold is None:
            raise NotFound("hold_unknown")
        return hold

    def _move(self, hold: Hold, state: HoldState) -> None:
        self.changes.moved[hold.id] = state
        self.holds[hold.id] = replace(hold, state=state)

    def _set(self, pot: Pot) -> None:
        assert pot.held >= 0, "more was released than held"
        self.pots[pot.id] = self.changes.pots[pot.id] = pot

    def _post(self, pot: PotId, amount: int, *, reason: Reason, reference: str, key: str, memo: Memo) -> Entry:
        entry = Entry(
            id=self.entry_id(),
            pot=pot,
            account=self.pots[pot].owner,
            amount=amount,
            reason=reason,
            reference=reference,
            key=key,
            memo=dict(memo),
            created_at=self.now,
        )
        self.entries[key, pot] = entry
        self.changes.entries.append(entry)
        return entry


def _tokens(count: object) -> int:
    return min(max(count, 0), MAX_TOKENS) if type(count) is int else 0


def _unaffordable(needed: int, pot: Pot) -> NotAffordable:
    available = max(pot.available, 0)
    return NotAffordable(
        "no_credits",
        missing=format_credits(needed - available),
        needed=format_credits(needed),
        available=format_credits(available),
    )


def _check_key(key: str) -> None:
    if not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise BadInput("idempotency_key_invalid", field="key")


def _check_posting(key: str, reference: str, amount: object) -> None:
    _check_key(key)
    if len(reference) > MAX_REFERENCE or not reference.isprintable():
        raise BadInput("reference_invalid", field="reference")
    # A bool is an int, and a NaN compares false to everything: only a true int of the right size passes.
    if type(amount) is not int or not 0 < amount <= MAX_CREDITS:
        raise BadInput("amount_invalid", field="amount")
