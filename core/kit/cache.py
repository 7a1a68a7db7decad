"""A small read-through cache whose entries are dropped by name, never overtaken by a slower read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """At most `limit` entries, the least recently used leave first. Absence (`None` from a load) is not remembered.

    A value whose read began before a `drop` of its key is handed to that reader and not kept: otherwise a read that
    overlaps a change would keep the old value for ever.
    """

    def __init__(self, limit: int) -> None:
        assert limit > 0
        self._limit = limit
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._reads: dict[K, object] = {}

    async def get(self, key: K, load: Callable[[], Awaitable[V | None]]) -> V | None:
        """The value of the key, read by `load` when it is not held."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        ticket = object()
        self._reads[key] = ticket
        try:
            value = await load()
        finally:
            current = self._reads.get(key) is ticket
            if current:
                del self._reads[key]
        if current and value is not None:
            self._entries[key] = value
            while len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        return value

    def drop(self, key: K) -> None:
        """Forget one key; harmless when it is not held."""
        self._entries.pop(key, None)
        self._reads.pop(key, None)

    def drop_where(self, matches: Callable[[V], bool]) -> None:
        """Forget the values that match; reads on their way may be among them, so none of those is kept."""
        for key in [key for key, value in self._entries.items() if matches(value)]:
            del self._entries[key]
        self._reads.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._reads.clear()

    def __len__(self) -> int:
        return len(self._entries)
