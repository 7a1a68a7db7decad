"""Verbs about models and their prices."""

from __future__ import annotations

import argparse

from core import catalog
from core.admin_cli.output import Shown, table
from core.catalog import Charge, Model


async def listing(_args: argparse.Namespace) -> Shown:
    """Every model, how it is charged and how large it is."""
    models = catalog.visible(is_admin=True)
    return Shown(
        {"items": [shape(model) for model in models]},
        table(
            ("name", "charge", "in / 1M", "out / 1M", "window", "max output"),
            [
                (
                    m.name,
                    charged(m),
                    *((m.price.input, m.price.output) if m.price else ("", "")),
                    m.profile.window,
                    m.profile.max_output,
                )
                for m in models
            ],
        ),
    )


async def price(args: argparse.Namespace) -> Shown:
    """Set how a model is charged."""
    model = await catalog.price(args.name, free=args.free, price_in=args.price_in, price_out=args.price_out, by="cli")
    return Shown(shape(model), [f"{model.name}: {charged(model)}"])


def charged(model: Model) -> str:
    """The charge in words."""
    match model.charge:
        case Charge.FREE:
            return "free"
        case Charge.UNPRICED:
            return "no price: administrators only"
        case Charge.TOKEN:
            assert model.price is not None
            return f"by tokens, {model.price.currency}"


def shape(model: Model) -> dict[str, object]:
    """The model in JSON."""
    return {
        "name": model.name,
        "enabled": model.enabled,
        "demo": model.demo,
        "charge": model.charge.value,
        "price_in": format(model.price.input, "f") if model.price else None,
        "price_out": format(model.price.output, "f") if model.price else None,
        "currency": model.price.currency if model.price else None,
        "window": model.profile.window,
        "max_output": model.profile.max_output,
    }
