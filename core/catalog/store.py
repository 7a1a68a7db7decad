"""The queries of the catalog."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from core.catalog.rules import Terms
from core.catalog.types import Charge, Model, Price
from core.chat import Profile
from core.kit.ids import ModelName
from core.kit.orm import Work, read

_COLUMNS = "name, enabled, demo, window, max_output, charge, price_in, price_out, currency, price_version"
# WINDOW is a reserved word of PostgreSQL, hence the quotes; both databases read them so.
_QUOTED = _COLUMNS.replace("window", '"window"')


async def everything() -> list[Model]:
    """All models."""
    return [_model(row) for row in await read(f"SELECT {_QUOTED} FROM model ORDER BY name")]


async def one(work: Work, name: str) -> Model | None:
    """One model as it stands inside a unit of work."""
    rows = await work.execute(f"SELECT {_QUOTED} FROM model WHERE name = $1", [name])
    return _model(rows[0]) if rows else None


async def insert(work: Work, name: str, *, demo: bool, charge: Charge, at: datetime, currency: str) -> bool:
    """Add a model with the default profile; False when the name is known."""
    added = await work.change(
        'INSERT INTO model (name, enabled, demo, "window", max_output, charge, currency, price_version, created_at)'
        " VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8) ON CONFLICT (name) DO NOTHING",
        [name, True, demo, Profile().window, Profile().max_output, charge.value, currency, at],
    )
    return added == 1


async def set_profile(work: Work, name: str, window: int, max_output: int) -> None:
    """Change what the model can hold."""
    await work.change('UPDATE model SET "window" = $2, max_output = $3 WHERE name = $1', [name, window, max_output])


async def set_price(work: Work, name: str, terms: Terms, currency: str) -> None:
    """Change how the model is charged, under a new version."""
    await work.change(
        "UPDATE model SET charge = $2, price_in = $3, price_out = $4, currency = $5,"
        " price_version = price_version + 1 WHERE name = $1",
        [name, terms.charge.value, terms.price_in, terms.price_out, currency],
    )


def _model(row: dict[str, Any]) -> Model:
    charge = Charge(row["charge"])
    price = None
    if charge is Charge.TOKEN:
        price = Price(Decimal(row["price_in"]), Decimal(row["price_out"]), row["currency"])
    return Model(
        name=ModelName(row["name"]),
        enabled=bool(row["enabled"]),
        demo=bool(row["demo"]),
        profile=Profile(window=row["window"], max_output=row["max_output"]),
        charge=charge,
        price=price,
        price_version=row["price_version"],
    )
