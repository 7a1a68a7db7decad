"""The same verbs for `/v1`, each a transaction of its own; inside a unit of work they raise at once.

Inside one they would wait for a connection, or on SQLite for the lock, that their own caller holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from core.billing import ledger
from core.billing.types import Entry, Hold, Leg, Memo, Quote, Reason
from core.kit.ids import HoldId, PotId
from core.kit.orm import Work, unit_of_work


async def hold(
    legs: Sequence[Leg], *, key: str, owner: str, expires_in: timedelta, reason: Reason, quote: Quote
) -> Hold:
    """Like `ledger.hold`; committed when it returns."""

    async def body(work: Work) -> Hold:
        return await ledger.hold(work, legs, key=key, owner=owner, expires_in=expires_in, reason=reason, quote=quote)

    return await unit_of_work(body)


async def capture(hold_id: HoldId, spent: Mapping[PotId, int], *, memo: Memo) -> Sequence[Entry]:
    """Like `ledger.capture`; committed when it returns."""

    async def body(work: Work) -> Sequence[Entry]:
        return await ledger.capture(work, hold_id, spent, memo=memo)

    return await unit_of_work(body)


async def release(hold_id: HoldId) -> None:
    """Like `ledger.release`; committed when it returns."""

    async def body(work: Work) -> None:
        await ledger.release(work, hold_id)

    await unit_of_work(body)
