"""A routed stream that is paid: it settles its reservation on every exit, whoever leaves and how.

The caller settles inside its own unit of work, so that words and money commit together. If it leaves the block
without that (an error, a cancelled request, a transaction that failed), the same rule runs in a task of the process:
anything visible is charged by its usage, else everything is given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import structlog

from core import router
from core.billing import Memo
from core.calls import rules
from core.calls.reserve import cancel
from core.calls.reserve import settle as settle_reservation
from core.calls.types import Reservation, Settlement
from core.chat import Call, Delta, FinishReason, Usage
from core.kit.errors import Conflict, NotFound
from core.kit.ids import RequestId
from core.kit.orm import Work
from core.kit.scope import current
from core.kit.supervisor import SETTLEMENTS

RETRIES_S = (0.2, 1.0, 3.0, 10.0, 30.0)
"""Pauses before a settlement is tried again while the database is away. After them the hold's sweep is left to it."""
WAIT_S = 5.0
"""How long an error waits for the settlement, so that who hears of it finds the credits back."""

log = structlog.get_logger(__name__)


class PaidStream:
    """One answer on its way, and what it has cost so far."""

    def __init__(self, held: Reservation, routed: router.RoutedStream) -> None:
        self.held = held
        self.settled: Settlement | None = None
        """How it was paid, once that is committed."""
        self._routed = routed
        self._memo: Memo = {}

    async def open(self) -> None:
        """Wait for the first visible delta or the whole answer. Raises UpstreamFailed or Unavailable `no_route`."""
        await self._routed.open()

    @property
    def dialect(self) -> str:
        """The wire dialect of the channel that answers; known after `open`."""
        return self._routed.dialect

    @property
    def route(self) -> router.Route:
        """The channel that answers; known after `open`."""
        return self._routed.route

    def deltas(self) -> AsyncGenerator[Delta, None]:
        """The answer as deltas, the first ones included. Raises UpstreamError when the stream is cut."""
        return self._routed.deltas()

    def frames(self) -> AsyncGenerator[bytes, None]:
        """The answer as events of the channel's dialect, as they come. Raises UpstreamError when it is cut."""
        return self._routed.frames()

    def body(self) -> bytes:
        """The whole JSON answer of a call that did not ask for a stream."""
        return self._routed.body()

    @property
    def produced(self) -> str:
        """All text so far: answer, thinking and arguments of tools."""
        return self._routed.produced

    @property
    def finish(self) -> FinishReason | None:
        """Why the answer ended; None until then, and for ever when it was cut."""
        return self._routed.finish

    @property
    def visible(self) -> bool:
        """Whether anything came that a person could see, and so is paid."""
        return self._routed.visible

    @property
    def usage(self) -> Usage:
        """What it used so far: reported, or marked `estimated`."""
        return rules.usage_of(self._routed.usage, produced=self.produced, finish=self.finish, quote=self.held.quote)

    @property
    def estimated(self) -> bool:
        """Whether the usage is our own count."""
        return self.usage.estimated

    async def settle(self, work: Work | None = None, *, memo: Memo | None = None) -> Settlement:
        """Charge what came, or give everything back when nothing visible did. Idempotent.

        Inside a unit of work it is that unit's money call, and counts only once that is committed; None settles in a
        unit of its own. `memo` goes to the entry, beside model and tokens.
        """
        if self.settled is not None:
            return self.settled
        self._memo = memo or self._memo
        settlement = await settle_reservation(self.held, self.usage, visible=self.visible, memo=self._memo, work=work)
        if work is None:
            self.settled = settlement
            return settlement

        async def remember() -> None:
            self.settled = settlement

        work.after_commit(remember)
        return settlement


@asynccontextmanager
async def paid_stream(
    call: Call, held: Reservation, *, audience: router.Audience, request_id: RequestId, deadline_s: float
) -> AsyncIterator[PaidStream]:
    """One paid model call. The reservation is settled when the block is left, if it was not before.

    `deadline_s` is how long the whole call may take. An error that leaves the block waits a moment for the
    settlement; a cancelled caller does not.
    """
    paid: PaidStream | None = None
    patient = True
    try:
        async with router.stream(call, audience=audience, request_id=request_id, deadline_s=deadline_s) as routed:
            paid = PaidStream(held, routed)
            yield paid
    except (asyncio.CancelledError, GeneratorExit):
        patient = False
        raise
    finally:
        # The routed stream is closed by now: nothing more is produced.
        if paid is None or paid.settled is None:
            settling = _settle_aside(held, paid)
            if settling and patient:
                await asyncio.wait((settling,), timeout=WAIT_S)


def _settle_aside(held: Reservation, paid: PaidStream | None) -> asyncio.Task[None] | None:
    try:
        return current().supervisor.spawn(
            f"calls.settle:{held.hold_id}", lambda: _until_settled(held, paid), group=SETTLEMENTS
        )
    except RuntimeError:
        # The process has ended its tasks; the sweep finds the hold by its owner or its turn.
        log.warning("call.left_to_sweep", hold=held.hold_id)
        return None


async def _until_settled(held: Reservation, paid: PaidStream | None) -> None:
    for pause_s in (*RETRIES_S, None):
        try:
            if paid is None:
                await cancel(held)
            else:
                await paid.settle()
            return
        except (Conflict, NotFound) as refusal:
            log.error("call.unsettled", hold=held.hold_id, code=refusal.code)
            return
        except Exception as failure:
            # This is the last one who can: whatever the database raises, it is tried again.
            if pause_s is None:
                raise
            log.warning("call.settlement_failed", hold=held.hold_id, error=type(failure).__name__)
            await current().clock.sleep(pause_s)
