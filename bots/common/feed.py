"""The feed: takes stored events out of the inbox and works on them, per lane in order, different lanes in parallel.

An event is done when its handler returned, failed when it raised; one bad event never stops the rest. A handler that
is slow (a reply waiting out a flood answer) lets the next event of its lane go on after PATIENCE_S.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from core import inbox
from core.kit.errors import AppError, Unavailable
from core.kit.scope import current

log = structlog.get_logger(__name__)

BATCH = 100
IN_HAND = 1_000
"""Events being worked on at once; the others wait in the database."""
PATIENCE_S = 10.0
HANDLER_S = 1_800.0
POLL_S = 2.0
TRIES = 5
"""Times an event is tried while we cannot serve (database or Redis away)."""

Handle = Callable[[str], Awaitable[None]]
LaneOf = Callable[[str], str]
GiveUp = Callable[[str, AppError], Awaitable[None]]
"""Tells the person that their event could not be worked on."""


class Feed:
    """One bot's events. `handle` gets the payload as it was stored; `lane_of` names its lane."""

    def __init__(
        self, platform: str, bot: str, handle: Handle, lane_of: LaneOf, *, give_up: GiveUp | None = None
    ) -> None:
        self._platform, self._bot = platform, bot
        self._handle, self._lane_of, self._give_up = handle, lane_of, give_up
        self._wake = asyncio.Event()
        self._in_hand: set[int] = set()
        self._lanes: dict[str, deque[inbox.InboxEvent]] = {}

    async def store(self, events: Sequence[tuple[str, str]]) -> None:
        """Keep events, as (event id, JSON); known ones are passed over. When this returns they survive a crash."""
        await inbox.store(self._platform, self._bot, list(events))
        self._wake.set()

    async def run(self) -> None:
        """A service: work on what is stored until cancelled."""
        while True:
            self._wake.clear()
            room = 0 if current().draining else IN_HAND - len(self._in_hand)
            if room > 0:
                events = await inbox.pending(self._platform, self._bot, len(self._in_hand) + min(room, BATCH))
                fresh = [event for event in events if event.id not in self._in_hand]
                for event in fresh:
                    self._admit(event)
                if len(fresh) >= BATCH:
                    continue
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _admit(self, event: inbox.InboxEvent) -> None:
        self._in_hand.add(event.id)
        try:
            lane = self._lane_of(event.payload)
        except Exception as error:  # an update of a shape nobody foresaw: its handler will say what is wrong
            log.warning("inbox.no_lane", event_id=event.event_id, error=type(error).__name__)
            lane = ""
        if lane in self._lanes:
            self._lanes[lane].append(event)
            return
        self._lanes[lane] = deque([event])
        current().supervisor.spawn(f"lane {self._platform} {lane}", self._work(lane))

    async def _work(self, lane: str) -> None:
        waiting = self._lanes[lane]
        while waiting:
            event = waiting.popleft()
            task = current().supervisor.spawn(f"event {self._platform} {event.event_id}", self._one(event))
            await asyncio.wait({task}, timeout=PATIENCE_S)
        del self._lanes[lane]

    async def _one(self, event: inbox.InboxEvent) -> None:
        try:
            await self._tried(event)
        finally:
            self._in_hand.discard(event.id)

    async def _tried(self, event: inbox.InboxEvent) -> None:
        for tries in range(1, TRIES + 1):
            try:
                async with asyncio.timeout(HANDLER_S):
                    await self._handle(event.payload)
                await inbox.done(event.id)
                return
            except Unavailable as error:
                if current().draining:  # the next process finds it where it is
                    return
                log.warning("inbox.not_now", event_id=event.event_id, code=error.code, tries=tries)
                if tries == TRIES:
                    await inbox.failed(event.id, error.code)
                    if self._give_up is not None:
                        await self._give_up(event.payload, error)
                    return
                await asyncio.sleep(min(8.0, 0.5 * 2**tries))
            except Exception as error:
                log.exception("inbox.set_aside", event_id=event.event_id)
                await inbox.failed(event.id, type(error).__name__)
                return
