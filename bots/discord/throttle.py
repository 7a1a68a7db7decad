"""The throttle: holds requests back at the wire, so that Discord never has to refuse one.

discord.py learns a bucket's state from the answers in it and waits by itself, but it does not know two things: that all
routes together may take 50 requests a second, and what a process that was killed a moment ago has already spent. So the
first is counted here, and of the five writes that a channel takes in five seconds one is always left to a successor,
whose first answer then tells it the rest.

Sources: https://docs.discord.com/developers/topics/rate-limits (50 a second for a bot, interactions exempt), seen
2026-11; five writes in five seconds and channel, for each of sending and editing, are what the headers say.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict, deque
from types import SimpleNamespace

import aiohttp

WRITES, WRITES_S = 4, 5.2
EVERYTHING, EVERYTHING_S = 40, 1.05
WINDOWS = 4_096
"""Channels whose writes are remembered."""

_WRITE = re.compile(r"/channels/(\d+)/messages(?:/\d+)?$")
_EXEMPT = re.compile(r"/(?:interactions|webhooks)/\d+/")


class Window:
    """At most `most` events in any `span_s` seconds."""

    def __init__(self, most: int, span_s: float) -> None:
        self._most, self._span_s = most, span_s
        self._taken: deque[float] = deque(maxlen=most)

    def wait_s(self, now: float) -> float:
        """Seconds until there is room."""
        if len(self._taken) < self._most:
            return 0.0
        return max(0.0, self._taken[0] + self._span_s - now)

    def take(self, now: float) -> None:
        """One event happens."""
        self._taken.append(now)


class Throttle:
    """What one bot has asked lately."""

    def __init__(self) -> None:
        self._all = Window(EVERYTHING, EVERYTHING_S)
        self._writes: OrderedDict[tuple[str, str], Window] = OrderedDict()

    def trace(self) -> aiohttp.TraceConfig:
        """What an HTTP session calls, and waits for, before each request."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._begins)
        return trace

    async def _begins(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestStartParams
    ) -> None:
        await self.admit(request.method, request.url.path)

    async def admit(self, method: str, path: str) -> None:
        """Wait until this request is welcome; it counts as made when this returns."""
        if _EXEMPT.search(path):
            return
        windows = [self._all]
        if method in ("POST", "PATCH") and (write := _WRITE.search(path)):
            windows.append(self._window(method, write[1]))
        clock = asyncio.get_running_loop().time
        while True:
            wait_s = max(window.wait_s(clock()) for window in windows)
            if wait_s <= 0:
                break
            await asyncio.sleep(wait_s)  # others may have taken the room meanwhile
        for window in windows:
            window.take(clock())

    def _window(self, method: str, channel: str) -> Window:
        key = (method, channel)
        window = self._writes.setdefault(key, Window(WRITES, WRITES_S))
        self._writes.move_to_end(key)
        if len(self._writes) > WINDOWS:
            self._writes.popitem(last=False)
        return window
