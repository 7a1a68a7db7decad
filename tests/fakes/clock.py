"""A clock that stands still until the test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts at noon on 1 March 2026; sleepers wake when `advance` has passed their moment, in order."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._start = start
        self._passed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking sleepers one by one and giving each a few turns of the loop to go on."""
        until = self._passed + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            moment, _, woken = heapq.heappop(self._sleepers)
            self._passed = max(self._passed, moment)
            if not woken.done():
                woken.set_result(None)
            await _turns()
        self._passed = until
        await _turns()

    def jump(self, seconds: float) -> None:
        """Let time pass without waking anyone: for code that only reads the clock."""
        self._passed += seconds


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
