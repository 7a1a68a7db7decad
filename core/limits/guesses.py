"""Counting guesses: a token bucket for each subject in Redis, one script a try, so that two processes count as one."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from core.kit.errors import TooMany, Unavailable
from core.kit.redis import RedisError
from core.kit.scope import current

ANSWER_S = 2.0
"""How long counting may take before it counts as impossible."""

# KEYS: bucket. ARGV: capacity, seconds in which an empty bucket fills, tokens to take.
# Redis's own clock, so that processes agree about the time. Returns {1, 0} or {0, milliseconds until the next token}.
_TAKE = """
local capacity, fill_s = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or capacity, tonumber(kept[2]) or now
tokens = math.min(capacity, tokens + math.max(0, now - at) * capacity / fill_s)
if tokens < 1 then
  return {0, math.ceil((1 - tokens) * fill_s / capacity * 1000)}
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens - 1), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(fill_s * 1000))
return {1, 0}
"""


async def guess(bucket: str, subject: str, tries: int, per_s: float) -> None:
    """Count one try: `tries` at once, then one more each `per_s / tries` seconds. Call it before looking.

    `bucket` says what is guessed (`login.name`), `subject` who guesses or is guessed; Redis sees only its hash.
    Raises TooMany with the time to wait, and Unavailable when Redis does not answer.
    """
    assert tries > 0
    assert per_s > 0
    scope = current()
    if scope.redis is None:
        raise Unavailable("redis_unavailable", retry_after_s=5)
    client: Any = scope.redis
    try:
        async with asyncio.timeout(ANSWER_S):
            allowed, wait_ms = await client.eval(_TAKE, 1, scope.keys.guess(bucket, subject), tries, per_s)
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable("redis_unavailable", retry_after_s=5) from error
    if not allowed:
        wait_s = math.ceil(int(wait_ms) / 1000)
        raise TooMany("too_many_tries", retry_after_s=wait_s, minutes=max(1, math.ceil(wait_s / 60)))


async def forget(bucket: str, subject: str) -> None:
    """Start afresh, after a right guess. Best effort: what is not forgotten only fills up again."""
    scope = current()
    if scope.redis is None:
        return
    client: Any = scope.redis
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.delete(scope.keys.guess(bucket, subject))
    except (RedisError, OSError, TimeoutError):
        return
