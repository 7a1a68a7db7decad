"""The sweep: ends turns that nobody runs any more, promotes what nobody promoted, tells ends that nobody told.

Whatever a crash leaves behind is found here: the rows say what is due, and the lease says whose it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from core import calls, conversations, live
from core.chat import BalanceChanged, Failed, Finished, TurnEnded, TurnEvent, wire
from core.kit.orm import Work, dialect, unit_of_work
from core.kit.scope import current
from core.kit.supervisor import TURNS
from core.live import LogUnavailable
from core.turns import beginning, ending, following, store, telling
from core.turns.recovering import longer
from core.turns.runner import runners
from core.turns.types import Orphan, Turn

BATCH = 200
"""Rows taken of a kind in one sweep."""
UNTOLD_AFTER_S = 5
"""An end is looked for in the log this long after its commit; whoever committed it was at work until then."""
UNTOLD_UNTIL_S = 120
"""Later its followers have long read the row."""
KEEP_S = 5.0
"""How long interrupted turns may take to commit what came."""

_logger = structlog.get_logger(__name__)


async def sweep() -> None:
    """Once: expired leases, stalled queues, untold ends. Each failure is logged and stops nothing."""
    await _end_orphans(current().clock.now())
    await _promote_stalled()
    await _tell_untold()


async def recover() -> None:
    """At the start of a process. On SQLite it is the only one, so whatever runs in the rows was orphaned by a crash."""
    if dialect() == "sqlite":
        await _end_orphans(None)
    await sweep()


async def drain(timeout_s: float) -> None:
    """Give running turns this long to end, then keep what came and settle. Call with `scope.draining` set."""
    supervisor = current().supervisor
    if await supervisor.drain(timeout_s, group=TURNS):
        for runner in list(runners().running.values()):
            runner.interrupt()
        left = await supervisor.drain(KEEP_S, group=TURNS)
        if left:
            _logger.error("turns.would_not_end", left=left)


async def _end_orphans(now: datetime | None) -> None:
    for orphan in await store.orphans(now, BATCH):
        if now is None and orphan.id in runners().running:
            continue
        try:
            await _end_orphan(orphan, expired=now is not None)
        except Exception:
            _logger.exception("turn.orphan_failed", turn=orphan.id)


async def _end_orphan(orphan: Orphan, *, expired: bool) -> None:
    answer = await conversations.message(orphan.answer)
    events, last = await _logged(orphan)
    parts = longer(answer.parts, events)
    outcome = ending.stopped() if orphan.stop_asked else ending.failed(ending.INTERRUPTED, parts)
    now = current().clock.now()

    async def body(work: Work) -> None:
        view = await conversations.lock(work, orphan.conversation)
        if not await store.end(
            work,
            orphan.id,
            orphan.lease,
            outcome.state,
            finish=outcome.finish,
            error=outcome.error,
            seq=last,
            now=now,
            expired=expired,
        ):
            return
        await conversations.write_answer(work, orphan.answer, parts, ending.message_state(outcome, parts))
        assert orphan.hold is not None
        settlement = await calls.settle_by_record(
            work, orphan.hold, ending.produced(parts), memo={"turn": orphan.id, "interrupted": True}
        )
        await store.set_bill(work, orphan.id, settlement.usage, settlement.cost_micro)

        async def tell() -> None:
            await telling.append(
                orphan.id,
                ending.told(
                    orphan.id,
                    outcome,
                    kept=bool(parts),
                    answered=True,
                    usage=settlement.usage,
                    cost_micro=settlement.cost_micro,
                    balance_micro=settlement.balance_micro,
                ),
            )
            await live.tell(view.account, TurnEnded(orphan.conversation, orphan.id))
            if settlement.cost_micro:
                await live.tell(orphan.account, BalanceChanged())
            await beginning.promote(orphan.conversation)

        work.after_commit(tell)
        _logger.warning("turn.orphan_ended", turn=orphan.id, state=outcome.state.value)

    await unit_of_work(body)


async def _promote_stalled() -> None:
    for conversation in await store.stalled(BATCH):
        try:
            await beginning.promote(conversation)
        except Exception:
            _logger.exception("turns.promotion_failed", conversation=conversation)


async def _tell_untold() -> None:
    now = current().clock.now()
    after, before = now - timedelta(seconds=UNTOLD_UNTIL_S), now - timedelta(seconds=UNTOLD_AFTER_S)
    for turn in await store.ended_between(after, before, BATCH):
        try:
            if not await _end_was_told(turn):
                answer = None if turn.answer is None else await conversations.message(turn.answer)
                kept = answer is not None and bool(answer.parts)
                await telling.append(turn.id, await following.end_of(turn, kept=kept))
                await live.tell(turn.owner, TurnEnded(turn.conversation, turn.id))
        except LogUnavailable:
            return


async def _end_was_told(turn: Turn) -> bool:
    topic = live.turn_topic(turn.id)
    tail = await live.log().tail(topic)
    if tail.seq == 0:
        # Without a log there is nobody to mislead: who follows reads the row.
        return True
    page = await live.log().read(topic, tail.seq - 1)
    return bool(page.entries) and isinstance(wire.load_event(wire.decode(page.entries[-1].data)), Finished | Failed)


async def _logged(orphan: Orphan) -> tuple[list[TurnEvent], int]:
    """The events after the checkpoint, and the number of the last one known."""
    events: list[TurnEvent] = []
    last = orphan.seq
    try:
        while (page := await live.log().read(live.turn_topic(orphan.id), last)).entries:
            if page.entries[0].seq != last + 1:
                break
            events += [wire.load_event(wire.decode(entry.data)) for entry in page.entries]
            last = page.entries[-1].seq
    except LogUnavailable:
        pass
    return events, last
