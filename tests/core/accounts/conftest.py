"""Two processes of one house, as scopes on one database and one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from core.kit.scope import Scope, bind
from tests.core.scopes import opened
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture
async def two(database_url: str, redis_url: str, clock: FakeClock) -> AsyncIterator[tuple[Scope, Scope]]:
    async with (
        opened(database_url, redis_url=redis_url, clock=clock) as one,
        opened(database_url, redis_url=redis_url, clock=clock) as other,
    ):
        yield one, other


@pytest.fixture
def scope(two: tuple[Scope, Scope]) -> Iterator[Scope]:
    """The first of them, bound."""
    with bind(two[0]):
        yield two[0]
