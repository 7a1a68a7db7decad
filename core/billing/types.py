"""The nouns of money: pots, holds with legs, entries, quotes, and the operations that change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from core.catalog import Charge
from core.kit.ids import AccountId, EntryId, HoldId, ModelName, OwnerId, PotId, TurnId, new_id

Memo = Mapping[str, str | int | bool | None]
"""What people and reports read beside an entry: model, tokens, door, note. Never message content."""


class Reason(StrEnum):
    """Why credits moved."""

    CHAT = "chat"
    """A turn's answer."""
    API = "api"
    """A call through `/v1`."""
    GRANT = "grant"
    """An administrator gave or took."""
    MERGE = "merge"
    """Two accounts became one."""


class HoldState(StrEnum):
    """Opened once, resolved once."""

    OPEN = "open"
    CAPTURED = "captured"
    """Spent, in part or whole; the rest returned."""
    RELEASED = "released"
    """Given back by the one who opened it. Final."""
    EXPIRED = "expired"
    """Given back by the clock, or because its owner died. A capture may still come and posts a late debit."""


@dataclass(frozen=True, slots=True)
class Leg:
    """The part of a hold that lies in one pot; 0 is allowed and still names who pays."""

    pot: PotId
    amount: int
    """In the pot's unit (micro-credits), at least 0."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call may cost at most, and the prices by which its usage will be charged.

    Travels with its hold, so that a change of price or rate in mid-answer changes nothing for this call.
    """

    model: ModelName
    charge: Charge
    price_in: Decimal
    """Per million tokens, in `currency`; 0 unless charged by token. Likewise `price_out`."""
    price_out: Decimal
    currency: str
    credits_per_unit: Decimal
    """Credits that one unit of the currency buys."""
    price_version: int
    input_tokens: int
    """The estimate of the prompt."""
    max_output: int
    """Tokens that the answer may have."""
    amount: int
    """What a hold must set aside, in micro-credits."""


@dataclass(frozen=True, slots=True)
class Pot:
    """Something a call may draw on."""

    id: PotId
    owner: AccountId
    balance: int = 0
    held: int = 0
    floor: int = 0
    """How far below zero a capture may take it, as a number ≥ 0."""
    closed: bool = False
    """Nothing can be held in or credited to it any more."""

    @property
    def available(self) -> int:
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class Hold:
    """Amounts reserved in one or more pots, all or none."""

    id: HoldId
    key: str
    state: HoldState
    legs: tuple[Leg, ...]
    owner: str
    """The row that settles it: a turn id, or the process (`own_…`) that serves a `/v1` call."""
    quote: Quote
    expires_at: datetime
    reason: Reason = Reason.CHAT
    replayed: bool = False
    """The key was known: this is the first outcome in its present state, and nothing was set aside now."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One pot's immutable line; unique by (key, pot)."""

    id: EntryId
    pot: PotId
    account: AccountId
    amount: int
    """Signed micro-credits: what was spent is negative."""
    reason: Reason
    reference: str
    """What it is about: a hold, a link request, a free word of the giver."""
    key: str
    memo: Memo
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """Micro-credits of one account."""

    balance: int = 0
    """Σ entries."""
    held: int = 0
    """Σ open holds."""

    @property
    def available(self) -> int:
        """What a new hold may take; negative when a call overshot."""
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Set amounts aside. Idempotent by `key`; refused as NotAffordable when one leg lacks credits."""

    legs: tuple[Leg, ...]
    """At least one; one a pot."""
    key: str
    owner: TurnId | OwnerId | str
    expires_in: timedelta
    reason: Reason
    quote: Quote
    id: HoldId = field(default_factory=lambda: HoldId(new_id("hold")))


@dataclass(frozen=True, slots=True)
class Capture:
    """Resolve a hold by spending; what was not spent returns. Idempotent by the hold.

    More than the leg is taken only as far as the pot's floor allows; the memo then says how much was `waived`.
    On an expired hold it posts a late debit, down to the floor only.
    """

    hold: HoldId
    spent: Mapping[PotId, int]
    """For each leg's pot at least 0; a leg that is not named spent nothing."""
    memo: Memo = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """Resolve a hold by spending nothing. Idempotent by the hold; Conflict once it was captured."""

    hold: HoldId


@dataclass(frozen=True, slots=True)
class Expire:
    """Release by the clock or after the owner's death; a hold already resolved stays as it is."""

    hold: HoldId


@dataclass(frozen=True, slots=True)
class Credit:
    """Give an account credits. Idempotent by `key` within the account."""

    account: AccountId
    amount: int
    """Micro-credits, at least 1."""
    key: str
    reason: Reason
    memo: Memo = field(default_factory=dict)
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Debit:
    """Take credits that are available; NotAffordable otherwise. Idempotent by `key` within the account."""

    account: AccountId
    amount: int
    """Micro-credits, at least 1."""
    key: str
    reason: Reason
    memo: Memo = field(default_factory=dict)
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ClosePot:
    """Move everything an account has to another one (entries `{key}:out` and `{key}:in`) and close its pot.

    The amount is what stands there under the lock, so no caller has to read it before. A debt moves too. Idempotent
    by `key`. Conflict `link_busy` while anything is held, `link_debt` when the debt would break the other's floor.
    """

    account: AccountId
    into: AccountId
    key: str
    """`merge:{link id}`."""
    reason: Reason = Reason.MERGE
    reference: str = ""


Op = OpenHold | Capture | Release | Expire | Credit | Debit | ClosePot
Done = Hold | tuple[Entry, ...]
"""What an operation leads to: the hold, or the entries it wrote (none for a release)."""
