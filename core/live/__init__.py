"""The resumable event log and the signals between processes: how every door hears what happens.

Topics: `turn:{id}` (what a door may render of one answer) and `account:{id}` (ids only: look again). The rows are the
truth; the log is short-lived and may be lost.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

import structlog

from core.chat import AccountEvent, wire
from core.kit.ids import AccountId, TurnId
from core.kit.scope import Scope, current
from core.live import control
from core.live.event_log import START, Batch, Cursor, Entry, EventLog, Follower, LogUnavailable, Page, Refused
from core.live.memory_log import MemoryLog
from core.live.redis_log import RedisLog

__all__ = [
    "START",
    "Batch",
    "Cursor",
    "Entry",
    "EventLog",
    "Follower",
    "LogUnavailable",
    "MemoryLog",
    "Page",
    "RedisLog",
    "Refused",
    "account_topic",
    "cancel_event",
    "log",
    "request_cancel",
    "tell",
    "turn_topic",
]

_logger = structlog.get_logger(__name__)


def log() -> EventLog:
    """The event log of this process's scope; its subscription starts with the first use."""
    return current().state(_open)


def turn_topic(turn: TurnId) -> str:
    """The topic of one answer."""
    return f"turn:{turn}"


def account_topic(account: AccountId) -> str:
    """The topic that tells an account's doors to look again."""
    return f"account:{account}"


async def tell(account: AccountId, event: AccountEvent) -> None:
    """Append to the account's topic; best effort, for after a commit: a log that is away is noted and no more."""
    try:
        await log().append_next(account_topic(account), wire.encode(wire.dump_account_event(event)).encode())
    except LogUnavailable:
        _logger.warning("live.untold", account=account, kind=type(event).__name__)


async def request_cancel(turn: TurnId) -> None:
    """Signal the process that runs this turn to stop it; best effort, so write the row first."""
    await control.request_cancel(log(), turn)


def cancel_event(turn: TurnId) -> AbstractContextManager[asyncio.Event]:
    """Within the block, an event that is set when any process asks to stop this turn."""
    return control.cancel_event(log(), turn)


def _open(scope: Scope) -> EventLog:
    if scope.redis is None:
        return MemoryLog()
    events = RedisLog(scope.redis, scope.keys.prefix)
    scope.supervisor.spawn("live.subscription", events.run())
    return events
