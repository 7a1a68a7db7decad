"""Every query of billing, and `apply`: the only SQL that writes pots, holds, legs and entries.

Lists travel as one parameter and are joined (`unnest` on PostgreSQL, `json_each` on SQLite): without statistics
PostgreSQL scans the table for `= any($1)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import orjson

from core.billing import rules
from core.billing.types import (
    Balance,
    Capture,
    Done,
    Entry,
    Expire,
    Hold,
    HoldState,
    Leg,
    Memo,
    Op,
    OpenHold,
    Pot,
    Quote,
    Reason,
    Release,
)
from core.catalog import Charge
from core.kit import orm
from core.kit.errors import AppError, Conflict
from core.kit.ids import AccountId, EntryId, HoldId, ModelName, OwnerId, PotId, new_id
from core.kit.orm import Dialect, Row, Work
from core.kit.sqlite_backend import to_text

CREDITS = "credits"
MICRO_UNIT = "micro"

_HOLD = "h.id, h.key, h.state, h.reason, h.owner, h.quote, h.expires_at"
_ENTRY = "e.id, e.pot_id, e.account_id, e.amount, e.reason, e.reference, e.key, e.memo, e.created_at"


async def apply(work: Work, ops: Sequence[Op], *, now: datetime, floor: int) -> list[Done | AppError]:
    """Decide and write operations, in order, inside the caller's transaction; the outcome of each.

    Pots are locked in the order of their ids, so callers that lock nothing afterwards cannot wait in a circle. A pot
    that does not exist is made, with this floor. Raises Conflict `key_in_use` when a hold of another payer has the
    key of one that is opened here.
    """
    named = {op.hold for op in ops if isinstance(op, Capture | Release | Expire)}
    legs = await _legs(work, named)
    pots = await _locked(work, rules.pots_of(ops) | {leg.pot for each in legs.values() for leg in each}, now, floor)
    holds = await _holds(work, named, {op.key for op in ops if isinstance(op, OpenHold)}, legs)
    resolved = {hold.key for hold in holds if hold.state in (HoldState.CAPTURED, HoldState.EXPIRED)}
    entries = await _entries(work, rules.keys_of(ops) | resolved)
    books = rules.Books(pots, holds, entries)
    outcomes, changes = rules.decide(books, ops, now=now, entry_id=lambda: EntryId(new_id("ent")))
    await _write(work, changes, pots, now)
    return outcomes


async def _write(work: Work, changes: rules.Changes, before: dict[PotId, Pot], now: datetime) -> None:
    if changes.opened:
        await _insert_holds(work, changes.opened, now)
    if changes.moved:
        rows = _json([(hold, state, to_text(now)) for hold, state in changes.moved.items()])
        source = _rows(work.dialect, "text", "text", "timestamptz")
        moved = await work.change(
            f"UPDATE hold SET state = v.b, resolved_at = v.c FROM {source} WHERE hold.id = v.a AND hold.state = 'open'",
            [rows],
        )
        assert moved == len(changes.moved), "a hold was resolved without the lock of its pots"
    if changes.spent:
        rows = _json([(hold, pot, amount) for (hold, pot), amount in changes.spent.items()])
        source = _rows(work.dialect, "text", "text", "bigint")
        await work.change(
            f"UPDATE hold_leg SET spent = v.c FROM {source} WHERE hold_leg.hold_id = v.a AND hold_leg.pot_id = v.b",
            [rows],
        )
    if changes.entries:
        await _insert_entries(work, changes.entries)
    moves = [
        (pot.id, pot.balance - before[pot.id].balance, pot.held - before[pot.id].held)
        for pot in changes.pots.values()
        if pot != before[pot.id]
    ]
    if moves:
        source = _rows(work.dialect, "text", "bigint", "bigint")
        await work.change(
            f"UPDATE pot SET balance = balance + v.b, held = held + v.c FROM {source} WHERE pot.id = v.a",
            [_json(moves)],
        )
    for pot in changes.pots.values():
        if pot.closed and not before[pot.id].closed:
            await work.change("UPDATE pot SET expires_at = $1 WHERE id = $2", [now, pot.id])


async def _locked(work: Work, ids: set[PotId], now: datetime, floor: int) -> dict[PotId, Pot]:
    if not ids:
        return {}
    wanted = _json([(pot,) for pot in sorted(ids)])
    source = _rows(work.dialect, "text")
    look = f"SELECT p.id, p.owner, p.balance, p.held, p.floor, p.expires_at FROM pot p JOIN {source} ON p.id = v.a"
    # SQLite began IMMEDIATE, nobody else writes there.
    lock = f"{look} ORDER BY p.id FOR UPDATE OF p" if work.dialect == "postgres" else look
    # Missing pots are made before any is locked, else two callers could wait for each other's.
    rows = await work.execute(lock if len(ids) == 1 else look, [wanted])
    missing = ids - {row["id"] for row in rows}
    if missing:
        source = _rows(work.dialect, "text", "text", "bigint", "timestamptz")
        await work.change(
            "INSERT INTO pot (id, owner, kind, unit, balance, held, floor, created_at) "
            f"SELECT v.a, v.b, '{CREDITS}', '{MICRO_UNIT}', 0, 0, v.c, v.d FROM {source} WHERE true ORDER BY v.a "
            "ON CONFLICT DO NOTHING",
            [_json([(pot, rules.owner_of(pot), floor, to_text(now)) for pot in sorted(missing)])],
        )
    if missing or (len(ids) > 1 and lock != look):
        rows = await work.execute(lock, [wanted])
    return {PotId(row["id"]): _pot(row, now) for row in rows}


async def _legs(work: Work, holds: set[HoldId]) -> dict[HoldId, tuple[Leg, ...]]:
    if not holds:
        return {}
    source = _rows(work.dialect, "text")
    rows = await work.execute(
        f"SELECT l.hold_id, l.pot_id, l.amount FROM hold_leg l JOIN {source} ON l.hold_id = v.a ORDER BY l.id",
        [_json([(hold,) for hold in holds])],
    )
    legs: dict[HoldId, list[Leg]] = {}
    for row in rows:
        legs.setdefault(HoldId(row["hold_id"]), []).append(Leg(PotId(row["pot_id"]), row["amount"]))
    return {hold: tuple(each) for hold, each in legs.items()}


async def _holds(work: Work, ids: set[HoldId], keys: set[str], legs: dict[HoldId, tuple[Leg, ...]]) -> list[Hold]:
    rows: dict[str, Row] = {}
    source = _rows(work.dialect, "text")
    for column, wanted in (("id", ids), ("key", keys)):
        if wanted:
            found = await work.execute(
                f"SELECT {_HOLD} FROM hold h JOIN {source} ON h.{column} = v.a", [_json([(each,) for each in wanted])]
            )
            rows |= {row["id"]: row for row in found}
    # Legs never change once they are written, so those read before the lock still hold.
    known = legs | await _legs(work, {HoldId(hold) for hold in rows} - legs.keys())
    return [_hold(row, known[HoldId(row["id"])]) for row in rows.values()]


async def _entries(work: Work, keys: set[str]) -> list[Entry]:
    if not keys:
        return []
    source = _rows(work.dialect, "text")
    rows = await work.execute(
        f"SELECT {_ENTRY} FROM ledger_entry e JOIN {source} ON e.key = v.a", [_json([(key,) for key in keys])]
    )
    return [_entry(row) for row in rows]


async def _insert_holds(work: Work, opened: Sequence[Hold], now: datetime) -> None:
    source = _rows(work.dialect, "text", "text", "text", "text", "text", "timestamptz", "timestamptz")
    made = to_text(now)
    inserted = await work.change(
        "INSERT INTO hold (id, key, state, reason, owner, quote, created_at, expires_at) "
        f"SELECT v.a, v.b, 'open', v.c, v.d, v.e, v.f, v.g FROM {source} WHERE true ON CONFLICT DO NOTHING",
        [_json([(h.id, h.key, h.reason, h.owner, _dump_quote(h.quote), made, to_text(h.expires_at)) for h in opened])],
    )
    if inserted != len(opened):
        # The lock of its pots decides between two callers of one payer; only another payer's hold comes here.
        raise Conflict("key_in_use")
    source = _rows(work.dialect, "text", "text", "bigint")
    await work.change(
        f"INSERT INTO hold_leg (hold_id, pot_id, amount, spent) SELECT v.a, v.b, v.c, 0 FROM {source}",
        [_json([(hold.id, leg.pot, leg.amount) for hold in opened for leg in hold.legs])],
    )


async def _insert_entries(work: Work, entries: Sequence[Entry]) -> None:
    source = _rows(work.dialect, "text", "text", "text", "bigint", "text", "text", "text", "text", "timestamptz")
    rows = [
        (e.id, e.pot, e.account, e.amount, e.reason, e.reference, e.key, _dump_memo(e.memo), to_text(e.created_at))
        for e in entries
    ]
    await work.change(
        "INSERT INTO ledger_entry (id, pot_id, account_id, amount, reason, reference, key, memo, created_at) "
        f"SELECT v.a, v.b, v.c, v.d, v.e, v.f, v.g, v.h, v.i FROM {source}",
        [_json(rows)],
    )


async def balance(account: AccountId) -> Balance:
    """Nothing, for an account that never had a pot."""
    rows = await orm.read("SELECT balance, held FROM pot WHERE id = $1", [rules.credits_pot(account)])
    return Balance(rows[0]["balance"], rows[0]["held"]) if rows else Balance()


async def entries_of(account: AccountId, limit: int) -> list[Entry]:
    """The newest entries first."""
    rows = await orm.read(
        f"SELECT {_ENTRY} FROM ledger_entry e WHERE e.account_id = $1 ORDER BY e.id DESC LIMIT $2", [account, limit]
    )
    return [_entry(row) for row in rows]


async def hold_of(hold: HoldId) -> tuple[Hold, list[Entry]] | None:
    """A hold and what it wrote."""
    rows = await orm.read(f"SELECT {_HOLD} FROM hold h WHERE h.id = $1", [hold])
    if not rows:
        return None
    legs = await orm.read("SELECT pot_id, amount FROM hold_leg WHERE hold_id = $1 ORDER BY id", [hold])
    found = _hold(rows[0], tuple(Leg(PotId(leg["pot_id"]), leg["amount"]) for leg in legs))
    written = await orm.read(f"SELECT {_ENTRY} FROM ledger_entry e WHERE e.key = $1", [found.key])
    return found, [_entry(row) for row in written]


async def put_owner(work: Work, owner: OwnerId, role: str, now: datetime) -> None:
    """Say that a process lives; one that was swept comes back."""
    await work.change(
        "INSERT INTO owner (id, role, started_at, beat_at) VALUES ($1, $2, $3, $3) "
        "ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at",
        [owner, role, now],
    )


async def overdue(now: datetime, limit: int) -> list[HoldId]:
    """Open holds past their expiry."""
    rows = await orm.read(
        "SELECT id FROM hold WHERE state = 'open' AND expires_at < $1 ORDER BY expires_at LIMIT $2", [now, limit]
    )
    return [HoldId(row["id"]) for row in rows]


async def orphaned(alive_since: datetime, spare: OwnerId, limit: int) -> list[HoldId]:
    """Open holds of processes other than `spare` that gave no sign of life since."""
    rows = await orm.read(
        "SELECT h.id FROM hold h LEFT JOIN owner o ON o.id = h.owner AND o.beat_at >= $1 "
        "WHERE h.state = 'open' AND h.owner LIKE 'own~_%' ESCAPE '~' AND h.owner <> $2 AND o.id IS NULL LIMIT $3",
        [alive_since, spare, limit],
    )
    return [HoldId(row["id"]) for row in rows]


async def forget_owners(work: Work, alive_since: datetime, spare: OwnerId) -> None:
    """Drop the rows of dead processes that hold nothing."""
    await work.change(
        "DELETE FROM owner WHERE beat_at < $1 AND id <> $2 "
        "AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.state = 'open' AND hold.owner = owner.id)",
        [alive_since, spare],
    )


_COLUMNS = "abcdefghi"


def _rows(dialect: Dialect, *types: str) -> str:
    """A source named `v` with columns a, b, c … of these types, read from the JSON that is parameter $1."""
    names = _COLUMNS[: len(types)]
    if dialect == "postgres":
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, types, strict=True))
        return f"jsonb_to_recordset($1::jsonb) AS v({columns})"
    columns = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in names)
    return f"(SELECT {columns} FROM json_each($1)) AS v"


def _json(rows: Sequence[Sequence[object]]) -> str:
    return orjson.dumps([dict(zip(_COLUMNS, row, strict=False)) for row in rows]).decode()


def _pot(row: Row, now: datetime) -> Pot:
    closed = row["expires_at"] is not None and orm.moment(row["expires_at"]) <= now
    return Pot(PotId(row["id"]), AccountId(row["owner"]), row["balance"], row["held"], row["floor"], closed)


def _hold(row: Row, legs: tuple[Leg, ...]) -> Hold:
    return Hold(
        id=HoldId(row["id"]),
        key=row["key"],
        state=HoldState(row["state"]),
        legs=legs,
        owner=row["owner"],
        quote=_load_quote(row["quote"]),
        expires_at=orm.moment(row["expires_at"]),
        reason=Reason(row["reason"]),
    )


def _entry(row: Row) -> Entry:
    return Entry(
        id=EntryId(row["id"]),
        pot=PotId(row["pot_id"]),
        account=AccountId(row["account_id"]),
        amount=row["amount"],
        reason=Reason(row["reason"]),
        reference=row["reference"],
        key=row["key"],
        memo=orjson.loads(row["memo"]),
        created_at=orm.moment(row["created_at"]),
    )


def _dump_memo(memo: Memo) -> str:
    return orjson.dumps(dict(memo)).decode()


def _dump_quote(quote: Quote) -> str:
    return orjson.dumps(
        {
            "model": quote.model,
            "charge": quote.charge,
            "price_in": str(quote.price_in),
            "price_out": str(quote.price_out),
            "currency": quote.currency,
            "credits_per_unit": str(quote.credits_per_unit),
            "price_version": quote.price_version,
            "input_tokens": quote.input_tokens,
            "max_output": quote.max_output,
            "amount": quote.amount,
        }
    ).decode()


def _load_quote(text: str) -> Quote:
    stored = orjson.loads(text)
    return Quote(
        model=ModelName(stored["model"]),
        charge=Charge(stored["charge"]),
        price_in=Decimal(stored["price_in"]),
        price_out=Decimal(stored["price_out"]),
        currency=stored["currency"],
        credits_per_unit=Decimal(stored["credits_per_unit"]),
        price_version=stored["price_version"],
        input_tokens=stored["input_tokens"],
        max_output=stored["max_output"],
        amount=stored["amount"],
    )
