"""The explanation: an AppError in the reader's language, with its remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping

from core.i18n.catalog import has, t
from core.kit.errors import AppError, Param

UNKNOWN = "error.internal"
"""Told for a code that no catalogue knows; a test sees to it that there is none."""


def explain(error: AppError, locale: str) -> str:
    """The text of `error.<code>`.

    Besides the error's own parameters a text may name `field` and `seconds` (how long to wait, whole, at least 1).
    """
    more: dict[str, Param] = {"seconds": max(1, math.ceil(error.retry_after_s or 1))}
    if error.field is not None:
        more["field"] = error.field
    return explain_code(error.code, {**more, **error.params}, locale)


def explain_code(code: str, params: Mapping[str, Param], locale: str) -> str:
    """The text of an error that was stored or sent as its code and parameters."""
    key = f"error.{code}"
    return t(key if has(key) else UNKNOWN, locale, **{"seconds": 1, **params})
