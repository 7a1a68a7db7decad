"""Cancel signals across processes: a hint that travels in milliseconds; the row says the same to who missed it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import structlog

from core.kit.ids import TurnId
from core.live.event_log import EventLog, LogUnavailable

log = structlog.get_logger(__name__)


async def request_cancel(events: EventLog, turn: TurnId) -> None:
    """Tell the process that runs this turn to stop it. Best effort: write the row first."""
    try:
        await events.signal(f"cancel:{turn}")
    except LogUnavailable:
        log.warning("cancel.unsignalled", turn=turn)


@contextlib.contextmanager
def cancel_event(events: EventLog, turn: TurnId) -> Iterator[asyncio.Event]:
    """Within the block, an event that is set when someone asks to stop this turn."""
    wake = events.on_signal(f"cancel:{turn}")
    try:
        yield wake.event
    finally:
        wake.close()
