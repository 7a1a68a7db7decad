"""The joined verbs of money: inside the caller's unit of work, once in it, and last.

Once, because two money calls in one unit lock pots in two goes, and two units that do so in opposite order wait for
each other for ever; `post` takes several operations at once. Last, because a pot is the lock that most callers share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from core import settings
from core.billing import store
from core.billing.types import (
    Capture,
    Credit,
    Debit,
    Done,
    Entry,
    Hold,
    Leg,
    Memo,
    Op,
    OpenHold,
    Quote,
    Reason,
    Release,
)
from core.kit.errors import AppError
from core.kit.ids import AccountId, HoldId, PotId
from core.kit.money import MICRO, Credits
from core.kit.orm import Work
from core.kit.scope import current


async def hold(
    work: Work,
    legs: Sequence[Leg],
    *,
    key: str,
    owner: str,
    expires_in: timedelta,
    reason: Reason,
    quote: Quote,
) -> Hold:
    """Set amounts aside, all or none. Idempotent by `key`: a replay returns the first hold, marked `replayed`.

    Raises NotAffordable `no_credits` with `missing`, `needed` and `available`; Conflict `pot_closed` for an account
    that was merged, `key_in_use` when another payer holds under this key; BadInput for an amount that is none.
    """
    (done,) = await post(work, [OpenHold(tuple(legs), key, owner, expires_in, reason, quote)])
    assert isinstance(done, Hold)
    return done


async def capture(work: Work, hold_id: HoldId, spent: Mapping[PotId, int], *, memo: Memo) -> Sequence[Entry]:
    """Resolve a hold by spending; the rest returns. Idempotent by the hold: a replay returns the first entries.

    What goes beyond the hold is taken only as far as the pot's floor. An expired hold posts a late debit, once.
    Raises Conflict `hold_released`, NotFound `hold_unknown`, BadInput for a negative amount.
    """
    return _entries(await post(work, [Capture(hold_id, spent, memo)]))


async def release(work: Work, hold_id: HoldId) -> None:
    """Resolve a hold by spending nothing. Idempotent. Raises Conflict `hold_captured`, NotFound `hold_unknown`."""
    await post(work, [Release(hold_id)])


async def credit(
    work: Work,
    account: AccountId,
    amount: Credits | int,
    *,
    key: str,
    reason: Reason,
    memo: Memo | None = None,
    reference: str = "",
) -> Entry:
    """Give an account credits (micro, at least 1). Idempotent by `key` within the account: the first entry stands.

    Raises BadInput for an amount that is zero, negative, no whole number or above MAX_CREDITS; Conflict `pot_closed`.
    """
    (entry,) = _entries(await post(work, [Credit(account, amount, key, reason, memo or {}, reference)]))
    return entry


async def debit(
    work: Work,
    account: AccountId,
    amount: Credits | int,
    *,
    key: str,
    reason: Reason,
    memo: Memo | None = None,
    reference: str = "",
) -> Entry:
    """Take credits (micro, at least 1) that are available. Idempotent by `key` within the account.

    Raises like `credit`, and NotAffordable `no_credits` when less is available.
    """
    (entry,) = _entries(await post(work, [Debit(account, amount, key, reason, memo or {}, reference)]))
    return entry


async def post(work: Work, ops: Sequence[Op]) -> Sequence[Done]:
    """Do several operations, in order, over all their pots at once; the outcome of each.

    Raises the first refusal, which must end the unit of work; AssertionError for a second money call in it.
    """
    if work.money_used:
        raise AssertionError("a second money call in one unit of work: hand all operations to one post()")
    work.money_used = True
    outcomes = await store.apply(work, ops, now=current().clock.now(), floor=_floor())
    done: list[Done] = []
    for outcome in outcomes:
        if isinstance(outcome, AppError):
            raise outcome
        done.append(outcome)
    return done


def _floor() -> int:
    return int(settings.get(settings.FLOOR) * MICRO)


def _entries(done: Sequence[Done]) -> tuple[Entry, ...]:
    (entries,) = done
    assert isinstance(entries, tuple)
    return entries
