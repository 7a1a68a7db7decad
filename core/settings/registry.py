"""The registry: every setting a person may change while the house runs, with its type, default and range.

A setting is one line here and a caption `setting.<key>` in the locales. Units are part of the key (`_s` seconds).
Defaults and their reasons: the limits table of ARCHITECTURE.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar

from core.kit.errors import BadInput
from core.kit.text import one_line

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How a value is read from a person's text and shown again."""

    parse: Callable[[str], T]
    """Raises ValueError when the text is no such value or out of range."""
    expects: str
    """What it should look like: key `error.setting_<expects>` in the locales."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """For that text."""


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting; `get(SETTING)` is its value now."""

    key: str
    default: T
    kind: Kind[T]

    def read(self, text: str) -> T:
        """The value a text stands for. Raises BadInput that says what the setting expects."""
        try:
            return self.kind.parse(text.strip())
        except ValueError as error:
            raise BadInput(f"setting_{self.kind.expects}", field=self.key, key=self.key, **self.kind.params) from error

    def show(self, value: T) -> str:
        """The text that `read` takes back."""
        return format(value, "f") if isinstance(value, Decimal) else str(value)


def whole(least: int, most: int) -> Kind[int]:
    """A whole number within a range."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(text)
        return int(text)

    return Kind(parse, "whole_number", {"least": least, "most": most})


def decimal(least: str, most: str, places: int = 6) -> Kind[Decimal]:
    """A decimal number within a range, exact."""

    def parse(text: str) -> Decimal:
        try:
            value = Decimal(text)
        except InvalidOperation as error:
            raise ValueError(text) from error
        if not value.is_finite() or not Decimal(least) <= value <= Decimal(most):
            raise ValueError(text)
        if -int(value.as_tuple().exponent) > places:
            raise ValueError(text)
        return value

    return Kind(parse, "decimal_number", {"least": least, "most": most, "places": places})


def line(most: int, *, empty: bool = True) -> Kind[str]:
    """One line of plain text."""

    def parse(text: str) -> str:
        if text != one_line(text, most) or (not text and not empty):
            raise ValueError(text)
        return text

    return Kind(parse, "line", {"most": most})


def currency() -> Kind[str]:
    """A three-letter currency code, as ISO 4217 writes them."""

    def parse(text: str) -> str:
        if not re.fullmatch(r"[A-Za-z]{3}", text):
            raise ValueError(text)
        return text.upper()

    return Kind(parse, "currency")


SITE_NAME = Setting("site.name", "Parley", line(60, empty=False))
SITE_CURRENCY = Setting("site.currency", "CNY", currency())
"""The currency in which prices are written."""

CHAT_DEFAULT_MODEL = Setting("chat.default_model", "", line(120))
"""Empty: the first visible model that is not the demo."""
TITLE_GRAPHEMES = Setting("chat.title_graphemes", 40, whole(10, 120))

CREDITS_PER_UNIT = Setting("billing.credits_per_unit", Decimal(10), decimal("0.000001", "1000000"))
"""Credits for one unit of the site's currency."""
FLOOR = Setting("billing.floor", Decimal(0), decimal("0", "1000000"))
"""Credits by which a capture may take a balance below zero."""

TURNS_PARALLEL = Setting("turns.parallel", 3, whole(1, 100))
"""Turns an account may run at once."""
TURNS_QUEUED = Setting("turns.queued", 5, whole(0, 100))
"""Turns that may wait in one conversation."""
TURN_S = Setting("turns.deadline_s", 600, whole(10, 7200))

ROUTER_ATTEMPTS = Setting("router.attempts", 4, whole(1, 20))
"""Upstream requests one call may make before its first visible delta."""
ROUTER_CONNECT_S = Setting("router.connect_s", 5, whole(1, 120))
ROUTER_FIRST_S = Setting("router.first_s", 15, whole(1, 3600))
"""Wait for the first content while another route exists."""
ROUTER_FIRST_LAST_S = Setting("router.first_last_s", 60, whole(1, 3600))
"""The same on the last route."""
ROUTER_FIRST_REASONING_S = Setting("router.first_reasoning_s", 120, whole(1, 3600))
"""For models that think first, while another route exists."""
ROUTER_FIRST_REASONING_LAST_S = Setting("router.first_reasoning_last_s", 300, whole(1, 3600))
ROUTER_IDLE_S = Setting("router.idle_s", 30, whole(1, 3600))
"""Longest gap within a stream; comment frames reset it."""
ROUTER_KEEPALIVE_S = Setting("router.keepalive_s", 300, whole(1, 7200))
"""Longest time with comment frames alone."""

SESSION_IDLE_S = Setting("accounts.session_idle_s", 30 * 86_400, whole(600, 366 * 86_400))
SESSION_MOST_S = Setting("accounts.session_most_s", 90 * 86_400, whole(600, 366 * 86_400))
"""A web session ends then, used or not."""

ALL: Mapping[str, Setting[Any]] = {value.key: value for value in list(globals().values()) if isinstance(value, Setting)}
"""Every setting of this file by its key."""
