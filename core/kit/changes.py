"""The change feed: numbered facts "this changed", by which every process drops what it has cached.

The number comes from the version row inside the changing transaction, so numbers follow commits; a serial would
let a reader skip a number whose transaction commits late. Every process polls the version row each second, the
version before the rows; a message through Redis only hastens that.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import structlog
from tortoise import fields

from core.kit.errors import Unavailable
from core.kit.orm import Table, Work, read
from core.kit.redis import RedisError
from core.kit.scope import Scope, current

Kind = Literal["setting", "channel", "model", "account", "api_key"]
Callback = Callable[[str], Awaitable[None] | None]

POLL_S = 1.0
"""Between two looks at the version row: the longest that a change made by another process stays unseen."""
HINT_S = 1.0
"""How long telling the others by Redis may take."""
RECONNECT_S = 5.0
"""Between two tries to subscribe to the hints."""
KEPT = 20_000
"""Changes kept in the table; who was away for longer drops everything."""

log = structlog.get_logger(__name__)


class ChangeVersionRow(Table):
    """One row, id 1: the newest number."""

    id = fields.IntField(primary_key=True, generated=False)
    number = fields.BigIntField(default=0)

    class Meta:
        table = "change_version"


class ChangeRow(Table):
    """One change: what kind of thing, and which."""

    number = fields.BigIntField(primary_key=True, generated=False)
    kind = fields.CharField(max_length=32)
    subject = fields.CharField(max_length=200)
    at = fields.DatetimeField()

    class Meta:
        table = "change"


async def record(work: Work, kind: Kind, subject: str = "") -> None:
    """Say inside the changing unit of work what changed; without a subject, all of the kind.

    Serialises with every other change until the commit: call it after the other writes and before money. This
    process has heard of it when `unit_of_work` returns, the others within POLL_S.
    """
    numbers = await work.execute(
        "INSERT INTO change_version (id, number) VALUES (1, 1)"
        " ON CONFLICT (id) DO UPDATE SET number = change_version.number + 1 RETURNING number"
    )
    number = int(numbers[0]["number"])
    await work.change(
        "INSERT INTO change (number, kind, subject, at) VALUES ($1, $2, $3, $4)",
        [number, kind, subject, current().clock.now()],
    )
    if number % 256 == 0:
        await work.change("DELETE FROM change WHERE number <= $1", [number - KEPT])
    work.after_commit(_tell)


def feed() -> Feed:
    """The feed of this scope."""
    return current().state(Feed)


class Feed:
    """Hears every change once or more often: callbacks are idempotent, and one that fails is called again."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._seen: int | None = None
        self._callbacks: dict[str, list[Callback]] = {}
        self._hint = asyncio.Event()
        self._lock = asyncio.Lock()

    def subscribe(self, kind: Kind, callback: Callback) -> None:
        """Call `callback(subject)` after each change of the kind; an empty subject means all of them.

        Subscribe before the first read of what is cached, else a change between the two is missed.
        """
        self._callbacks.setdefault(kind, []).append(callback)

    async def run(self) -> None:
        """Poll until cancelled; a database that is away is noted and asked again."""
        async with asyncio.TaskGroup() as group:
            if self._scope.redis is not None:
                group.create_task(self._listen(), name="changes.hints")
            while True:
                self._hint.clear()
                try:
                    await self.catch_up()
                except Exception as error:
                    log.warning("changes.unread", error=type(error).__name__)
                    await asyncio.sleep(POLL_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._hint.wait()

    async def catch_up(self) -> None:
        """Hear now what was committed before this call."""
        async with self._lock:
            versions = await read("SELECT number FROM change_version WHERE id = 1")
            version = int(versions[0]["number"]) if versions else 0
            if version == self._seen:
                return
            for kind, subject in await self._news(version):
                for callback in list(self._callbacks.get(kind, ())):
                    waited = callback(subject)
                    if inspect.isawaitable(waited):
                        await waited
            self._seen = version

    async def _news(self, version: int) -> list[tuple[str, str]]:
        """What changed since the last look, each thing once; all of every kind when that cannot be known."""
        everything = [(kind, "") for kind in self._callbacks]
        if self._seen is None or version < self._seen:
            return everything
        rows = await read(
            "SELECT kind, subject FROM change WHERE number > $1 AND number <= $2 ORDER BY number",
            [self._seen, version],
        )
        if len(rows) != version - self._seen:
            return everything
        return list(dict.fromkeys((row["kind"], row["subject"]) for row in rows))

    async def _listen(self) -> None:
        redis: Any = self._scope.redis
        while True:
            pubsub = redis.pubsub()
            try:
                await pubsub.subscribe(self._scope.keys.changes)
                while True:
                    if await pubsub.get_message(ignore_subscribe_messages=True, timeout=POLL_S) is not None:
                        self._hint.set()
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(RECONNECT_S)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()


async def _tell() -> None:
    await feed().catch_up()
    scope = current()
    redis: Any = scope.redis
    if redis is not None:
        # The poll finds what a lost hint would have told.
        with contextlib.suppress(RedisError, OSError, TimeoutError, Unavailable):
            async with asyncio.timeout(HINT_S):
                await redis.publish(scope.keys.changes, "")
