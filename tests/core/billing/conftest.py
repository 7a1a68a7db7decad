"""A process of its own on this test's database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from core.kit.scope import Scope, bind
from tests.core.scopes import opened


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[Scope]:
    async with opened(database_url) as scope:
        with bind(scope):
            yield scope
