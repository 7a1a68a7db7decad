"""The event log in Redis: capped streams, one Lua script to append, one subscription per process to wake followers.

An entry has the stream id `0-<seq>` and the fields `d` (data) and `e` (epoch), so that an epoch cannot survive the
entries it belongs to. Needs Redis 6.2, where ids such as `0-*` do not exist yet; hence the script.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from core.live.event_log import PAGE, Cursor, Entry, LogUnavailable, Page, Refused, follow, limits_of
from core.live.wakes import Wakes

T = TypeVar("T")

COMMAND_S = 2.0
"""How long one command may take; a runner that waits longer would hold up its answer."""
SUBSCRIBE_S = 1.0
"""How long a new follower waits for the subscription; without it, it re-reads on its own clock."""
RECONNECT_S = 1.0
"""The pause between two tries to subscribe."""
PING_S = 10.0
"""Silence on the subscription after which the connection is tried."""

# KEYS: stream. ARGV: number (0: the next), data, cap, time to live in s, an epoch if one is needed, channel, topic.
# Returns {1, seq} when written or already there, {0, last} when refused.
_APPEND = """
local last, epoch = 0, ARGV[5]
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if tail[1] then
  last = tonumber(string.sub(tail[1][1], 3))
  for i = 1, #tail[1][2], 2 do
    if tail[1][2][i] == 'e' then epoch = tail[1][2][i + 1] end
  end
end
local seq = tonumber(ARGV[1])
if seq == 0 then seq = last + 1 end
local id = '0-' .. string.format('%d', seq)
if seq <= last then
  local own = redis.call('XRANGE', KEYS[1], id, id)
  if own[1] then
    for i = 1, #own[1][2], 2 do
      if own[1][2][i] == 'd' and own[1][2][i + 1] == ARGV[2] then return {1, seq} end
    end
  end
  return {0, last}
end
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], id, 'd', ARGV[2], 'e', epoch)
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return {1, seq}
"""


class RedisLog:
    """Streams under `<prefix>live:`; wake-ups and signals over two channels that carry the prefix too.

    The client may decode responses or not; data are bytes of UTF-8 either way. `run()` is the subscription of this
    process: one supervised task keeps it up, and wakes everyone whenever it was renewed.
    """

    def __init__(self, client: redis.asyncio.Redis, prefix: str) -> None:
        self._client: Any = client
        self._prefix = prefix
        self._channel = f"{prefix}live:wake"
        self._signals = f"{prefix}live:signal"
        self._script: Any = self._client.register_script(_APPEND)
        self._wakes = Wakes()
        self._waiting = Wakes()
        self._subscribed = asyncio.Event()

    async def append(self, topic: str, seq: int, data: bytes) -> None:
        assert seq >= 1
        written, last = await self._append(topic, seq, data)
        if not written:
            raise Refused(last)

    async def append_next(self, topic: str, data: bytes) -> int:
        _, seq = await self._append(topic, 0, data)
        return seq

    async def read(self, topic: str, after: int, limit: int = PAGE) -> Page:
        key = self._key(topic)
        pipe = self._client.pipeline(transaction=True)
        pipe.xrange(key, f"0-{after + 1}", "+", limit)
        pipe.xrevrange(key, "+", "-", 1)
        found, tail = await _bounded(pipe.execute())
        if not tail:
            return Page((), "", 0)
        end = _entry(*tail[0])
        return Page(tuple(_entry(*each) for each in found), end.epoch, end.seq)

    async def listen(self, topic: str) -> Wakes.Wake:
        wake = self._wakes.register(topic)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SUBSCRIBE_S):
                await self._subscribed.wait()
        return wake

    async def tail(self, topic: str) -> Cursor:
        page = await self.read(topic, 2**53, 1)
        return Cursor(page.epoch, page.last)

    def follow(self, topic: str, after: Cursor | None = None) -> AsyncIterator[Entry]:
        return follow(self, topic, after)

    async def signal(self, name: str) -> None:
        self._waiting.wake(name)
        await _bounded(self._client.publish(self._signals, name))

    def on_signal(self, name: str) -> Wakes.Wake:
        return self._waiting.register(name)

    async def run(self) -> None:
        """Keep this process's subscription until cancelled."""
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._subscription()
            self._subscribed.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _subscription(self) -> None:
        pubsub = self._client.pubsub()
        try:
            async with asyncio.timeout(COMMAND_S):
                await pubsub.subscribe(self._channel, self._signals)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=PING_S)
                if message is None:
                    # Silence may be a dead connection; the answer to PING, or its absence, tells.
                    if asked:
                        return
                    async with asyncio.timeout(COMMAND_S):
                        await pubsub.ping()
                    asked = True
                    continue
                asked = False
                if message["type"] == "subscribe" and _text(message["channel"]) == self._signals:
                    self._subscribed.set()
                    self._wakes.wake_all()
                elif message["type"] == "message":
                    wakes = self._waiting if _text(message["channel"]) == self._signals else self._wakes
                    wakes.wake(_text(message["data"]))
        finally:
            await pubsub.aclose()

    async def _append(self, topic: str, seq: int, data: bytes) -> tuple[bool, int]:
        limits = limits_of(topic)
        arguments: list[str | bytes | int] = [
            seq,
            data,
            limits.entries,
            limits.ttl_s,
            secrets.token_hex(4),
            self._channel,
            topic,
        ]
        written, number = await _bounded(self._script(keys=[self._key(topic)], args=arguments))
        return bool(written), int(number)

    def _key(self, topic: str) -> str:
        return f"{self._prefix}live:{topic}"


async def _bounded(command: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(COMMAND_S):
            return await command
    except (RedisError, OSError, TimeoutError) as error:
        raise LogUnavailable from error


def _entry(stream_id: str | bytes, fields: dict[Any, Any]) -> Entry:
    named = {_text(name): value for name, value in fields.items()}
    data = named["d"]
    return Entry(
        int(_text(stream_id).removeprefix("0-")),
        _text(named["e"]),
        data.encode() if isinstance(data, str) else data,
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
