"""A scope over this test's database, and accounts to talk in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest_asyncio

from core import db
from core.accounts.tables import AccountRow
from core.kit import scope
from core.kit.clock import SystemClock
from core.kit.ids import AccountId, OwnerId, new_id
from core.kit.redis import Keys
from core.kit.supervisor import Supervisor

ALICE = AccountId("acc_0000000000000000000000000a")
BOB = AccountId("acc_0000000000000000000000000b")


@pytest_asyncio.fixture
async def house(database: db.Database) -> AsyncIterator[scope.Scope]:
    """A process of its own, with an event log in memory; ALICE and BOB live there."""
    opened = scope.Scope(
        config=cast(Any, None),
        role="test",
        owner=OwnerId(new_id("own")),
        database=database,
        redis=None,
        keys=Keys("test:"),
        http=cast(Any, None),
        sealer=cast(Any, None),
        clock=SystemClock(),
        supervisor=Supervisor(),
    )
    with scope.bind(opened):
        opened.supervisor.capture()
        for account in (ALICE, BOB):
            await AccountRow.create(id=account, created_at=opened.clock.now())
        yield opened
        await opened.supervisor.cancel_all()
