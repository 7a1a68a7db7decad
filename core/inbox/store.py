"""The inbox: events are stored once before the platform hears that they arrived, then worked on in order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from core.inbox.types import InboxEvent
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import current
from core.kit.text import clean

DONE_KEPT = timedelta(days=2)
"""Platforms repeat what they think undelivered for a day; until then the event must be recognised."""
FAILED_KEPT = timedelta(days=7)
ROWS_AT_ONCE = 100


async def store(platform: str, bot: str, events: Iterable[tuple[str, str]]) -> int:
    """Keep events, each `(event id, JSON text)`, in the order given; how many of them were new.

    All or none; a repeated event keeps its first payload and state.
    """
    given = list(events)
    now = current().clock.now()

    async def body(work: Work) -> int:
        new = 0
        for begin in range(0, len(given), ROWS_AT_ONCE):
            rows = given[begin : begin + ROWS_AT_ONCE]
            places = ", ".join(f"($1, $2, ${4 + 2 * n}, ${5 + 2 * n}, 'new', 0, $3)" for n in range(len(rows)))
            new += await work.change(
                "INSERT INTO inbox (platform, bot, event_id, payload, state, tries, received_at)"
                f" VALUES {places} ON CONFLICT (platform, bot, event_id) DO NOTHING",
                [platform, bot, now, *(value for row in rows for value in row)],
            )
        return new

    return await unit_of_work(body) if given else 0


async def pending(platform: str, bot: str, limit: int = 100) -> list[InboxEvent]:
    """The oldest events that wait, in the order they were stored."""
    rows = await read(
        "SELECT id, event_id, payload, tries FROM inbox WHERE platform = $1 AND bot = $2 AND state = 'new'"
        " ORDER BY id LIMIT $3",
        [platform, bot, limit],
    )
    return [InboxEvent(int(row["id"]), row["event_id"], row["payload"], row["tries"]) for row in rows]


async def done(id: int) -> None:
    """The event was worked on: only its number stays. Idempotent."""
    now = current().clock.now()

    async def body(work: Work) -> None:
        await work.change(
            "UPDATE inbox SET state = 'done', payload = '', done_at = $2 WHERE id = $1 AND state = 'new'", [id, now]
        )

    await unit_of_work(body)


async def failed(id: int, error: str) -> None:
    """Put the event aside, so that it stops nobody; it stays readable until it is pruned. Idempotent.

    `error` names a kind of failure, never a content.
    """
    now = current().clock.now()

    async def body(work: Work) -> None:
        await work.change(
            "UPDATE inbox SET state = 'failed', tries = tries + 1, error = $2, done_at = $3"
            " WHERE id = $1 AND state = 'new'",
            [id, clean(error)[:200], now],
        )

    await unit_of_work(body)


async def prune() -> int:
    """Remove what was done two days and put aside seven days ago; how many events."""
    now = current().clock.now()

    async def body(work: Work) -> int:
        return await work.change(
            "DELETE FROM inbox WHERE (state = 'done' AND done_at < $1) OR (state = 'failed' AND done_at < $2)",
            [now - DONE_KEPT, now - FAILED_KEPT],
        )

    return await unit_of_work(body)
