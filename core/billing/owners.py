"""The processes that own holds: each says that it lives, and the sweep releases what the dead and the late held.

Holds of turns name their turn, which settles them; they come here only past their expiry. What is swept is
*expired*, not *released*: a process that was only asleep can still post what it spent as a late debit.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from core.billing import store
from core.billing.ledger import post
from core.billing.types import Expire
from core.kit import orm
from core.kit.ids import HoldId, OwnerId
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current

BEAT_S = 5
DEAD_AFTER_S = 30
"""Six missed beats: a long stall of the machine must not look like a death."""
BATCH = 200
"""Holds of a kind that one unit of work releases."""
ROUNDS = 1000
"""Batches of one sweep: what is left after them waits for the next sweep."""

log = structlog.get_logger(__name__)


async def register(role: str) -> OwnerId:
    """Say for the first time that this process lives; before it opens a hold."""
    scope = current()
    await unit_of_work(lambda work: store.put_owner(work, scope.owner, role, scope.clock.now()))
    return scope.owner


async def beat() -> None:
    """Say every five seconds that this process lives, as long as it does."""
    scope = current()
    while True:
        await scope.clock.sleep(BEAT_S)
        await unit_of_work(lambda work: store.put_owner(work, scope.owner, scope.role, scope.clock.now()))


async def sweep(*, at_start: bool = False) -> int:
    """Release what dead processes held and what is past its expiry; how many holds.

    At the start of an embedded process every other owner is dead, since the data folder admits one at a time.
    """
    scope = current()
    now = scope.clock.now()
    alone = at_start and orm.dialect() == "sqlite"
    alive_since = now if alone else now - timedelta(seconds=DEAD_AFTER_S)
    swept = 0
    for _ in range(ROUNDS):
        found = {*await store.overdue(now, BATCH), *await store.orphaned(alive_since, scope.owner, BATCH)}
        if not found:
            break
        swept += await _expire(sorted(found))
    await unit_of_work(lambda work: store.forget_owners(work, alive_since, scope.owner))
    if swept:
        log.info("billing.holds_swept", holds=swept)
    return swept


async def _expire(holds: list[HoldId]) -> int:
    async def body(work: Work) -> int:
        await post(work, [Expire(hold) for hold in holds])
        return len(holds)

    return await unit_of_work(body)
