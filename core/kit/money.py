"""Credits: integer micro-credits, rounding in one direction, formatting, exchange.

One credit is 1,000,000 micro-credits; every amount in the database is an integer of micro-credits. Prices are
decimal text per million tokens in the site's currency, and become micro-credits here and nowhere else.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import NewType

Credits = NewType("Credits", int)
"""An amount in micro-credits. The name follows what people see; the unit is always micro."""

MICRO = 1_000_000
MAX_CREDITS = Credits(10**15)
"""A billion credits: no single amount may be larger, so that sums stay far from the 64-bit limit."""

_AMOUNT = re.compile(r"-?\d{1,12}(\.\d{1,6})?")


def parse_credits(text: str) -> Credits:
    """Read a person's amount such as `12.5` exactly; at most six decimals. Raises ValueError."""
    if not _AMOUNT.fullmatch(text.strip()):
        raise ValueError("an amount looks like 12 or 12.5, with at most six decimals")
    micro = int(Decimal(text.strip()) * MICRO)
    if abs(micro) > MAX_CREDITS:
        raise ValueError("the amount is too large")
    return Credits(micro)


def format_credits(amount: int) -> str:
    """Two decimals, up to six below 0.01, without grouping: `12.50`, `0.0042`, `-3.00`."""
    value = Decimal(amount) / MICRO
    if amount == 0 or abs(amount) >= MICRO // 100:
        return f"{value:.2f}"
    return f"{value:.6f}".rstrip("0")


def parse_price(text: str) -> Decimal:
    """Read a decimal price per million tokens: finite, not negative, at most 12 decimals. Raises ValueError."""
    try:
        price = Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError("a price is a decimal number such as 2.5") from error
    if not price.is_finite() or price < 0 or price > Decimal(10) ** 9:
        raise ValueError("a price is between 0 and 1,000,000,000")
    if -int(price.as_tuple().exponent) > 12:
        raise ValueError("a price has at most 12 decimals")
    return price


def cost_of_tokens(tokens: int, price_per_million: Decimal, credits_per_unit: Decimal) -> Decimal:
    """The exact cost in micro-credits, not yet rounded: sum the buckets first, then `round_up` once."""
    return Decimal(tokens) * price_per_million * credits_per_unit
    # tokens × price / 1,000,000 is money; × credits a unit × 1,000,000 micro-credits: the millions cancel.


def round_up(micro: Decimal) -> Credits:
    """The one rounding: up to the next whole micro-credit, so that a call with a price never costs nothing."""
    return Credits(int(micro.to_integral_value(rounding=ROUND_CEILING)))
