"""Which pots pay for a call: the account's credits."""

from __future__ import annotations

from core.billing import Leg, Quote, credits_pot
from core.calls.types import Payer
from core.catalog import Charge
from core.kit.errors import NotFound


def legs(payer: Payer, quote: Quote) -> tuple[Leg, ...]:
    """The parts of the hold. A free call holds nothing, and still in the pot of who asks: so its key counts once.

    Raises NotFound `model_unknown` for a model without a price, unless an administrator asks.
    """
    if quote.charge is Charge.UNPRICED and not payer.is_admin:
        raise NotFound("model_unknown", model=quote.model)
    return (Leg(credits_pot(payer.account), quote.amount),)
