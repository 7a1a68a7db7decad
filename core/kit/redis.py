"""Redis: one client per process, and the names of its keys and channels in one place."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

__all__ = ["Keys", "Redis", "RedisError", "answers", "close_redis", "deployment_prefix", "open_redis"]

CONNECTIONS = 64
"""The most connections of a process. Who finds none free waits; redis-py's default pool would raise."""
WAIT_S = 5.0
"""How long to wait for a free connection."""
CONNECT_S = 2.0
ANSWER_S = 10.0
"""How long a command may take. Blocking reads ask for less, or name their own time."""
PING_S = 2.0


def open_redis(url: str) -> Redis:
    """The client of this process for `redis://`, `rediss://` or `unix://`; replies are bytes. It connects when used.

    Raises ValueError for another address.
    """
    named: dict[str, Any] = {**parse_url(url)}
    options = {
        "max_connections": CONNECTIONS,
        "timeout": WAIT_S,
        "socket_connect_timeout": CONNECT_S,
        "decode_responses": False,
        **named,
        "connection_class": _BOUNDED[named.get("connection_class", Connection)],
    }
    return Redis.from_pool(BlockingConnectionPool(**options))


async def answers(client: Redis, *, timeout_s: float = PING_S) -> bool:
    """Whether Redis answers a PING in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return bool(await client.ping())
    except (RedisError, OSError, TimeoutError):
        return False


async def close_redis(client: Redis) -> None:
    """Close every connection; a Redis that is gone is no error any more."""
    with contextlib.suppress(RedisError, OSError):
        await client.aclose()


class _Bounded:
    """A connection whose commands take ANSWER_S at most, and which a cancelled caller leaves at once.

    redis-py's own `socket_timeout` sends under `asyncio.wait_for`, which on Python 3.11 forgets a cancellation that
    meets the end of what it waits for (https://github.com/python/cpython/issues/86296): the caller goes on as if
    nobody had cancelled it. Not needed once 3.12 is the oldest Python.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        async with asyncio.timeout(ANSWER_S):
            await super().send_packed_command(command, check_health)  # type: ignore[misc]

    async def read_response(self, *positional: Any, timeout: float | None = None, **named: Any) -> Any:
        if timeout is not None:
            return await super().read_response(*positional, timeout=timeout, **named)  # type: ignore[misc]
        # Not passed on: redis-py would answer None and keep the connection, whose next reader gets this answer.
        async with asyncio.timeout(ANSWER_S):
            return await super().read_response(*positional, **named)  # type: ignore[misc]


class _Tcp(_Bounded, Connection):
    """redis://"""


class _Tls(_Bounded, SSLConnection):
    """rediss://"""


class _Unix(_Bounded, UnixDomainSocketConnection):
    """unix://"""


_BOUNDED: dict[type, type] = {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def deployment_prefix(database_url: str) -> str:
    """The same for every process on one database, different for every other database, whatever user or password."""
    parts = urlsplit(database_url)
    host = (parts.hostname or "").lower()
    port = f":{parts.port}" if parts.port else ""
    return hashlib.sha256(f"{host}{port}{parts.path}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Keys:
    """Every name starts with `prefix`: deployments that share a Redis must not meet.

    Channels carry it too, since publish and subscribe ignore the number of the Redis database.
    Names of rooms: `live:…` (streams and channels of `core.live`), `guess:…` (limits on guessing), `queue:…` (ARQ),
    `changes` (the channel of the change feed), `once:…` (short-lived marks).
    """

    prefix: str

    @classmethod
    def of(cls, database_url: str) -> Keys:
        """The names of the deployment that this database belongs to."""
        return cls(f"parley:{deployment_prefix(database_url)}:")

    def key(self, *parts: str | int) -> str:
        """A name below the prefix."""
        return self.prefix + ":".join(str(part) for part in parts)

    @property
    def changes(self) -> str:
        """The channel on which a change is hinted."""
        return self.key("changes")

    def guess(self, bucket: str, subject: str) -> str:
        """The counter of tries of one subject; the subject is hashed, since it may be a name or an address."""
        return self.key("guess", bucket, hashlib.sha256(subject.encode()).hexdigest()[:32])

    def queue(self, name: str) -> str:
        """The ARQ queue of one worker class."""
        return self.key("queue", name)
