"""Following a turn: its events from the log, bridged by the row wherever the log has a gap, is silent or away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from core import billing, conversations, live
from core.chat import (
    Failed,
    Finished,
    Message,
    ReasoningAdded,
    ReasoningPart,
    Role,
    Snapshot,
    TextAdded,
    TextPart,
    wire,
)
from core.kit.ids import TurnId
from core.live import START, Cursor, Follower, LogUnavailable
from core.turns import ending, store
from core.turns.errors import turn_unknown
from core.turns.types import Numbered, Turn, TurnState

SILENCE_S = 10.0
"""After this long without an event the row is read: a crash between commit and event hangs nobody."""
POLL_S = 1.0
"""How often the row is read while the log is away."""
GAP_PAUSE_S = 0.5
"""The pause before a gap is tried again, when the row knows no more than the follower."""
ROW_EPOCH = "row"
"""The epoch of what came from the row: no log has it, so going on from there leads to a Snapshot first."""


async def follow(turn_id: TurnId, *, after: Cursor | None = None) -> AsyncIterator[Numbered]:
    """Events after the cursor (None: all), then those to come, until Finished or Failed. Consume under `aclosing`.

    Text carries its offset: drop what you have, and expect a Snapshot wherever something was missed. Ask `get` first
    whether the reader may. Raises NotFound.
    """
    async with Follower(live.log(), live.turn_topic(turn_id), after or START) as follower:
        reader = _Reader(turn_id, follower)
        timeout_s = 0.0
        while True:
            try:
                batch = await follower.next(timeout_s)
            except LogUnavailable:
                for each in await reader.row_only():
                    yield each
                if reader.over:
                    return
                await asyncio.sleep(POLL_S)
                continue
            timeout_s = SILENCE_S
            if batch.gap:
                for each in await reader.bridge():
                    yield each
            elif batch.entries:
                for entry in batch.entries:
                    event = wire.load_event(wire.decode(entry.data))
                    yield reader.seen(Numbered(entry.seq, entry.epoch, event))
                    if reader.over:
                        return
            else:
                for each in await reader.after_silence():
                    yield each
            if reader.over:
                return


@dataclass(slots=True)
class _Reader:
    """What one follower has seen, and how the row helps it on."""

    turn: TurnId
    follower: Follower
    begun: bool = False
    over: bool = False
    words: int = 0
    """Code points of text and of thoughts that the follower has."""
    thoughts: int = 0

    def seen(self, numbered: Numbered) -> Numbered:
        self.begun = True
        match numbered.event:
            case TextAdded(offset, text):
                self.words = max(self.words, offset + len(text))
            case ReasoningAdded(offset, text):
                self.thoughts = max(self.thoughts, offset + len(text))
            case Snapshot(message):
                self.words, self.thoughts = _extent(message)
            case Finished() | Failed():
                self.over = True
            case _:
                pass
        return numbered

    async def bridge(self) -> list[Numbered]:
        """Over a gap: the answer as it stands, and on from the event it reflects; the pause is for the runner."""
        turn = await self._row()
        self.follower.go_on(Cursor(self.follower.epoch, turn.seq))
        told = await self._news(turn, self.follower.epoch or ROW_EPOCH)
        if not told:
            await asyncio.sleep(GAP_PAUSE_S)
        return told

    async def after_silence(self) -> list[Numbered]:
        """Nothing came: when the row says the turn is over, tell it from there."""
        turn = await self._row()
        return await self._news(turn, self.follower.epoch or ROW_EPOCH) if turn.state.ended else []

    async def row_only(self) -> list[Numbered]:
        """The log is away: what is new in the row."""
        turn = await self._row()
        self.follower.go_on(Cursor(ROW_EPOCH, turn.seq))
        return await self._news(turn, ROW_EPOCH)

    async def _news(self, turn: Turn, epoch: str) -> list[Numbered]:
        """A snapshot if the row knows more than the follower, and the end if it is over."""
        stored = None if turn.answer is None else (await conversations.message(turn.answer)).message
        message = stored or Message(Role.ASSISTANT, ())
        words, thoughts = _extent(message)
        if self.begun and not turn.state.ended and words <= self.words and thoughts <= self.thoughts:
            return []
        told = [self.seen(Numbered(turn.seq, epoch, Snapshot(message, turn.seq)))]
        if turn.state.ended:
            told.append(self.seen(Numbered(turn.seq + 1, epoch, await end_of(turn, kept=bool(message.parts)))))
        return told

    async def _row(self) -> Turn:
        turn = await store.turn(self.turn)
        if turn is None:
            raise turn_unknown()
        return turn


async def end_of(turn: Turn, *, kept: bool) -> Finished | Failed:
    """The last event of an ended turn, as its row tells it."""
    outcome = ending.Outcome(turn.state, turn.finish, turn.error)
    if turn.state is TurnState.STOPPED:
        outcome = ending.stopped()
    return ending.told(
        turn.id,
        outcome,
        kept=kept,
        answered=turn.answer is not None,
        usage=turn.usage,
        cost_micro=turn.cost_micro,
        balance_micro=(await billing.balance(turn.account)).balance,
    )


def _extent(message: Message) -> tuple[int, int]:
    words = sum(len(part.text) for part in message.parts if isinstance(part, TextPart))
    thoughts = sum(len(part.text) for part in message.parts if isinstance(part, ReasoningPart))
    return words, thoughts
