"""The EventLog: numbered, resumable, short-lived streams of what happens, and the rules for reading them.

A topic is `turn:{id}` or `account:{id}`. Its entries are numbered 1, 2, 3 … (`seq`); a topic that was lost and begun
again has another `epoch`. A reader remembers a `Cursor`; when the log cannot go on from there (another epoch, a last
number below the cursor, entries capped away), that is a *gap*, and the reader looks at the rows, which are the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from core.kit.errors import Unavailable
from core.live.wakes import Wakes

REREAD_S = 5.0
"""A follower reads again after this time whatever the wake-ups say: they may be lost."""
PAGE = 500
"""Entries taken in one read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a topic is kept, and for how long after its last entry."""

    entries: int
    ttl_s: int


TURN_LIMITS = Limits(2_000, 30 * 60)
"""80 s of a turn at its full pace of 25 events a second; half an hour to come back after its end."""
ACCOUNT_LIMITS = Limits(1_000, 24 * 3600)


def limits_of(topic: str) -> Limits:
    """The limits of a topic, by its kind."""
    return TURN_LIMITS if topic.startswith("turn:") else ACCOUNT_LIMITS


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a reader has seen: everything up to `seq` of `epoch`. Its text form is `epoch.seq`."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read the text form; raises ValueError."""
        epoch, dot, seq = text.rpartition(".")
        if not dot or not (seq.isascii() and seq.isdigit()) or len(text) > 40:
            raise ValueError("a cursor looks like 3f9a0c17.42")
        return cls(epoch, int(seq))


START = Cursor("", 0)
"""Nothing seen yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One numbered entry; `gap` says that entries before it were lost to this reader."""

    seq: int
    epoch: str
    data: bytes
    gap: bool = False

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class Page:
    """What one read found: entries after the cursor's number, and the end of the topic (0 and "" when it is gone)."""

    entries: tuple[Entry, ...]
    epoch: str
    last: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What a follower got: entries in order, or a gap, or neither when nothing came in time."""

    entries: tuple[Entry, ...] = ()
    gap: bool = False


class Refused(Exception):
    """The number is taken by another entry, or below the last one: someone else writes this topic."""

    def __init__(self, last: int) -> None:
        super().__init__(f"the log is at {last}")
        self.last = last


class LogUnavailable(Unavailable):
    """The log cannot be reached; the rows still hold the truth."""

    def __init__(self) -> None:
        super().__init__("events_unavailable", retry_after_s=1)


def judge(cursor: Cursor, page: Page) -> Batch:
    """Whether the page goes on from the cursor: its entries, or a gap. Pure."""
    if page.last == 0:
        return Batch(gap=cursor.seq > 0)
    if page.last < cursor.seq or cursor.epoch not in ("", page.epoch):
        return Batch(gap=True)
    if page.entries and page.entries[0].seq != cursor.seq + 1:
        return Batch(gap=True)
    return Batch(page.entries)


class EventLog(Protocol):
    """Append, read, follow. Every method raises LogUnavailable when the log is away."""

    async def append(self, topic: str, seq: int, data: bytes) -> None:
        """Write the entry of this number. Repeating one's own append is harmless. Raises Refused."""

    async def append_next(self, topic: str, data: bytes) -> int:
        """Write the entry after the last one; its number."""

    async def read(self, topic: str, after: int, limit: int = PAGE) -> Page:
        """Entries with a number above `after`, oldest first."""

    async def listen(self, topic: str) -> Wakes.Wake:
        """Register for wake-ups of the topic; they count from the return on."""

    async def tail(self, topic: str) -> Cursor:
        """The end of the topic now: following from here hears only what comes later."""

    def follow(self, topic: str, after: Cursor | None = None) -> AsyncIterator[Entry]:
        """Entries after the cursor (None: all that is kept), then those to come, for ever. Use under `aclosing`."""

    async def signal(self, name: str) -> None:
        """Wake whoever waits for this name, in any process; lost where nobody listens just then."""

    def on_signal(self, name: str) -> Wakes.Wake:
        """Register for a signal; its `event` is set when it comes."""

    async def run(self) -> None:
        """Keep up what wakes this process, for as long as it lives; a supervised task."""


class Follower:
    """One reader of one topic: registers for wake-ups before its first read, and says when it missed something.

    Use as an async context manager. After a gap, call `go_on` with the cursor from which to continue.
    """

    def __init__(self, log: EventLog, topic: str, after: Cursor = START) -> None:
        self._log = log
        self._topic = topic
        self.cursor = after
        self.epoch = after.epoch
        """The epoch last seen in the log."""
        self._wake: Wakes.Wake | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wake is not None:
            self._wake.close()
            self._wake = None

    def go_on(self, cursor: Cursor) -> None:
        """Continue from here."""
        self.cursor = cursor

    async def next(self, timeout_s: float) -> Batch:
        """The next entries; empty when none came within the time. Raises LogUnavailable."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        if self._wake is None:
            self._wake = await self._log.listen(self._topic)
        while True:
            page = await self._log.read(self._topic, self.cursor.seq)
            self.epoch = page.epoch
            batch = judge(self.cursor, page)
            if batch.gap:
                return batch
            if batch.entries:
                self.cursor = batch.entries[-1].cursor
                return batch
            if (left := until - loop.time()) <= 0:
                return batch
            await self._wake.wait(min(left, REREAD_S))


async def follow(log: EventLog, topic: str, after: Cursor | None) -> AsyncIterator[Entry]:
    """`EventLog.follow` over any log: a gap is bridged by going on with what is kept, marked at its first entry."""
    gap = False
    async with Follower(log, topic, after or START) as follower:
        while True:
            batch = await follower.next(REREAD_S)
            if batch.gap:
                gap = True
                page = await log.read(topic, 0, 1)
                follower.go_on(Cursor(page.epoch, page.entries[0].seq - 1) if page.entries else START)
            for entry in batch.entries:
                yield replace(entry, gap=True) if gap else entry
                gap = False
