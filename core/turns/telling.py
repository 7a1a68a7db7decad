"""Telling about turns that nobody runs: appended after the last event, best effort, since the rows say the same."""

from __future__ import annotations

import structlog

from core import live
from core.chat import Notice, TurnEvent, wire
from core.kit.ids import ConversationId, TurnId
from core.live import LogUnavailable
from core.turns import store
from core.turns.types import TurnState

_logger = structlog.get_logger(__name__)


async def append(turn: TurnId, event: TurnEvent) -> None:
    """The next event of a waiting or ended turn."""
    try:
        await live.log().append_next(live.turn_topic(turn), wire.encode(wire.dump_event(event)).encode())
    except LogUnavailable:
        _logger.warning("turn.untold", turn=turn, kind=type(event).__name__)


async def tell_positions(conversation: ConversationId) -> None:
    """Tell each waiting turn its place in the queue."""
    for turn in await store.at_work(conversation):
        if turn.state is TurnState.QUEUED:
            await append(turn.id, queued(turn.position or 1))


def queued(position: int) -> Notice:
    """The notice of a waiting turn."""
    return Notice("queued", {"position": position})
