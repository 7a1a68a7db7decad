"""The supervisor: the named background tasks of a process, from their birth to the end of the process.

A task must not be born in its caller's context: inside a unit of work it would inherit the transaction's connection
and later write through it, even into somebody else's rollback. So each task starts in its own copy of the context
that `capture()` took at start-up, after the database was opened.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

SERVICES = "services"
"""What runs as long as the process: loops, subscriptions, bots."""
FOLLOWERS = "followers"
"""Who only watches and can be cancelled at once: presenters, open event streams."""
TURNS = "turns"
"""Running answers: given time to end, then kept as partial."""
SETTLEMENTS = "settlements"
"""Short last words of others (money, rows): cancelled last, after being waited for."""

CLOSE_S = 10.0
"""How long cancelled tasks may clean up, and settlements may take, each."""
SLOW_S = 2.0
"""After so long the tasks that still clean up are named in the log."""
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.2, 30.0
STEADY_S = 60.0
"""A service that ran this long before it failed starts again without delay built up earlier."""

log = structlog.get_logger(__name__)


class Supervisor:
    """Owns every task that outlives the call that asked for it."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self._closed = False

    def capture(self) -> None:
        """Take the caller's context as the one tasks are born in: once, when database and scope are bound to it."""
        self._context = contextvars.copy_context()

    def spawn(
        self,
        name: str,
        work: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]],
        *,
        group: str = SERVICES,
    ) -> asyncio.Task[T]:
        """Start a task and own it. A failure is logged here, also when nobody awaits the task.

        Raises RuntimeError once the supervisor is closed.
        """
        if self._closed:
            if inspect.iscoroutine(work):
                work.close()
            raise RuntimeError(f"{name}: the process has ended its tasks")
        context = self._context.copy()
        running = work if inspect.iscoroutine(work) else context.run(work)  # type: ignore[arg-type]
        task: asyncio.Task[T] = asyncio.create_task(running, name=name, context=context)
        self._tasks[task] = group
        task.add_done_callback(self._ended)
        return task

    def keep(self, name: str, factory: Callable[[], Awaitable[None]], *, group: str = SERVICES) -> asyncio.Task[None]:
        """Run a service, and run it again whenever it fails, after 0.2 s, 0.4 s … 30 s. Returning ends it."""
        return self.spawn(name, _keep(name, factory), group=group)

    def running(self, group: str | None = None) -> list[asyncio.Task[Any]]:
        """The tasks at work, of one group or of all, without the caller's own."""
        asking = _asking()
        return [task for task, its in self._tasks.items() if group in (None, its) and task is not asking]

    async def drain(self, timeout_s: float, *, group: str = TURNS) -> int:
        """Wait until the group has nothing at work, also nothing begun meanwhile; how many are left after that time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (tasks := self.running(group)) and (left_s := deadline - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        return len(self.running(group))

    async def cancel(self, group: str, *, timeout_s: float = CLOSE_S) -> int:
        """Cancel the group and wait until it has cleaned up; how many did not end in that time."""
        return await self._cancel(lambda: self.running(group), timeout_s)

    async def cancel_all(self, *, timeout_s: float = CLOSE_S) -> None:
        """Cancel everything; what the cancelled leave to settle is waited for. Nothing can be spawned afterwards."""
        await self._cancel(lambda: [task for task in self.running() if self._tasks[task] != SETTLEMENTS], timeout_s)
        await self.drain(timeout_s, group=SETTLEMENTS)
        self._closed = True
        await self._cancel(self.running, timeout_s)
        for task in self.running():
            log.error("task.would_not_end", task=task.get_name())

    async def _cancel(self, chosen: Callable[[], list[asyncio.Task[Any]]], timeout_s: float) -> int:
        loop = asyncio.get_running_loop()
        began = loop.time()
        told: set[asyncio.Task[Any]] = set()
        slow_told = False
        while (tasks := chosen()) and (left_s := began + timeout_s - loop.time()) > 0:
            for task in tasks:
                if task not in told:
                    told.add(task)
                    # Once only: a second cancellation would cut off the last words that the first one asked for.
                    task.cancel()
            if not slow_told and loop.time() - began >= SLOW_S:
                slow_told = True
                log.warning("tasks.slow_to_end", tasks=sorted(task.get_name() for task in tasks))
            patience_s = left_s if slow_told else min(left_s, SLOW_S)
            await asyncio.wait(tasks, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        return len(chosen())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task.failed", task=task.get_name(), exc_info=error)


async def _keep(name: str, factory: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    pause_s = BACKOFF_FIRST_S
    while True:
        began = loop.time()
        try:
            return await factory()
        except Exception:
            log.exception("service.failed", service=name)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return None  # it was told to end, and failed while cleaning up
        if loop.time() - began >= STEADY_S:
            pause_s = BACKOFF_FIRST_S
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, BACKOFF_MOST_S)


def _asking() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
