"""Redis: one client per process, and the names of its keys and channels in one place."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
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
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=WAIT_S,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=ANSWER_S,
        decode_responses=False,
    )
    return Redis.from_pool(pool)


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
