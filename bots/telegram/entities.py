"""Markdown as Telegram takes it: rich messages, text with entities as the fallback, plain text last."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import structlog

from bots.common.pager import Measure, PageLimits, pages

log = structlog.get_logger(__name__)

TEXT_UNITS = 4_000
"""UTF-16 units of one text message; the server takes 4,096 after parsing."""
ENTITIES = 100
"""More than these the server silently drops."""

_CODE = re.compile(r"(^ {0,3}(?:`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}(?:`{3,}|~{3,})[ \t]*$|\Z)|`+[^`\n]+`+)", re.M | re.S)
_BLOCK_FORMULA = re.compile(r"\\\[\s*(.+?)\s*\\\]", re.S)
_INLINE_FORMULA = re.compile(r"\\\(\s*(.+?)\s*\\\)")


@dataclass(frozen=True, slots=True)
class Text:
    """A text message: offsets are UTF-16 units, entities are the Bot API's own JSON."""

    text: str
    entities: tuple[dict[str, Any], ...] = ()


def rich_markdown(markdown: str) -> str:
    r"""The model's Markdown for a rich message: `\(…\)` and `\[…\]` become `$…$` and `$$…$$` outside code."""
    parts = _CODE.split(markdown)
    for index in range(0, len(parts), 2):
        found = _BLOCK_FORMULA.sub(lambda match: f"$$\n{match[1]}\n$$", parts[index])
        parts[index] = _INLINE_FORMULA.sub(lambda match: f"${match[1]}$", found)
    return "".join(parts)


def as_entities(markdown: str) -> list[Text]:
    """Text messages with entities, none too long; raises nothing: what cannot be converted comes back plain."""
    from telegramify_markdown import convert, split_entities  # late: only a refused rich message needs it

    try:
        text, entities = convert(rich_markdown(markdown))
        split = split_entities(text, entities, max_utf16_len=TEXT_UNITS)
    except Exception:  # a third-party parser on a model's text: plain text is the remedy, and the log knows
        log.exception("telegram.unconvertible")
        return as_plain(markdown)
    found: list[Text] = []
    for part, its_entities in split:
        if not part.strip():
            continue
        found.append(Text(part, tuple(entity.to_dict() for entity in its_entities[:ENTITIES])))
    return found or as_plain(markdown)


def as_plain(markdown: str) -> list[Text]:
    """The same text without any formatting."""
    limits = PageLimits(TEXT_UNITS, measure=Measure.UTF16)
    return [Text(piece.text) for piece in pages(markdown, limits)] or [Text("…")]
