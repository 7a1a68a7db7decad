"""The supervisor: where tasks are born, how they end, and that failures are heard."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from structlog.testing import capture_logs

from core.kit import supervisor as groups
from core.kit.supervisor import Supervisor

place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")


async def where() -> str:
    return place.get()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_task_is_born_in_the_captured_context_not_in_its_callers() -> None:
    supervisor = Supervisor()
    place.set("start-up")
    supervisor.capture()
    place.set("inside a unit of work")
    assert await supervisor.spawn("one", where()) == "start-up"
    assert await supervisor.spawn("two", where) == "start-up"


async def test_tasks_do_not_share_a_context() -> None:
    supervisor = Supervisor()
    supervisor.capture()

    async def leave_a_mark() -> None:
        place.set("marked")

    await supervisor.spawn("one", leave_a_mark())
    assert await supervisor.spawn("two", where()) == "nowhere"


async def test_a_failure_nobody_awaits_is_logged_with_its_name() -> None:
    supervisor = Supervisor()

    async def fail() -> None:
        raise ValueError("broken")

    with capture_logs() as logs:
        task = supervisor.spawn("fragile", fail())
        await asyncio.wait((task,))
        await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in logs] == [("task.failed", "fragile")]
    assert supervisor.running() == []


async def test_draining_waits_for_one_group_and_says_what_is_left() -> None:
    supervisor = Supervisor()
    done = asyncio.Event()
    supervisor.spawn("service", for_ever())
    supervisor.spawn("short", done.wait(), group=groups.TURNS)
    stuck = supervisor.spawn("long", for_ever(), group=groups.TURNS)
    asyncio.get_running_loop().call_later(0.02, done.set)
    assert await supervisor.drain(0.1) == 1
    stuck.cancel()
    assert await supervisor.drain(1) == 0
    assert len(supervisor.running(groups.SERVICES)) == 1
    await supervisor.cancel_all()


async def test_cancelling_everything_waits_for_what_the_cancelled_leave_to_settle() -> None:
    supervisor = Supervisor()
    settled: list[str] = []

    async def settle() -> None:
        await asyncio.sleep(0.02)
        settled.append("money")

    async def turn() -> None:
        try:
            await for_ever()
        finally:
            supervisor.spawn("settle", settle(), group=groups.SETTLEMENTS)

    supervisor.spawn("turn", turn(), group=groups.TURNS)
    await asyncio.sleep(0)
    await supervisor.cancel_all()
    assert settled == ["money"]
    with pytest.raises(RuntimeError, match="late"):
        supervisor.spawn("late", for_ever())


async def test_a_task_that_will_not_end_does_not_hold_up_the_process() -> None:
    supervisor = Supervisor()
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    supervisor.spawn("stubborn", stubborn())
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await supervisor.cancel_all(timeout_s=0.05)
    assert [line["event"] for line in logs] == ["task.would_not_end"]
    let_go.set()
    await asyncio.sleep(0)


async def test_a_service_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "BACKOFF_FIRST_S", 0.001)
    supervisor = Supervisor()
    tries = 0

    async def flaky() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionError

    with capture_logs() as logs:
        await supervisor.keep("flaky", flaky)
    assert tries == 3
    assert [line["event"] for line in logs] == ["service.failed"] * 2


async def test_one_who_closes_from_inside_a_task_does_not_wait_for_itself() -> None:
    supervisor = Supervisor()
    await asyncio.wait_for(supervisor.spawn("closing", supervisor.cancel_all), 1)
