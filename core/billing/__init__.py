"""Money, and nothing but money: pots, holds and entries, decided by the database and never by a process.

Inside a unit of work, once and last: `hold`, `capture`, `release`, `credit`, `debit`, or `post` for several at once.
For `/v1`, each a transaction of its own: `lane.hold`, `lane.capture`, `lane.release`. All amounts are micro-credits.
"""

from core.billing import lane, owners
from core.billing.ledger import capture, credit, debit, hold, post, release
from core.billing.rules import cost, credits_pot, owner_of, quote
from core.billing.statements import balance, entries, find_hold
from core.billing.types import (
    Balance,
    Capture,
    ClosePot,
    Credit,
    Debit,
    Entry,
    Expire,
    Hold,
    HoldState,
    Leg,
    Memo,
    Op,
    OpenHold,
    Quote,
    Reason,
    Release,
)

__all__ = [
    "Balance",
    "Capture",
    "ClosePot",
    "Credit",
    "Debit",
    "Entry",
    "Expire",
    "Hold",
    "HoldState",
    "Leg",
    "Memo",
    "Op",
    "OpenHold",
    "Quote",
    "Reason",
    "Release",
    "balance",
    "capture",
    "cost",
    "credit",
    "credits_pot",
    "debit",
    "entries",
    "find_hold",
    "hold",
    "lane",
    "owner_of",
    "owners",
    "post",
    "quote",
    "release",
]
