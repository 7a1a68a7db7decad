"""Every way a turn can end: the hold is captured or released, partial text is kept, the end is told exactly once.

Each exit is a function that leads a turn, whose upstream says "half an ans", to its end. The table says what must
stand afterwards: the turn's state, the answer's state and text, the hold, the last event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from core import billing, live, settings, turns
from core.adapters import Fault, UpstreamError
from core.calls import stream
from core.chat import Failed, Finish, Finished, FinishReason, Verb, wire
from core.conversations import MessageState
from core.kit import scope
from core.kit.orm import Work, unit_of_work
from core.kit.supervisor import SETTLEMENTS, TURNS
from core.turns import TurnState, following, runner, sweeping
from tests.core.turns.conftest import (
    Upstream,
    answer,
    ask,
    check_books,
    holds,
    latest,
    quiet,
    until_end,
    until_text,
)

HALF = "half an ans"
NEVER = asyncio.Event


@dataclass(frozen=True)
class Stage:
    """What an exit may use."""

    house: scope.Scope
    other: scope.Scope
    upstream: Upstream
    patch: pytest.MonkeyPatch

    async def begun(self) -> turns.Turn:
        """A turn whose upstream said half an answer and hangs."""
        self.upstream.says(HALF, NEVER())
        turn = await turns.start(ask("question"))
        await until_text(turn, HALF)
        return turn


@dataclass(frozen=True)
class Exit:
    """How it is reached and what must stand afterwards."""

    name: str
    lead: Callable[[Stage], Awaitable[turns.Turn]]
    state: TurnState
    message: MessageState
    text: str
    hold: str
    reason: FinishReason | None = None
    code: str | None = None
    verbs: tuple[Verb, ...] = field(default=(Verb.RETRY,))


async def done(stage: Stage) -> turns.Turn:
    stage.upstream.says(HALF, "wer")
    return await turns.start(ask("question"))


async def cut_by_length(stage: Stage) -> turns.Turn:
    stage.upstream.says(HALF, Finish(FinishReason.LENGTH))
    return await turns.start(ask("question"))


async def withheld(stage: Stage) -> turns.Turn:
    stage.upstream.says(Finish(FinishReason.FILTER))
    return await turns.start(ask("question"))


async def empty(stage: Stage) -> turns.Turn:
    stage.upstream.says(Finish(FinishReason.STOP))
    return await turns.start(ask("question"))


async def stopped(stage: Stage) -> turns.Turn:
    turn = await stage.begun()
    await turns.cancel(turn.id, by=turn.account)
    return turn


async def stopped_before_words(stage: Stage) -> turns.Turn:
    stage.upstream.says(NEVER())
    turn = await turns.start(ask("question"))
    await turns.cancel(turn.id, by=turn.account)
    return turn


async def stopped_while_the_signal_is_lost(stage: Stage) -> turns.Turn:
    async def lost(_: object) -> None:
        return

    stage.patch.setattr(live, "request_cancel", lost)
    turn = await stage.begun()
    await turns.cancel(turn.id, by=turn.account)
    return turn


async def client_gone(stage: Stage) -> turns.Turn:
    gate = asyncio.Event()
    stage.upstream.says(HALF, gate, "wer")
    turn = await turns.start(ask("question"))
    reading = asyncio.create_task(until_end(turn))
    await until_text(turn, HALF)
    reading.cancel()
    gate.set()
    return turn


async def error_before_words(stage: Stage) -> turns.Turn:
    stage.upstream.says(UpstreamError(Fault.OVERLOADED))
    return await turns.start(ask("question"))


async def error_after_words(stage: Stage) -> turns.Turn:
    stage.upstream.says(HALF, UpstreamError(Fault.TRUNCATED))
    return await turns.start(ask("question"))


async def bug_after_words(stage: Stage) -> turns.Turn:
    stage.upstream.says(HALF, KeyError("a bug of ours"))
    return await turns.start(ask("question"))


async def timed_out(stage: Stage) -> turns.Turn:
    values = settings.get
    stage.patch.setattr(settings, "get", lambda setting: 0.5 if setting is settings.TURN_S else values(setting))
    return await stage.begun()


async def drained(stage: Stage) -> turns.Turn:
    turn = await stage.begun()
    stage.house.draining = True
    await turns.drain(0.1)
    return turn


async def cancelled_by_the_supervisor(stage: Stage) -> turns.Turn:
    turn = await stage.begun()
    stage.house.draining = True
    await stage.house.supervisor.cancel(TURNS)
    return turn


async def killed(stage: Stage) -> turns.Turn:
    """The process dies between two lines: nothing of it writes any more, and its lease runs out."""
    turn = await stage.begun()
    await abandon(turn, stage.patch)
    with scope.bind(stage.other):
        await turns.sweep()
        assert await stage.other.supervisor.drain(5) == 0
    return turn


async def killed_after_a_stop(stage: Stage) -> turns.Turn:
    turn = await stage.begun()
    await abandon(turn, stage.patch)
    await turns.cancel(turn.id, by=turn.account)
    await turns.sweep()
    return turn


async def killed_before_words(stage: Stage) -> turns.Turn:
    stage.upstream.says(NEVER())
    turn = await turns.start(ask("question"))
    await abandon(turn, stage.patch)
    await turns.sweep()
    return turn


async def killed_before_a_checkpoint_while_the_log_lives(stage: Stage) -> turns.Turn:
    turn = await stage.begun()
    assert (await answer(turn)).parts == (), "the text stands in the log alone"
    await abandon(turn, stage.patch)
    await turns.sweep()
    return turn


async def database_error_at_settlement(stage: Stage) -> turns.Turn:
    """The first two tries to settle fail; the third succeeds."""
    fail_settlements(stage.patch, [2])
    stage.upstream.says(HALF, "wer")
    return await turns.start(ask("question"))


async def database_error_at_every_settlement(stage: Stage) -> turns.Turn:
    """The process never manages; it leaves the turn to the sweep, with all its text."""
    left = [10**9]
    fail_settlements(stage.patch, left)
    stage.patch.setattr(stream, "WAIT_S", 0.05)
    stage.upstream.says(HALF, "wer")
    turn = await turns.start(ask("question"))
    await quiet()
    assert (await latest(turn)).state is TurnState.RUNNING
    left[0] = 0
    await turns.sweep()
    return turn


EXITS = [
    Exit("done", done, TurnState.DONE, MessageState.DONE, HALF + "wer", "captured", FinishReason.STOP),
    Exit(
        "length",
        cut_by_length,
        TurnState.DONE,
        MessageState.DONE,
        HALF,
        "captured",
        FinishReason.LENGTH,
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
    Exit("filter", withheld, TurnState.DONE, MessageState.DONE, "", "released", FinishReason.FILTER),
    Exit("empty answer", empty, TurnState.FAILED, MessageState.FAILED, "", "released", code="answer_empty"),
    Exit(
        "stop",
        stopped,
        TurnState.STOPPED,
        MessageState.PARTIAL,
        HALF,
        "captured",
        FinishReason.STOPPED,
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
    Exit(
        "stop before words",
        stopped_before_words,
        TurnState.STOPPED,
        MessageState.FAILED,
        "",
        "released",
        FinishReason.STOPPED,
    ),
    Exit(
        "stop, signal lost",
        stopped_while_the_signal_is_lost,
        TurnState.STOPPED,
        MessageState.PARTIAL,
        HALF,
        "captured",
        FinishReason.STOPPED,
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
    Exit("client gone", client_gone, TurnState.DONE, MessageState.DONE, HALF + "wer", "captured", FinishReason.STOP),
    Exit(
        "error before words",
        error_before_words,
        TurnState.FAILED,
        MessageState.FAILED,
        "",
        "released",
        code="upstream_overloaded",
    ),
    Exit(
        "error after words",
        error_after_words,
        TurnState.FAILED,
        MessageState.PARTIAL,
        HALF,
        "captured",
        code="answer_cut",
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
    Exit(
        "our bug after words",
        bug_after_words,
        TurnState.FAILED,
        MessageState.PARTIAL,
        HALF,
        "captured",
        code="internal",
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
    Exit(
        "time-out",
        timed_out,
        TurnState.FAILED,
        MessageState.PARTIAL,
        HALF,
        "captured",
        code="turn_timeout",
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
    *(
        Exit(
            name,
            lead,
            TurnState.FAILED,
            MessageState.PARTIAL,
            HALF,
            "captured",
            code="interrupted",
            verbs=(Verb.RETRY, Verb.CONTINUE),
        )
        for name, lead in (
            ("drain", drained),
            ("cancelled process", cancelled_by_the_supervisor),
            ("kill -9", killed),
            ("kill -9, text in the log", killed_before_a_checkpoint_while_the_log_lives),
        )
    ),
    Exit(
        "kill -9 before words",
        killed_before_words,
        TurnState.FAILED,
        MessageState.FAILED,
        "",
        "released",
        code="interrupted",
    ),
    Exit(
        "kill -9 after a stop",
        killed_after_a_stop,
        TurnState.STOPPED,
        MessageState.PARTIAL,
        HALF,
        "captured",
        FinishReason.STOPPED,
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
    Exit(
        "database error at settlement",
        database_error_at_settlement,
        TurnState.DONE,
        MessageState.DONE,
        HALF + "wer",
        "captured",
        FinishReason.STOP,
    ),
    Exit(
        "database error at every settlement",
        database_error_at_every_settlement,
        TurnState.FAILED,
        MessageState.PARTIAL,
        HALF + "wer",
        "captured",
        code="interrupted",
        verbs=(Verb.RETRY, Verb.CONTINUE),
    ),
]


@pytest.mark.parametrize("exit", EXITS, ids=lambda each: each.name)
async def test_every_exit_settles_the_hold_keeps_the_text_and_tells_the_end(
    exit: Exit, house: scope.Scope, other: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "END_PAUSES_S", (0.01, 0.01, 0.01))
    turn = await exit.lead(Stage(house, other, upstream, monkeypatch))
    events = await until_end(turn)
    await quiet()
    end = events[-1]
    if exit.code is None:
        assert isinstance(end, Finished)
        assert end.reason is exit.reason
    else:
        assert isinstance(end, Failed)
        assert end.code == exit.code
        assert end.kept == (exit.text != "")
    assert tuple(action.verb for action in end.offers) == exit.verbs
    ended = await latest(turn)
    assert ended.state is exit.state
    assert (ended.error.code if ended.error else None) == exit.code
    view = await answer(turn)
    assert (view.message.text, view.state) == (exit.text, exit.message)
    assert await house.supervisor.drain(5, group=SETTLEMENTS) == 0
    assert await holds() == [exit.hold]
    assert (ended.cost_micro > 0) == (exit.hold == "captured")
    await check_books()
    await told_once(turn)
    # The conversation is free again.
    house.draining = False
    after = await turns.start(ask("next", conversation=turn.conversation))
    await turns.cancel(after.id, by=after.account)


@pytest.mark.parametrize("exit", EXITS, ids=lambda each: each.name)
async def test_after_every_exit_the_row_alone_tells_the_same(
    exit: Exit, house: scope.Scope, other: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "END_PAUSES_S", (0.01, 0.01, 0.01))
    turn = await exit.lead(Stage(house, other, upstream, monkeypatch))
    from_log = await until_end(turn)
    await quiet()
    lose_log(turn)
    from_row = await until_end(turn)
    assert from_row[-1] == from_log[-1]
    assert len(from_row) == 2


async def abandon(turn: turns.Turn, patch: pytest.MonkeyPatch) -> None:
    """Let the runner of this turn vanish as a killed process does: none of its cleaning up happens."""
    dead = runner.runners().running.pop(turn.id)

    async def nothing(*_: Any, **__: Any) -> None:
        return

    for writer in ("_end", "_checkpoint"):
        patch.setattr(dead, writer, nothing)
    tasks = [task for task in asyncio.all_tasks() if turn.id in task.get_name() and task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await expire(turn)


async def expire(turn: turns.Turn) -> None:
    async def body(work: Work) -> None:
        past = scope.current().clock.now().replace(year=2020)
        await work.change("UPDATE turn SET lease_until = $2 WHERE id = $1", [turn.id, past])

    await unit_of_work(body)


def fail_settlements(patch: pytest.MonkeyPatch, left: list[int]) -> None:
    """Let as many settlements fail as `left` says."""
    capture = billing.capture

    async def failing(*args: Any, **more: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise OSError("the database is away")
        return await capture(*args, **more)

    patch.setattr(billing, "capture", failing)


def lose_log(turn: turns.Turn) -> None:
    log = live.log()
    assert isinstance(log, live.MemoryLog)
    log.lose(live.turn_topic(turn.id))


async def told_once(turn: turns.Turn) -> None:
    page = await live.log().read(live.turn_topic(turn.id), 0)
    events = [wire.load_event(wire.decode(entry.data)) for entry in page.entries]
    assert sum(isinstance(event, Finished | Failed) for event in events) == 1
    assert isinstance(events[-1], Finished | Failed)


async def test_an_end_that_was_never_told_is_told_by_the_sweep(
    house: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any, **__: Any) -> None:
        return

    monkeypatch.setattr(runner.Runner, "_tell", crash)
    turn = await turns.start(ask("hi"))
    await quiet()
    following_it = asyncio.create_task(until_end(turn))
    await asyncio.sleep(0.1)
    assert not following_it.done()
    monkeypatch.setattr(sweeping, "UNTOLD_AFTER_S", -1)
    await turns.sweep()
    assert isinstance((await following_it)[-1], Finished)
    await turns.sweep()
    await told_once(turn)


async def test_a_follower_of_an_untold_end_hears_it_from_the_row(
    house: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any, **__: Any) -> None:
        return

    monkeypatch.setattr(runner.Runner, "_tell", crash)
    monkeypatch.setattr(following, "SILENCE_S", 0.2)
    turn = await turns.start(ask("hi"))
    events = await until_end(turn)
    assert isinstance(events[-1], Finished)


async def test_waiting_turns_of_a_dead_process_are_promoted_by_the_sweep(
    house: scope.Scope, other: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.says(HALF, NEVER())
    upstream.says("second")
    first = await turns.start(ask("one"))
    await until_text(first, HALF)
    second = await turns.start(ask("two", conversation=first.conversation))
    await abandon(first, monkeypatch)
    with scope.bind(other):
        await turns.sweep()
        assert isinstance((await until_end(second))[-1], Finished)
    await check_books()


async def test_at_start_of_the_only_process_running_turns_are_ended_at_once(
    house: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.says(HALF, NEVER())
    turn = await turns.start(ask("one"))
    await until_text(turn, HALF)
    await abandon(turn, monkeypatch)

    async def body(work: Work) -> None:
        later = scope.current().clock.now().replace(year=2099)
        await work.change("UPDATE turn SET lease_until = $2 WHERE id = $1", [turn.id, later])

    await unit_of_work(body)
    await turns.recover()
    state = (await latest(turn)).state
    embedded = house.database.dialect == "sqlite"
    assert state is (TurnState.FAILED if embedded else TurnState.RUNNING)
    await expire(turn)
    await turns.sweep()
    await check_books()


async def test_a_process_that_lost_its_lease_writes_nothing_more(
    house: scope.Scope, other: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHECKPOINT_S", 3600)  # a checkpoint between expiry and sweep would renew the lease
    gate = asyncio.Event()
    upstream.says(HALF, gate, "wer, too late")
    turn = await turns.start(ask("one"))
    await until_text(turn, HALF)
    await expire(turn)
    with scope.bind(other):
        await turns.sweep()
    gate.set()
    await quiet()
    assert (await latest(turn)).state is TurnState.FAILED
    assert (await answer(turn)).message.text == HALF
    await told_once(turn)
    await check_books()


async def test_of_two_sweeps_one_ends_the_turn(
    house: scope.Scope, other: scope.Scope, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.says(HALF, NEVER())
    turn = await turns.start(ask("one"))
    await until_text(turn, HALF)
    await abandon(turn, monkeypatch)

    async def elsewhere() -> None:
        with scope.bind(other):
            await turns.sweep()

    await asyncio.gather(turns.sweep(), asyncio.create_task(elsewhere()))
    await told_once(turn)
    await check_books()


async def test_a_stop_that_meets_the_end_leaves_one_end(house: scope.Scope, upstream: Upstream) -> None:
    for pause in range(8):
        gate = asyncio.Event()
        upstream.scripts.clear()
        upstream.says(HALF, gate)
        turn = await turns.start(ask("one"))
        await until_text(turn, HALF)
        gate.set()
        await asyncio.sleep(pause / 500)
        await turns.cancel(turn.id, by=turn.account)
        end = (await until_end(turn))[-1]
        await quiet()
        assert isinstance(end, Finished)
        assert end.reason in (FinishReason.STOP, FinishReason.STOPPED)
        assert (await latest(turn)).state is (TurnState.DONE if end.reason is FinishReason.STOP else TurnState.STOPPED)
        await told_once(turn)
    await check_books()
