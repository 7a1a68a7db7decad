"""The runtime: opens what a process needs, tells whether it can serve, and closes everything in order.

    config = config.load(os.environ)
    async with open_runtime(config, role="web") as runtime:
        await runtime.open_doors(settings.load, …)     # waits for the migrations, then loads the rooms
        await runtime.until_stopped()                  # the first SIGINT or SIGTERM
        await runtime.drain()                          # running turns get a minute; a second signal ends it
    # here: turns kept as partial and settled, tasks ended, connections closed, our own Redis stopped

Embedded, one process serves: `up` holds the lock of the data folder and owns the Redis; a verb beside it attaches to
that Redis, or goes without. Both bring SQLite up to date under a second lock. On PostgreSQL only `migrate` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]
import structlog
from tortoise.exceptions import DBConnectionError, OperationalError

from core import db
from core.config import Config, ConfigError, with_secret_key
from core.kit import orm
from core.kit import supervisor as groups
from core.kit.clock import Clock, SystemClock
from core.kit.embedded_redis import EmbeddedRedis, NoRedis, ping
from core.kit.folder_lock import FolderLock, held, read_note
from core.kit.http import HttpPool
from core.kit.ids import OwnerId, new_id
from core.kit.logging import redacted
from core.kit.redis import Keys, Redis, answers, close_redis, open_redis
from core.kit.scope import Scope, bind, current
from core.kit.secrets import Sealer
from core.kit.supervisor import Supervisor

__all__ = ["CannotStart", "Runtime", "is_open", "not_ready_because", "open_runtime"]

T = TypeVar("T")

SERVERS = frozenset({"up", "web", "telegram", "discord", "worker"})
"""The roles that serve until they are stopped; any other name is a one-shot verb."""
DRAIN_S = 60.0
"""How long running turns may go on after the first signal. Compose gives 75 s in all."""
HURRIED_S = 2.0
"""How long tasks may clean up after a second signal."""
SERVER_LOCK, MIGRATION_LOCK = "server.lock", "migration.lock"
LOCK_S = 1.0
MIGRATION_S = 60.0
PATIENCE_S = 10.0
"""How long a server that starts waits for a PostgreSQL that does not answer yet."""
READY_S = 2.0
PENDING_POLL_S = 1.0

log = structlog.get_logger(__name__)


class CannotStart(Exception):
    """The start is over; the text is the one sentence to print."""


@dataclass(slots=True)
class _Readiness:
    doors_open: bool = False
    migrated: bool = False


@dataclass(eq=False, slots=True)
class Runtime:
    """An opened process."""

    scope: Scope
    migrated: tuple[str, ...] = ()
    """The migrations that this start applied."""
    _first: asyncio.Event = field(default_factory=asyncio.Event)
    _second: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_doors(self, *steps: Callable[[], Awaitable[object]]) -> None:
        """Wait until the database is migrated, await each step in turn (loading the rooms), then let callers in."""
        readiness = self.scope.state(_readiness)
        told: list[str] = []
        while not readiness.migrated:
            try:
                pending = await self.scope.database.pending()
            except Exception as error:
                log.warning("database.unreachable", error=type(error).__name__)
                pending = told or ["unknown"]
            readiness.migrated = not pending
            if pending and pending != told:
                log.warning("database.not_migrated", pending=pending, remedy="run: parley migrate")
                told = pending
            if pending:
                await asyncio.sleep(PENDING_POLL_S)
        for step in steps:
            await step()
        readiness.doors_open = True

    def stop(self) -> None:
        """What a signal does: the first refuses new work, the second ends the drain."""
        if not self._first.is_set():
            log.info("process.stopping")
            self.scope.draining = True
            self._first.set()
        else:
            log.warning("process.hurried")
            self._second.set()

    @property
    def hurried(self) -> bool:
        """Whether a second signal asked to end now."""
        return self._second.is_set()

    async def until_stopped(self) -> None:
        """Returns at the first signal; from then on `scope.draining` is true."""
        await self._first.wait()

    async def drain(self, timeout_s: float = DRAIN_S) -> int:
        """End idle followers at once and wait for running turns, until a second signal; how many turns are left."""
        self.scope.draining = True
        supervisor = self.scope.supervisor
        await supervisor.cancel(groups.FOLLOWERS, timeout_s=HURRIED_S)
        running = len(supervisor.running(groups.TURNS))
        if not running or self._second.is_set():
            return running
        log.info("process.draining", turns=running, timeout_s=timeout_s)
        drain = asyncio.ensure_future(supervisor.drain(timeout_s, group=groups.TURNS))
        hurry = asyncio.ensure_future(self._second.wait())
        try:
            await asyncio.wait((drain, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
            drain.cancel()
        return len(supervisor.running(groups.TURNS))

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Within the block SIGINT and SIGTERM call `stop`; a third one ends the process on the spot."""
        loop = asyncio.get_running_loop()
        told = 0

        def heard() -> None:
            nonlocal told
            told += 1
            if told >= 3:
                os._exit(130)
            self.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, heard)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def close_tasks(self) -> None:
        """Cancel what runs, turns first: to keep what they have they still need everything else."""
        self.scope.draining = True
        patience_s = HURRIED_S if self._second.is_set() else groups.CLOSE_S
        supervisor = self.scope.supervisor
        await supervisor.cancel(groups.TURNS, timeout_s=patience_s)
        await supervisor.cancel_all(timeout_s=patience_s)


def is_open() -> bool:
    """Whether the rooms of this process are loaded, so that its doors may let callers in."""
    return current().state(_readiness).doors_open


async def not_ready_because() -> str | None:
    """None when database, Redis and migrations are ready and the process is not stopping; else the reason."""
    scope = current()
    if scope.draining:
        return "the process is stopping"
    readiness = scope.state(_readiness)
    try:
        async with asyncio.timeout(READY_S):
            if readiness.migrated:
                pending: list[str] = []
                await orm.read("SELECT 1")
            else:
                pending = await scope.database.pending()
    except Exception as error:
        log.warning("database.unreachable", error=type(error).__name__)
        return "the database does not answer"
    if pending:
        return f"the database lacks migrations ({', '.join(pending)}): run `parley migrate`"
    if scope.redis is None or not await answers(scope.redis, timeout_s=READY_S):
        return "Redis does not answer"
    if not readiness.doors_open:
        return "the process is starting"
    return None


@asynccontextmanager
async def open_runtime(
    config: Config, *, role: str, clock: Clock | None = None, redis: bool = True
) -> AsyncIterator[Runtime]:
    """Open everything for this role, bind the scope to the caller's context, and close in order at the end.

    Raises ConfigError for a setting that this role cannot use, CannotStart for everything outside the settings; each
    carries one sentence. `redis=False` leaves Redis out (`migrate` needs none).
    """
    if config.embedded and role in SERVERS - {"up"}:
        raise ConfigError(
            "PARLEY_DATABASE_URL",
            f"`parley {role}` needs a postgres:// address and PARLEY_REDIS_URL; without them everything runs in one "
            "process: `parley up`",
        )
    async with AsyncExitStack() as stack:
        with _one_sentence(config):
            runtime = await _open(config, role, clock or SystemClock(), stack, redis)
        yield runtime


async def _open(config: Config, role: str, clock: Clock, stack: AsyncExitStack, with_redis: bool) -> Runtime:
    serving = role in SERVERS
    migrated: list[str] = []
    lock: FolderLock | None = None
    if config.embedded:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if serving:
            lock = await _lock_folder(config, stack)
        migrated = await _migrate_embedded(config, serving=serving)
    elif role == "migrate":
        migrated = await _reaching_postgres(config, lambda: db.migrate(config.database_url), patient=True)
    config = with_secret_key(config)
    redis = await _open_redis(config, stack, lock) if with_redis else None
    database = await _reaching_postgres(config, lambda: db.open_database(config.database_url), patient=serving)
    stack.push_async_callback(database.close)
    http = HttpPool()
    stack.push_async_callback(http.close)
    scope = Scope(
        config=config,
        role=role,
        owner=OwnerId(new_id("own")),
        database=database,
        redis=redis,
        keys=Keys.of(config.database_url),
        http=http,
        sealer=Sealer(config.secret_keys),
        clock=clock,
        supervisor=Supervisor(),
    )
    stack.enter_context(bind(scope))
    scope.supervisor.capture()
    runtime = Runtime(scope, tuple(migrated))
    stack.push_async_callback(runtime.close_tasks)
    if serving:
        log.info("process.opened", role=role, owner=scope.owner, **config.redacted())
    return runtime


async def _lock_folder(config: Config, stack: AsyncExitStack) -> FolderLock:
    lock = FolderLock(config.data_dir / SERVER_LOCK)
    if not await lock.acquire(wait_s=LOCK_S):
        raise CannotStart(
            f"Another Parley already runs on {config.data_dir}: stop it first, or set PARLEY_DATA_DIR to another one."
        )
    stack.callback(lock.release)
    return lock


async def _migrate_embedded(config: Config, *, serving: bool) -> list[str]:
    if await db.pending(config.database_url) == []:
        return []
    async with held(config.data_dir / MIGRATION_LOCK, wait_s=MIGRATION_S) as got:
        if not got:
            raise CannotStart(f"Another process has been migrating {config.data_dir} for a minute: look at it first.")
        if await db.pending(config.database_url) == []:
            return []
        if not serving and read_note(config.data_dir / SERVER_LOCK) is not None:
            raise CannotStart("The server that runs on this folder is older than this command: stop it first.")
        return await db.migrate(config.database_url)


async def _reaching_postgres(config: Config, work: Callable[[], Awaitable[T]], *, patient: bool) -> T:
    """Servers that start together with their database give it some seconds."""
    until = time.monotonic() + (PATIENCE_S if patient else 0.0)
    while True:
        try:
            return await work()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DBConnectionError) as error:
            if config.embedded:
                raise
            if time.monotonic() < until and not isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
                await asyncio.sleep(0.5)
                continue
            reason = redacted(str(error).strip()) or type(error).__name__
            raise CannotStart(
                f"PARLEY_DATABASE_URL: {config.redacted()['database']} cannot be used ({reason}): "
                "check address, password and that the database exists."
            ) from error


async def _open_redis(config: Config, stack: AsyncExitStack, lock: FolderLock | None) -> Redis | None:
    if config.redis_url is not None:
        try:
            client = open_redis(config.redis_url)
        except ValueError as error:
            raise ConfigError("PARLEY_REDIS_URL", "it should look like redis://host:6379/0") from error
    elif lock is not None:
        child = EmbeddedRedis(config.data_dir, config.runtime_dir)
        stack.push_async_callback(child.stop)
        await child.start()
        lock.note(f"{os.getpid()}\n{child.socket}\n")
        # Not a task of the supervisor: turns and settlements that end with it still need Redis.
        watch = asyncio.create_task(child.watch(), name="redis.child")
        stack.push_async_callback(_cancelled, watch)
        client = open_redis(_unix_url(child.socket))
    else:
        found = await _socket_of_server(config.data_dir)
        if found is None:
            return None
        client = open_redis(_unix_url(found))
    stack.push_async_callback(close_redis, client)
    return client


async def _socket_of_server(data_dir: Path) -> Path | None:
    """The live socket of the server that runs on this folder."""
    lines = (read_note(data_dir / SERVER_LOCK) or "").splitlines()
    if len(lines) < 2:
        return None
    path = Path(lines[1])
    return path if await ping(path) else None


def _unix_url(path: Path) -> str:
    return f"unix://{quote(str(path))}"


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


@contextlib.contextmanager
def _one_sentence(config: Config) -> Iterator[None]:
    """What the machine refuses while we open, told as a person wants to hear it."""
    try:
        yield
    except NoRedis as error:
        raise CannotStart(str(error)) from error
    except (OSError, sqlite3.Error, DBConnectionError, OperationalError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CannotStart(f"PARLEY_DATA_DIR: {config.data_dir} cannot be used ({reason}).") from error


def _readiness(_scope: Scope) -> _Readiness:
    return _Readiness()
