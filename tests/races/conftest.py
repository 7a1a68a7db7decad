"""Two processes on one database: what one of them locks, the other one waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from core.kit.scope import Scope, bind
from tests.core.scopes import opened
from tests.fakes.clock import FakeClock


@pytest_asyncio.fixture
async def processes(database_url: str) -> AsyncIterator[tuple[Scope, Scope]]:
    """The first one is bound to the test's own context."""
    clock = FakeClock()
    async with opened(database_url, clock=clock) as one, opened(database_url, clock=clock) as two:
        with bind(one):
            yield one, two
