"""Setting aside, settling and giving back: joined to the caller's unit of work, or in one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from core import billing
from core.billing import Entry, HoldState, Memo, Quote, Reason
from core.calls import funding, rules
from core.calls.types import Payer, Reservation, Settlement
from core.chat import Usage
from core.chat.tokens import estimate
from core.kit.errors import Conflict
from core.kit.ids import AccountId, HoldId
from core.kit.orm import Work, unit_of_work


async def reserve(
    payer: Payer,
    quote: Quote,
    *,
    key: str,
    owner: str,
    expires_in: timedelta,
    reason: Reason,
    work: Work | None,
) -> Reservation:
    """Set aside what the call may cost. `owner` is the turn, or the process (`own_…`), that will settle it.

    Idempotent by `key` inside a unit of work. Without one (`/v1`) a known key is refused instead, so that no call is
    made twice: Conflict `request_running` while the first is at work, `request_repeated` after its end.
    Raises NotAffordable `no_credits`, NotFound `model_unknown` for a model without a price.
    """
    legs = funding.legs(payer, quote)
    if work is not None:
        hold = await billing.hold(work, legs, key=key, owner=owner, expires_in=expires_in, reason=reason, quote=quote)
    else:
        hold = await billing.lane.hold(legs, key=key, owner=owner, expires_in=expires_in, reason=reason, quote=quote)
        if hold.replayed:
            raise Conflict("request_running" if hold.state is HoldState.OPEN else "request_repeated")
    return Reservation(hold.id, hold.quote, payer, key)


async def cancel(held: Reservation, *, work: Work | None = None) -> None:
    """Give everything back: for a call that never began. Idempotent."""
    if work is not None:
        await billing.release(work, held.hold_id)
    else:
        await billing.lane.release(held.hold_id)


async def settle(held: Reservation, usage: Usage, *, visible: bool, memo: Memo, work: Work | None) -> Settlement:
    """Charge the usage when anything visible came, else give everything back. Idempotent by the hold."""
    if work is None:
        return await unit_of_work(lambda own: settle(held, usage, visible=visible, memo=memo, work=own))
    entries: Sequence[Entry] = ()
    if visible:
        spent = {leg.pot: billing.cost(usage, held.quote) for leg in funding.legs(held.payer, held.quote)}
        entries = await billing.capture(work, held.hold_id, spent, memo=rules.memo_of(usage, held.quote, memo))
    else:
        await billing.release(work, held.hold_id)
    return await _settled(entries, held.payer.account, usage)


async def settle_by_record(work: Work, hold_id: HoldId, produced_text: str, memo: Memo) -> Settlement:
    """Settle what a dead process left, by the text it had stored: charged by estimate, or given back without any.

    A hold that was settled meanwhile stays as it is, and the settlement tells how. Raises NotFound `hold_unknown`.
    """
    hold, entries = await billing.find_hold(hold_id)
    account = billing.owner_of(hold.legs[0].pot)
    usage = Usage(input=hold.quote.input_tokens, output=estimate(produced_text), estimated=True)
    if hold.state is HoldState.RELEASED or (hold.state is HoldState.EXPIRED and not produced_text):
        return await _settled((), account, usage)
    if hold.state is HoldState.CAPTURED:
        charged = next((known for entry in entries if (known := rules.usage_in(entry.memo))), usage)
        return await _settled(entries, account, charged)
    # Whoever the payer was then, an administrator's call without a price costs nothing by its quote.
    held = Reservation(hold_id, hold.quote, Payer(account, "", is_admin=True), hold.key)
    return await settle(held, usage, visible=produced_text != "", memo=memo, work=work)


async def _settled(entries: Sequence[Entry], account: AccountId, usage: Usage) -> Settlement:
    balance = await billing.balance(account)
    return Settlement(-sum(entry.amount for entry in entries), balance.balance, usage)
