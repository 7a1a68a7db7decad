"""Who pays for a call, what was set aside for it, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from core.accounts import Account
from core.billing import Quote
from core.chat import Usage
from core.kit.ids import AccountId, HoldId


@dataclass(frozen=True, slots=True)
class Payer:
    """The account that pays, and what it may do."""

    account: AccountId
    group: str
    is_admin: bool
    """Administrators may call a model without a price, at no cost."""

    @classmethod
    def of(cls, account: Account) -> Payer:
        """This account, paying for itself."""
        return cls(account.id, account.group, account.is_admin)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a payer set aside for one call."""

    hold_id: HoldId
    quote: Quote
    payer: Payer
    key: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a call was paid."""

    cost_micro: int
    """What was really taken: 0 when the hold was released, and less than the usage costs at the floor."""
    balance_micro: int
    """The payer's balance afterwards."""
    usage: Usage
    """Reported, or marked `estimated`."""
