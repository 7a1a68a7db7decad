"""A followed event log as a server-sent event stream.

The source is an async iterator of frames; this file adds what every stream needs: headers, a comment line while it is
silent, an end when the client leaves or the process drains.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from core.kit.scope import current

COMMENT_EVERY_S = 15.0


async def serve(
    request: web.Request, frames: AsyncIterator[bytes], *, welcome: Callable[[], Awaitable[bool]]
) -> web.StreamResponse:
    """Write each frame as it comes; a comment after 15 s of silence keeps proxies and watchdogs calm.

    `welcome` is asked at each comment: a stream ends when its session has.
    """
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    await response.write(b": open\n\n")
    closing = current().state(_Closing).event
    async with contextlib.AsyncExitStack() as stack:
        if hasattr(frames, "aclose"):
            stack.push_async_callback(frames.aclose)
        waiting: asyncio.Future[bytes] | None = None
        closed = asyncio.ensure_future(closing.wait())
        try:
            while not closing.is_set():
                waiting = waiting or asyncio.ensure_future(_next(frames))
                watched: set[asyncio.Future[Any]] = {waiting, closed}
                done, _ = await asyncio.wait(watched, timeout=COMMENT_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if waiting in done:
                    try:
                        frame = waiting.result()
                    except StopAsyncIteration:
                        waiting = None
                        break
                    waiting = None
                    await response.write(frame)
                elif not done:
                    if not await welcome():
                        break
                    await response.write(b": still here\n\n")
        except ConnectionResetError:
            pass  # the client left; nothing is owed to it
        finally:
            closed.cancel()
            if waiting is not None:
                waiting.cancel()
                await asyncio.wait({waiting})
    return response


async def _next(frames: AsyncIterator[bytes]) -> bytes:
    return await anext(frames)


class _Closing:
    """Set once, when the process begins to drain: followers end at once and come back elsewhere."""

    def __init__(self, _scope: object) -> None:
        self.event = asyncio.Event()


def close_followers() -> None:
    """End every open stream of this process."""
    current().state(_Closing).event.set()
