"""A process over this test's database, an upstream that plays what a test scripts, and the books to check."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import pytest_asyncio

from core import adapters, billing, catalog, channels, conversations, db, live, reports, settings, turns
from core.accounts.tables import AccountRow
from core.adapters import Pause, Target, UpstreamError, script
from core.chat import (
    Call,
    Delta,
    Finish,
    FinishReason,
    ReasoningAdded,
    Snapshot,
    TextAdded,
    TextDelta,
    TextPart,
    TurnEvent,
)
from core.kit import changes, scope
from core.kit.clock import SystemClock
from core.kit.ids import AccountId, ConversationId, OwnerId, TurnId, new_id
from core.kit.money import MICRO
from core.kit.orm import Work, read, unit_of_work
from core.kit.redis import Keys
from core.kit.supervisor import SETTLEMENTS, TURNS, Supervisor
from core.live import EventLog, MemoryLog

ALICE = AccountId("acc_0000000000000000000000000a")
BOB = AccountId("acc_0000000000000000000000000b")
CREDITS = 100 * MICRO

Step = Delta | float | asyncio.Event | BaseException


@dataclass
class Upstream:
    """Plays one script a call, the last one again and again: deltas, pauses in seconds, events to wait for, errors."""

    scripts: list[list[Step]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def says(self, *steps: Step | str) -> None:
        """Add a script; words may stand for text deltas. Without an end a Finish is added."""
        played = [TextDelta(step) if isinstance(step, str) else step for step in steps]
        if not any(isinstance(step, Finish | BaseException) for step in played):
            played.append(Finish(FinishReason.STOP))
        self.scripts.append(played)

    def play(self, call: Call, _: Target) -> Iterator[adapters.Step]:
        self.calls.append(call)
        if not self.scripts:
            self.says("Hello", " world")
        for step in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
            match step:
                case float():
                    yield Pause(step)
                case asyncio.Event():
                    while not step.is_set():
                        yield Pause(0.005)
                case UpstreamError():
                    yield step
                case BaseException():
                    raise step
                case _:
                    yield step


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    played = Upstream()
    with script.playing("turns", make=played.play):
        yield played


def new_scope(database: db.Database, log: EventLog) -> scope.Scope:
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
    opened._states[live._open] = log
    return opened


@contextlib.contextmanager
def entered(opened: scope.Scope) -> Iterator[scope.Scope]:
    with scope.bind(opened):
        opened.supervisor.capture()
        yield opened


@pytest_asyncio.fixture
async def house(database: db.Database, upstream: Upstream) -> AsyncIterator[scope.Scope]:
    """One process. ALICE has 100 credits, BOB has none."""
    with entered(new_scope(database, MemoryLog())) as opened:
        await load_rooms()
        for account in (ALICE, BOB):
            await AccountRow.create(id=account, created_at=opened.clock.now())
        await give(ALICE, CREDITS)
        await channels.add(
            "script", vendor="script", base_url="script:turns", models={"paid": "paid", "free": "free"}, by="test"
        )
        await catalog.price("paid", price_in="1", price_out="2", by="test")
        await catalog.price("free", free=True, by="test")
        await settings.set("chat.default_model", "paid", by="test")
        await changes.feed().catch_up()
        yield opened
        await opened.supervisor.cancel_all(timeout_s=5)


async def load_rooms() -> None:
    for load in (settings.load, catalog.load, channels.load):
        await load()


async def give(account: AccountId, amount: int) -> None:
    async def body(work: Work) -> None:
        await billing.credit(work, account, amount, key=f"grant:{new_id('req')}", reason=billing.Reason.GRANT)

    await unit_of_work(body)


@pytest_asyncio.fixture
async def other(house: scope.Scope, database_url: str) -> AsyncIterator[scope.Scope]:
    """A second process on the same database and log; enter it with `scope.bind`."""
    opened = await db.open_database(database_url)
    house.database.bind()
    second = new_scope(opened, live.log())
    with entered(second):
        await load_rooms()
    yield second
    await second.supervisor.cancel_all(timeout_s=5)
    await opened.close()


def ask(text: str, key: str | None = None, **more: Any) -> turns.TurnRequest:
    """A question of ALICE's on the web."""
    wanted = {"account": ALICE, "door": "web", "key": key or new_id("req"), "parts": (TextPart(text),)} | more
    return turns.TurnRequest(**wanted)


async def until_end(turn: turns.Turn | TurnId, **more: Any) -> list[TurnEvent]:
    """Every event of the turn, the end included."""
    turn_id = turn.id if isinstance(turn, turns.Turn) else turn
    events: list[TurnEvent] = []
    async with asyncio.timeout(20), aclosing(turns.follow(turn_id, **more)) as followed:
        async for numbered in followed:
            events.append(numbered.event)
    return events


async def until_text(turn: turns.Turn, text: str) -> None:
    """Until the answer reads so for a follower."""
    seen: list[TurnEvent] = []
    async with asyncio.timeout(10), aclosing(turns.follow(turn.id)) as followed:
        async for numbered in followed:
            seen.append(numbered.event)
            if said(seen) == text:
                return
    raise AssertionError(f"the turn ended with {said(seen)!r}")


def said(events: list[TurnEvent]) -> str:
    """The text a follower has, which checks every offset."""
    text = ""
    for event in events:
        match event:
            case TextAdded(offset, added):
                assert offset <= len(text), "words are missing"
                text = text[:offset] + added
            case Snapshot(message):
                text = message.text
            case ReasoningAdded():
                pass
            case _:
                pass
    return text


async def quiet() -> None:
    """Until nothing runs in this process."""
    assert await scope.current().supervisor.drain(10, group=TURNS) == 0


async def latest(turn: turns.Turn) -> turns.Turn:
    return await turns.get(turn.id, by=turn.account)


async def answer(turn: turns.Turn) -> conversations.MessageView:
    return await turns.answer_of(await latest(turn))


async def holds() -> list[str]:
    """The states of all holds, oldest first."""
    return [row["state"] for row in await read("SELECT state FROM hold ORDER BY id")]


async def check_books() -> None:
    """Nothing is held, every balance is the sum of its entries, and every invariant of the house holds."""
    assert await scope.current().supervisor.drain(10, group=SETTLEMENTS) == 0
    assert "open" not in await holds()
    assert [each for each in await reports.run() if not each.advice] == []
    for row in await read(
        "SELECT balance, held, (SELECT COALESCE(SUM(amount), 0) FROM ledger_entry WHERE pot_id = pot.id) AS total"
        " FROM pot"
    ):
        assert row["held"] == 0
        assert row["balance"] == int(row["total"])
        assert row["balance"] >= 0


async def texts(conversation: ConversationId) -> list[str]:
    """The branch that is shown, as texts."""
    view = await conversations.find(conversation)
    assert view is not None
    return [message.message.text for message in await conversations.path(view.head)]
