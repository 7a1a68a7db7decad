"""A Redis for the whole session: the one that PARLEY_TEST_REDIS_URL names, else one of our own for as long as it runs.

The address is put into the environment before any test module is read, so workers of pytest-xdist share the Redis of
the process that started them. Tests keep apart by the prefix of their keys and channels.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from core.kit.embedded_redis import EmbeddedRedis

VARIABLE = "PARLEY_TEST_REDIS_URL"

_started: list[tuple[EmbeddedRedis, Path]] = []


def pytest_configure() -> None:
    """Start one, unless an address was given or handed down."""
    if os.environ.get(VARIABLE):
        return
    folder = Path(tempfile.mkdtemp(prefix="parley-test-"))
    server = EmbeddedRedis(folder, Path("/tmp"))
    asyncio.run(server.start())
    _started.append((server, folder))
    os.environ[VARIABLE] = f"unix://{server.socket}"


def pytest_unconfigure() -> None:
    """End the one that was started here."""
    while _started:
        server, folder = _started.pop()
        asyncio.run(server.stop())
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(VARIABLE, None)


@pytest.fixture
def redis_url() -> str:
    """The address of a real Redis, shared by all tests: use a prefix of your own."""
    return os.environ[VARIABLE]
