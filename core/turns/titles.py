"""Titles: a conversation is named after its first question, by its first characters as a reader counts them."""

from __future__ import annotations

from collections.abc import Sequence

from core.chat import Part, TextPart
from core.kit.text import cut, one_line

MAX_LENGTH = 200
"""Code points of a title, whatever its graphemes: the column holds no more."""


def title_of(parts: Sequence[Part], graphemes: int) -> str:
    """The title a question gives; empty when it has no words."""
    text = " ".join(part.text for part in parts if isinstance(part, TextPart))
    return cut(one_line(text, 10 * graphemes), graphemes, code_points=MAX_LENGTH).rstrip()
