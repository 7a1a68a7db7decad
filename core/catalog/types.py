"""Models, prices, and how a model is charged."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.chat import Profile
from core.kit.ids import ModelName


class Charge(StrEnum):
    """How a call is paid."""

    UNPRICED = "unpriced"
    """Nobody said: only administrators may call it, at no cost."""
    FREE = "free"
    TOKEN = "token"
    """By tokens, at the model's price."""


@dataclass(frozen=True, slots=True)
class Price:
    """Money per million tokens, exact, in the currency it was written in."""

    input: Decimal
    output: Decimal
    currency: str
    """Three letters, as ISO 4217."""


@dataclass(frozen=True, slots=True)
class Model:
    """A public name that people choose."""

    name: ModelName
    enabled: bool
    demo: bool
    """Answers by itself, without any provider; the last choice for a default."""
    profile: Profile
    charge: Charge
    price: Price | None
    """Present exactly when `charge` is TOKEN."""
    price_version: int
    """Grows with every change of charge or price; recorded with each hold."""
