"""To the end: awaiting what must finish, whatever happens to the one who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def to_the_end(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Run `work` in a task of its own and wait until it is over, even when the caller is cancelled meanwhile.

    The task starts from a copy of the caller's context variables, so nothing it sets is seen outside. A cancelled
    caller gets its CancelledError after the end; the outcome is then lost, and a failure among it is logged.
    Only units of work may use this: a caller that cannot be cancelled must not wait for anything unbounded.
    """
    task = asyncio.create_task(work, name=name)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            # wait() leaves the task alone when the waiter is cancelled, unlike a plain await.
            await asyncio.wait((task,))
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (error := task.exception()) is not None:
        # The kind alone: the text of a database error may quote a row.
        log.warning("shield.failure_unheard", task=name, error=type(error).__name__)
    raise cancelled
