"""What people and other rooms read: balances, histories, and how a hold stands."""

from __future__ import annotations

from collections.abc import Sequence

from core.billing import store
from core.billing.types import Balance, Entry, Hold
from core.kit.errors import NotFound
from core.kit.ids import AccountId, HoldId


async def balance(account: AccountId) -> Balance:
    """What an account has, in micro-credits; zeros when it never had anything."""
    return await store.balance(account)


async def entries(account: AccountId, limit: int = 50) -> Sequence[Entry]:
    """The newest `limit` lines of an account, newest first."""
    return await store.entries_of(account, limit)


async def find_hold(hold: HoldId) -> tuple[Hold, Sequence[Entry]]:
    """A hold as it stands, and the entries it wrote. Raises NotFound `hold_unknown`."""
    found = await store.hold_of(hold)
    if found is None:
        raise NotFound("hold_unknown")
    return found
