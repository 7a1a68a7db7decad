"""The lease of a bot: of several processes with one token, one alone receives and shows.

In the embedded mode there is one process and nothing to hold. Elsewhere a key in Redis names the holder; one that was
killed loses it within LEASE_S. A holder that cannot renew keeps working: the platform itself refuses a second receiver.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from core.kit.redis import RedisError
from core.kit.scope import Scope

log = structlog.get_logger(__name__)

LEASE_S = 15
RENEW_S = 5.0
ASK_S = 1.0


@contextlib.asynccontextmanager
async def held(scope: Scope, name: str) -> AsyncIterator[None]:
    """Wait until this process holds the lease `name`, hold it for the block, give it back."""
    if scope.config.embedded or scope.redis is None:
        yield
        return
    key, owner = scope.keys.key("lease", name), scope.owner.encode()
    while not await _take(scope, key):
        await scope.clock.sleep(ASK_S)
    renewing = asyncio.create_task(_renew(scope, key), name=f"lease {name}")
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        with contextlib.suppress(RedisError, OSError):
            if await scope.redis.get(key) == owner:
                await scope.redis.delete(key)


async def _take(scope: Scope, key: str) -> bool:
    assert scope.redis is not None
    try:
        taken = await scope.redis.set(key, scope.owner, nx=True, ex=LEASE_S)
        return bool(taken) or await scope.redis.get(key) == scope.owner.encode()
    except (RedisError, OSError) as error:
        log.warning("lease.redis_away", why=type(error).__name__)
        return False


async def _renew(scope: Scope, key: str) -> None:
    assert scope.redis is not None
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            if await scope.redis.get(key) in (None, scope.owner.encode()):
                await scope.redis.set(key, scope.owner, ex=LEASE_S)
            else:
                log.warning("lease.lost", lease=key)
        except (RedisError, OSError) as error:
            log.warning("lease.redis_away", why=type(error).__name__)
