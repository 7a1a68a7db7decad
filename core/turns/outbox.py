"""The outbox of a running turn: its events on their way to the log, numbered by the runner alone.

Text that waits is joined, so a slow or absent log costs events, not words: each carries its offset, and the next one
that arrives holds everything since the last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from core.chat import ReasoningAdded, TextAdded, TurnEvent, wire
from core.live import EventLog, LogUnavailable, Refused
from core.turns.errors import LeaseLost

RETRY_S = 1.0
"""The pause after a failed append; the answer goes on meanwhile."""


class Outbox:
    """Events of one turn in order; `flush` sends what waits."""

    def __init__(self, log: EventLog, topic: str, still_ours: Callable[[], Awaitable[bool]]) -> None:
        self._log = log
        self._topic = topic
        self._still_ours = still_ours
        self._waiting: deque[TurnEvent] = deque()
        self._unsent: bytes | None = None
        self.seq = 0
        """The last number given."""
        self.retry_at = 0.0
        """Loop time before which another try is pointless."""

    @property
    def pending(self) -> bool:
        """Whether anything waits."""
        return self._unsent is not None or bool(self._waiting)

    def put(self, event: TurnEvent) -> None:
        """Let an event wait, joined with the one before it where both are text of one kind."""
        last = self._waiting[-1] if self._waiting else None
        match last, event:
            case TextAdded(offset, text), TextAdded(_, more):
                self._waiting[-1] = TextAdded(offset, text + more)
            case ReasoningAdded(offset, text), ReasoningAdded(_, more):
                self._waiting[-1] = ReasoningAdded(offset, text + more)
            case _:
                self._waiting.append(event)

    async def flush(self) -> bool:
        """Send what waits; False when the log is away and some still does. Raises LeaseLost."""
        while self.pending:
            if self._unsent is None:
                self._unsent = wire.encode(wire.dump_event(self._waiting.popleft())).encode()
                self.seq += 1
            try:
                await self._log.append(self._topic, self.seq, self._unsent)
            except LogUnavailable:
                self.retry_at = asyncio.get_running_loop().time() + RETRY_S
                return False
            except Refused as refused:
                # The number is taken: by the notices of a turn that was queued, or by who ended this turn.
                if not await self._still_ours():
                    raise LeaseLost from refused
                self.seq = refused.last + 1
                continue
            self._unsent = None
        return True
