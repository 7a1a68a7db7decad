"""A process that can route: a scope of its own with an HTTP pool, settings, catalog and channels loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from core import catalog, channels, settings
from core.kit.http import HttpPool
from core.kit.scope import Scope, bind
from tests.core.scopes import opened


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[Scope]:
    """Bound for the length of the test."""
    async with opened(database_url) as scope:
        scope.http = HttpPool()
        try:
            with bind(scope):
                await settings.load()
                await catalog.load()
                await channels.load()
                yield scope
        finally:
            await scope.http.close()
