"""The explanation: an AppError in the reader's language, with its remedy."""

from __future__ import annotations

import math

from core.i18n.catalog import has, t
from core.kit.errors import AppError, Param

UNKNOWN = "error.internal"
"""Told for a code that no catalogue knows; a test sees to it that there is none."""


def explain(error: AppError, locale: str) -> str:
    """The text of `error.<code>`.

    Besides the error's own parameters a text may name `field` and `seconds` (how long to wait, whole, at least 1).
    """
    params: dict[str, Param] = {"seconds": max(1, math.ceil(error.retry_after_s or 1))}
    if error.field is not None:
        params["field"] = error.field
    params.update(error.params)
    key = f"error.{error.code}"
    return t(key if has(key) else UNKNOWN, locale, **params)
