"""The runner: drives the one model call of a turn, in the process that started it, until its end is committed.

It assembles what comes, sends coalesced events, keeps the lease and checkpoints the text, listens for a stop, and
ends the turn in one unit of work guarded by the lease, money last. Nobody else writes this turn meanwhile: who finds
the lease gone has lost, says nothing and writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from core import calls, conversations, live, router
from core.adapters import UpstreamError
from core.chat import (
    Accepted,
    BalanceChanged,
    Call,
    FinishReason,
    Notice,
    Part,
    ReasoningAdded,
    ReasoningDelta,
    TextAdded,
    TextDelta,
    ToolCallDelta,
    ToolUsed,
    TurnEnded,
)
from core.chat.assemble import Assembler
from core.conversations import MessageState
from core.kit.ids import AccountId, ConversationId, MessageId, RequestId, TurnId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope, current
from core.kit.supervisor import TURNS
from core.turns import ending, store
from core.turns.ending import Outcome
from core.turns.errors import LeaseLost
from core.turns.outbox import Outbox

FLUSH_S = 0.04
"""The pace of events: 25 a second."""
LEASE_S = 30.0
"""After this time without a checkpoint a turn counts as orphaned."""
CHECKPOINT_S = 2.0
CHECKPOINT_BYTES = 4096
"""A checkpoint comes after this time, or earlier when this much is new."""
CHECKPOINT_LEAST_S = 0.5
"""The least time between two: a fast model writes 4 KB in no time."""
LET_GO_S = 5.0
"""How long a stopped upstream call may take to let go."""
END_PAUSES_S = (0.3, 1.0, 3.0)
"""Pauses between tries to commit the end, before it is left to the sweep."""


@dataclass(frozen=True, slots=True)
class Job:
    """A turn that was just committed as running, with all that its call needs."""

    turn: TurnId
    conversation: ConversationId
    owner: AccountId
    question: MessageId
    answer: MessageId
    door: str
    call: Call
    audience: router.Audience
    reservation: calls.Reservation
    lease: str
    notices: Sequence[Notice]
    deadline_s: float


class Runners:
    """The turns that this process runs."""

    def __init__(self) -> None:
        self.running: dict[TurnId, Runner] = {}


def runners() -> Runners:
    """Those of the caller's scope."""
    return current().state(_runners)


def _runners(_: Scope) -> Runners:
    return Runners()


def launch(job: Job, on_end: Callable[[ConversationId], Awaitable[None]]) -> None:
    """Run the job in a task of the process; `on_end` promotes what waits in the conversation."""
    runner = Runner(job, on_end)
    runners().running[job.turn] = runner
    current().supervisor.spawn(f"turn:{job.turn}", runner.run(), group=TURNS)


class Runner:
    """One running turn."""

    def __init__(self, job: Job, on_end: Callable[[ConversationId], Awaitable[None]]) -> None:
        self._job = job
        self._on_end = on_end
        self._log = structlog.get_logger(__name__).bind(turn=job.turn)
        self._assembler = Assembler()
        self._outbox = Outbox(live.log(), live.turn_topic(job.turn), self._still_ours)
        self._stir = asyncio.Event()
        self._stopped = False
        self._interrupted = False
        self._committed = False
        self._stored_bytes = 0
        self._bytes = 0

    def interrupt(self) -> None:
        """End now and keep what came: the process is stopping."""
        self._interrupted = True
        self._stir.set()

    async def run(self) -> None:
        """From the first event to the committed end. Raises nothing but cancellation and bugs."""
        job = self._job
        self._outbox.put(
            Accepted(job.conversation, job.question, job.answer, job.call.model, job.reservation.quote.amount)
        )
        for notice in job.notices:
            self._outbox.put(notice)
        try:
            with live.cancel_event(job.turn) as asked:
                async with calls.paid_stream(
                    job.call,
                    job.reservation,
                    audience=job.audience,
                    request_id=RequestId(new_id("req")),
                    deadline_s=job.deadline_s + LET_GO_S,
                ) as paid:
                    try:
                        outcome = await self._drive(paid, asked)
                    except asyncio.CancelledError:
                        # The process ends now: what came is kept and settled before the task gives way.
                        await self._end(paid, ending.failed(ending.INTERRUPTED, self._assembler.parts()))
                        raise
                    await self._end(paid, outcome)
        except LeaseLost:
            self._log.warning("turn.lease_lost")
        finally:
            runners().running.pop(job.turn, None)

    async def _drive(self, paid: calls.PaidStream, asked: asyncio.Event) -> Outcome:
        pump = asyncio.create_task(self._pump(paid), name=f"turn.pump:{self._job.turn}")
        pump.add_done_callback(lambda _: self._stir.set())
        watch = asyncio.create_task(self._watch(asked), name=f"turn.watch:{self._job.turn}")
        try:
            timed_out = await self._attend(pump)
            # What arrived before the stop was noticed counts: an answer that is whole is not a stopped one.
            whole = pump.done()
        finally:
            watch.cancel()
            pump.cancel()
            await asyncio.gather(watch, _let_go(pump), return_exceptions=True)
        parts = self._assembler.parts()
        if whole and not pump.cancelled():
            return self._judge(pump, paid, parts)
        if self._stopped:
            return ending.stopped()
        return ending.failed(ending.TIMED_OUT if timed_out else ending.INTERRUPTED, parts)

    async def _attend(self, pump: asyncio.Task[None]) -> bool:
        """Send, checkpoint and listen until the pump ends or must; whether the time was over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._job.deadline_s
        flush_at, stored_at = 0.0, loop.time()
        while not (pump.done() or self._stopped or self._interrupted):
            now = loop.time()
            if now >= deadline:
                return True
            if self._outbox.pending and now >= flush_at:
                await self._outbox.flush()
                flush_at = max(now + FLUSH_S, self._outbox.retry_at)
            much = self._bytes - self._stored_bytes >= CHECKPOINT_BYTES
            if now - stored_at >= (CHECKPOINT_LEAST_S if much else CHECKPOINT_S):
                await self._checkpoint()
                stored_at = now
            wake_at = min(stored_at + (CHECKPOINT_LEAST_S if much else CHECKPOINT_S), deadline)
            if self._outbox.pending:
                wake_at = min(wake_at, flush_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wake_at):
                    await self._stir.wait()
            self._stir.clear()
        return False

    async def _pump(self, paid: calls.PaidStream) -> None:
        await paid.open()
        async with aclosing(paid.deltas()) as deltas:
            async for delta in deltas:
                idle = not self._outbox.pending
                match delta:
                    case TextDelta(text):
                        if text:
                            self._outbox.put(TextAdded(self._assembler.text_length, text))
                            self._bytes += len(text.encode("utf-8", "replace"))
                    case ReasoningDelta(text):
                        if text:
                            self._outbox.put(ReasoningAdded(self._assembler.reasoning_length, text))
                            self._bytes += len(text.encode("utf-8", "replace"))
                    case ToolCallDelta(name=name, arguments=arguments):
                        if name:
                            self._outbox.put(ToolUsed(name))
                        self._bytes += len(arguments)
                    case _:
                        pass
                self._assembler.feed(delta)
                if idle:
                    self._stir.set()

    async def _watch(self, asked: asyncio.Event) -> None:
        # Who asked before we listened wrote it into the row.
        if not await store.stop_asked(self._job.turn):
            await asked.wait()
        self._stopped = True
        self._stir.set()

    def _judge(self, pump: asyncio.Task[None], paid: calls.PaidStream, parts: Sequence[Part]) -> Outcome:
        error = pump.exception()
        if error is None:
            return ending.finished(paid.finish or self._assembler.finish or FinishReason.OTHER, parts)
        told = ending.explained(error, parts, from_upstream=isinstance(error, UpstreamError))
        if told is ending.INTERNAL:
            self._log.error("turn.broke", exc_info=error)
        return ending.failed(told, parts)

    async def _checkpoint(self) -> None:
        """Renew the lease, store the text, look for a stop. Raises LeaseLost; a database that is away is waited out."""
        parts, seq, size = self._assembler.parts(), self._outbox.seq, self._bytes
        until = store.until(current().clock.now(), LEASE_S)

        async def body(work: Work) -> None:
            if not await store.renew(work, self._job.turn, self._job.lease, until, seq):
                raise LeaseLost
            if size != self._stored_bytes:
                await conversations.write_answer(work, self._job.answer, parts, MessageState.STREAMING)

        try:
            await unit_of_work(body)
            self._stored_bytes = size
            if await store.stop_asked(self._job.turn):
                self._stopped = True
                self._stir.set()
        except LeaseLost:
            raise
        except Exception:
            self._log.exception("turn.checkpoint_failed")

    async def _end(self, paid: calls.PaidStream, outcome: Outcome) -> None:
        """Commit the end; when the database refuses again and again, leave all that came to the sweep."""
        with contextlib.suppress(LeaseLost):
            await self._outbox.flush()
        for pause_s in (*END_PAUSES_S, None):
            try:
                await self._commit(paid, outcome)
                return
            except LeaseLost:
                raise
            except Exception:
                self._log.exception("turn.end_failed")
            await self._checkpoint()
            if pause_s is None:
                break
            await current().clock.sleep(pause_s)
        now = current().clock.now()

        async def leave(work: Work) -> None:
            await store.give_up(work, self._job.turn, self._job.lease, now)

        try:
            await unit_of_work(leave)
        except Exception:
            self._log.exception("turn.give_up_failed")

    async def _commit(self, paid: calls.PaidStream, outcome: Outcome) -> None:
        job, parts = self._job, self._assembler.parts()
        now = current().clock.now()

        async def body(work: Work) -> None:
            await conversations.lock(work, job.conversation)
            if not await store.end(
                work,
                job.turn,
                job.lease,
                outcome.state,
                finish=outcome.finish,
                error=outcome.error,
                seq=self._outbox.seq,
                now=now,
            ):
                raise LeaseLost
            await conversations.write_answer(work, job.answer, parts, ending.message_state(outcome, parts))
            settlement = await paid.settle(work, memo={"model": job.call.model, "door": job.door, "turn": job.turn})
            await store.set_bill(work, job.turn, settlement.usage, settlement.cost_micro)

            async def tell() -> None:
                await self._tell(outcome, settlement, kept=bool(parts))

            work.after_commit(tell)

        await unit_of_work(body)
        self._log.info("turn.finished", state=outcome.state.value, error=outcome.error and outcome.error.code)

    async def _tell(self, outcome: Outcome, settlement: calls.Settlement, *, kept: bool) -> None:
        job = self._job
        self._committed = True
        self._outbox.put(
            ending.told(
                job.turn,
                outcome,
                kept=kept,
                answered=True,
                usage=settlement.usage,
                cost_micro=settlement.cost_micro,
                balance_micro=settlement.balance_micro,
            )
        )
        with contextlib.suppress(LeaseLost):
            await self._outbox.flush()
        await live.tell(job.owner, TurnEnded(job.conversation, job.turn))
        if settlement.cost_micro:
            await live.tell(job.reservation.payer.account, BalanceChanged())
        await self._on_end(job.conversation)

    async def _still_ours(self) -> bool:
        return self._committed or await store.lease_of(self._job.turn) == self._job.lease


async def _let_go(pump: asyncio.Task[None]) -> None:
    """Wait for a cancelled pump, but not for ever, and hear its failure so that nobody else complains of it."""
    await asyncio.wait((pump,), timeout=LET_GO_S)
    if pump.done() and not pump.cancelled():
        pump.exception()
