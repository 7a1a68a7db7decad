"""Scopes for tests of rooms: a database, a clock that tests set, and what else a room under test asks for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

from core import db
from core.kit.ids import OwnerId, new_id
from core.kit.redis import Keys, close_redis, open_redis
from core.kit.scope import Scope, bind
from core.kit.secrets import Sealer
from core.kit.supervisor import Supervisor
from tests.fakes.clock import FakeClock


@contextlib.asynccontextmanager
async def opened(url: str, *, redis_url: str | None = None, clock: FakeClock | None = None) -> AsyncIterator[Scope]:
    """A scope of its own on a migrated database; not bound, so that a test may hold several processes' worth."""
    database = await db.open_database(url)
    redis = open_redis(redis_url) if redis_url else None
    scope = Scope(
        config=cast(Any, SimpleNamespace(public_url="http://127.0.0.1:8000")),
        role="up",
        owner=OwnerId(new_id("own")),
        database=database,
        redis=redis,
        keys=Keys.of(url),
        http=cast(Any, None),
        sealer=Sealer("test" * 8),
        clock=clock or FakeClock(),
        supervisor=Supervisor(),
    )
    try:
        with bind(scope):
            scope.supervisor.capture()
        yield scope
    finally:
        await scope.supervisor.cancel_all(timeout_s=2)
        if redis is not None:
            await close_redis(redis)
        await database.close()
