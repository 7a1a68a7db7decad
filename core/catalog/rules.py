"""Decisions of the catalog: who may see a model, what a price may be, what a name may look like."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from core.catalog.types import Charge, Model
from core.kit.errors import BadInput
from core.kit.money import parse_price

MAX_NAME = 120
MAX_TOKENS = 100_000_000
"""More than any window; keeps products of tokens and prices within sane sums."""


def usable(model: Model, *, is_admin: bool) -> bool:
    """Whether somebody may call the model, if any channel serves it."""
    return model.enabled and (is_admin or model.charge is not Charge.UNPRICED)


def shown(models: Iterable[Model], served: Collection[str], *, is_admin: bool) -> list[Model]:
    """What somebody may choose from, by name; demos last."""
    chosen = [model for model in models if model.name in served and usable(model, is_admin=is_admin)]
    return sorted(chosen, key=lambda model: (model.demo, model.name))


def check_name(name: str) -> str:
    """A public name without surrounding space. Raises BadInput when it is empty, too long or not printable."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadInput("model_name_invalid", field="model", most=MAX_NAME)
    return name


def check_tokens(value: int, field: str) -> int:
    """A count of tokens. Raises BadInput naming the field."""
    if not 1 <= value <= MAX_TOKENS:
        raise BadInput("tokens_invalid", field=field, most=MAX_TOKENS)
    return value


@dataclass(frozen=True, slots=True)
class Terms:
    """How a model shall be charged: decimal texts as they are stored, present exactly when charged by tokens."""

    charge: Charge
    price_in: str | None = None
    price_out: str | None = None


def terms(*, free: bool, price_in: Decimal | str | None, price_out: Decimal | str | None) -> Terms:
    """Free, or both prices per million tokens. Raises BadInput for anything else."""
    if free:
        if price_in is not None or price_out is not None:
            raise BadInput("price_or_free", field="price")
        return Terms(Charge.FREE)
    if price_in is None or price_out is None:
        raise BadInput("price_incomplete", field="price")
    return Terms(Charge.TOKEN, _price_text(price_in, "price_in"), _price_text(price_out, "price_out"))


def _price_text(price: Decimal | str, field: str) -> str:
    try:
        return format(parse_price(str(price)), "f")
    except ValueError as error:
        raise BadInput("price_invalid", field=field) from error
