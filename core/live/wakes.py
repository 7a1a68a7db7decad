"""Wakes: who waits for which topic in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Wakes:
    """Registered waiters by topic."""

    class Wake:
        """One waiter; a wake-up between two waits is kept."""

        def __init__(self, wakes: Wakes, topic: str) -> None:
            self._wakes = wakes
            self._topic = topic
            self.event = asyncio.Event()

        async def wait(self, timeout_s: float) -> None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self.event.wait()
            except TimeoutError:
                return
            self.event.clear()

        def close(self) -> None:
            waiting = self._wakes._waiting.get(self._topic)
            if waiting is not None:
                waiting.discard(self)
                if not waiting:
                    del self._wakes._waiting[self._topic]

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[Wakes.Wake]] = defaultdict(set)

    def register(self, topic: str) -> Wake:
        """A new waiter; close it when done."""
        wake = Wakes.Wake(self, topic)
        self._waiting[topic].add(wake)
        return wake

    def wake(self, topic: str) -> None:
        """Wake those who wait for the topic."""
        for each in self._waiting.get(topic, ()):
            each.event.set()

    def wake_all(self) -> None:
        """Wake everyone: something may have been missed."""
        for waiting in self._waiting.values():
            for each in waiting:
                each.event.set()
