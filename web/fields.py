"""Typed reading of parsed JSON objects: each function returns a clean value or raises BadInput naming the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.kit.errors import BadInput


def text_field(body: Mapping[str, Any], field: str, *, longest: int) -> str:
    """A required, non-empty text of at most `longest` characters."""
    value = body.get(field)
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise BadInput("field_invalid", field=field)
    if len(value) > longest:
        raise BadInput("field_too_long", field=field, limit=longest)
    return value


def optional_text(body: Mapping[str, Any], field: str, *, longest: int) -> str | None:
    """As `text_field`; None when the field is absent or null."""
    return None if body.get(field) is None else text_field(body, field, longest=longest)
