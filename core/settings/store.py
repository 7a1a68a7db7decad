"""The queries of the settings room."""

from __future__ import annotations

from datetime import datetime

import orjson

from core.kit.orm import Work, read


async def all_texts() -> dict[str, str]:
    """What differs from its default, as text, by key."""
    return {row["key"]: _text(row["value"]) for row in await read("SELECT key, value FROM setting")}


async def text_of(work: Work, key: str) -> str | None:
    """One of them, inside a unit of work."""
    rows = await work.execute("SELECT value FROM setting WHERE key = $1", [key])
    return _text(rows[0]["value"]) if rows else None


async def put(work: Work, key: str, text: str, at: datetime) -> None:
    """Keep a value."""
    await work.change(
        "INSERT INTO setting (key, value, updated_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        [key, orjson.dumps(text).decode(), at],
    )


async def remove(work: Work, key: str) -> None:
    """Go back to the default."""
    await work.change("DELETE FROM setting WHERE key = $1", [key])


def _text(value: str) -> str:
    parsed = orjson.loads(value)
    return parsed if isinstance(parsed, str) else value
