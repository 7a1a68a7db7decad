"""The event log in memory: the contract of `event_log.py` within one process, for tests and for want of a Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from core.live.event_log import PAGE, Cursor, Entry, Page, Refused, follow, limits_of
from core.live.wakes import Wakes


@dataclass(slots=True)
class _Topic:
    epoch: str
    entries: deque[Entry]
    last: int = 0
    expires_at: float = field(default=0.0)


class MemoryLog:
    """Topics in a dictionary; `time` is in seconds, the running loop's by default."""

    def __init__(self, time: Callable[[], float] | None = None) -> None:
        self._time = time or (lambda: asyncio.get_running_loop().time())
        self._topics: dict[str, _Topic] = {}
        self._wakes = Wakes()
        self._waiting = Wakes()

    async def append(self, topic: str, seq: int, data: bytes) -> None:
        known = self._alive(topic)
        last = known.last if known else 0
        if seq <= last:
            assert known is not None
            if any(entry.seq == seq and entry.data == data for entry in known.entries):
                return
            raise Refused(last)
        self._write(topic, seq, data)

    async def append_next(self, topic: str, data: bytes) -> int:
        known = self._alive(topic)
        seq = known.last + 1 if known else 1
        self._write(topic, seq, data)
        return seq

    async def read(self, topic: str, after: int, limit: int = PAGE) -> Page:
        known = self._alive(topic)
        if known is None:
            return Page((), "", 0)
        return Page(tuple(entry for entry in known.entries if entry.seq > after)[:limit], known.epoch, known.last)

    async def listen(self, topic: str) -> Wakes.Wake:
        return self._wakes.register(topic)

    async def tail(self, topic: str) -> Cursor:
        known = self._alive(topic)
        return Cursor(known.epoch, known.last) if known else Cursor("", 0)

    def follow(self, topic: str, after: Cursor | None = None) -> AsyncIterator[Entry]:
        return follow(self, topic, after)

    async def signal(self, name: str) -> None:
        self._waiting.wake(name)

    def on_signal(self, name: str) -> Wakes.Wake:
        return self._waiting.register(name)

    async def run(self) -> None:
        return

    def lose(self, topic: str) -> None:
        """Forget a topic, as a store without persistence does in a crash."""
        self._topics.pop(topic, None)

    def _alive(self, topic: str) -> _Topic | None:
        known = self._topics.get(topic)
        if known is not None and known.expires_at <= self._time():
            del self._topics[topic]
            return None
        return known

    def _write(self, topic: str, seq: int, data: bytes) -> None:
        limits = limits_of(topic)
        known = self._topics.get(topic)
        if known is None:
            known = self._topics[topic] = _Topic(secrets.token_hex(4), deque(maxlen=limits.entries))
        known.entries.append(Entry(seq, known.epoch, data))
        known.last = seq
        known.expires_at = self._time() + limits.ttl_s
        self._wakes.wake(topic)
