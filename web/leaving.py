"""Noticing a client that left: aiohttp does not cancel the handler of one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from aiohttp import web

from core.kit.errors import AppError, Unavailable
from core.kit.scope import current
from core.kit.supervisor import TURNS

T = TypeVar("T")

LOOK_EVERY_S = 0.25


class ClientLeft(Exception):
    """The connection is gone; nobody will read an answer."""


async def unless_client_leaves(request: web.Request, name: str, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a supervised task, so that a stopping process waits for it as for a turn.

    It is cancelled, and waited for, when the connection is gone (raises ClientLeft) or the handler is cancelled. Raises
    Unavailable when the stopping process has no patience left.
    """
    task = current().supervisor.spawn(name, _outcome(work), group=TURNS)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=LOOK_EVERY_S)
            if done:
                if task.cancelled():
                    raise Unavailable("draining")
                result, refusal = task.result()
                if refusal is not None:
                    raise refusal
                return cast(T, result)
            if request.transport is None or request.transport.is_closing():
                raise ClientLeft
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _outcome(work: Coroutine[Any, Any, T]) -> tuple[T | None, AppError | None]:
    """A refusal is an outcome for the caller to tell, not a failure of the task to be logged."""
    try:
        return await work, None
    except AppError as refusal:
        return None, refusal
