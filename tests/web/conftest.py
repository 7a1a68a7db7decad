"""A whole Parley for each test of the web door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.running import Running, running


@pytest_asyncio.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Opened as `parley up` opens it; `root` logs in with tests.running.ROOT_PASSWORD."""
    async with running(database_url, tmp_path) as opened:
        yield opened
