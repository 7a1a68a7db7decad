"""The database underfoot: the Table base, units of work and raw reads, the same on SQLite and PostgreSQL.

Which database: the one bound to the caller's context (`core.db.open_database` binds the one it opens).

Columns. Ids are text of at most 40 characters, made by us. Moments are `DatetimeField`s holding aware datetimes, in
UTC; both databases return them so, also from raw SQL, except that SQLite knows no type for an expression such as
`max(created_at)` or a column of RETURNING: pass those through `moment()`. Booleans come from raw SQL as 0 and 1 on
SQLite. Structured values are text columns of JSON, so that both databases keep the bytes they were given. Money is
a BigIntField of micro-units: a Decimal on SQLite is computed as a float.

SQL is written once, for both: `$1` marks a parameter, and one parameter may stand in several places. Where the
databases differ in more than that, ask `work.dialect`.

Tasks. A task born inside a unit of work would inherit its connection. It is refused once the unit is over; the
supervisor prevents it by spawning each task in its own copy of the context taken at start-up, after the database was
opened: `asyncio.create_task(coro, context=start_context.copy())`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import structlog
from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import require_context
from tortoise.models import ModelMeta

from core.kit.errors import Unavailable
from core.kit.shield import to_the_end
from core.kit.sqlite_backend import Locked

T = TypeVar("T")
Dialect = Literal["sqlite", "postgres"]
Row = dict[str, Any]

BEGIN_TRIES = 3
"""Times a BEGIN meets SQLite's write lock, five seconds each, before the unit of work gives up."""
BODY_S = 60.0
"""How long a body may take. Its caller cannot be cancelled meanwhile, and on SQLite every query waits."""
CALLBACK_S = 30.0
"""How long one after-commit callback may take; the caller waits for it."""

log = structlog.get_logger(__name__)


class _WithoutDescription(ModelMeta):
    """Keeps a row's docstring out of the schema, where tortoise would make each edit of it a migration."""

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> _WithoutDescription:
        table: Any = super().__new__(cls, name, bases, attrs)
        table._meta.table_description = ""
        return table  # type: ignore[no-any-return]


class Table(Model, metaclass=_WithoutDescription):
    """The base of every row."""

    class Meta:
        abstract = True


class Work:
    """One open transaction, handed to the body of a unit of work.

    `conn` is the ORM's client of this transaction (`using_db=work.conn` is not needed: rows find it by themselves).
    `money_used` belongs to billing's ledger, which allows one call in a unit of work.
    """

    __slots__ = ("_callbacks", "_open", "conn", "dialect", "money_used")

    def __init__(self, conn: BaseDBAsyncClient) -> None:
        self.conn = conn
        self.dialect: Dialect = _dialect_of(conn)
        self.money_used = False
        self._callbacks: list[Callable[[], Awaitable[None]]] = []
        self._open = True

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call and await `callback` once the work is committed, never when it is rolled back.

        Callbacks run in the order they were given, outside the transaction, before `unit_of_work` returns; they may
        begin units of work of their own. One that fails or takes longer than CALLBACK_S is logged and stops nothing;
        a crash may lose it, so it only hastens what a sweep would find.
        """
        assert self._open, "the unit of work is over"
        self._callbacks.append(callback)

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Run one statement; the rows of a SELECT or of RETURNING, else none."""
        return await _fetch(self.conn, sql, params)

    async def change(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE; how many rows it touched. The way to guard an update by its old state."""
        count: int = await self.conn.execute_count(*_prepared(self.conn, sql, params))  # type: ignore[attr-defined]
        return count

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of parameters."""
        prepared, _ = _prepared(self.conn, sql, ())
        await self.conn.execute_many(prepared, [list(row) for row in rows])


_work: contextvars.ContextVar[Work | None] = contextvars.ContextVar("parley_work", default=None)


def in_unit_of_work() -> bool:
    """Whether the caller runs inside the body of a unit of work, where it must not wait for the network."""
    work = _work.get()
    return work is not None and work._open


async def unit_of_work(body: Callable[[Work], Awaitable[T]]) -> T:
    """Run `body` in one transaction: committed when it returns, rolled back when it raises, and then its result.

    BEGIN, body, COMMIT and the after-commit callbacks run in one task of their own and always to their end. A caller
    cancelled meanwhile gets its CancelledError afterwards, and the work stands. On SQLite the transaction has the
    write lock from the start; on PostgreSQL it is READ COMMITTED, so lock rows or guard updates by their old state.

    Raises what `body` raises; Unavailable when no transaction could begin (nothing has happened, trying again is
    safe); RuntimeError at once inside another unit of work.
    """
    if in_unit_of_work():
        raise RuntimeError("a unit of work was begun inside another one")
    return await to_the_end(_run(body), name=f"unit_of_work:{getattr(body, '__qualname__', 'body')}")


async def read(sql: str, params: Sequence[Any] = ()) -> list[Row]:
    """The rows of a query. Inside a unit of work it sees that work; outside it is a transaction of its own."""
    return await _fetch(require_context().db(), sql, params)


def dialect() -> Dialect:
    """Which kind of database the caller's context is bound to."""
    return _dialect_of(require_context().db())


def moment(value: datetime | str) -> datetime:
    """A moment out of raw SQL, where SQLite may return its text."""
    parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


async def _run(body: Callable[[Work], Awaitable[T]]) -> T:
    async with contextlib.AsyncExitStack() as stack:
        work = Work(await _begin(stack))
        token = _work.set(work)
        try:
            async with asyncio.timeout(BODY_S):
                result = await body(work)
        finally:
            work._open = False
            _work.reset(token)
    for callback in work._callbacks:
        try:
            async with asyncio.timeout(CALLBACK_S):
                await callback()
        except Exception:
            log.exception(
                "work.after_commit_failed", callback=getattr(callback, "__qualname__", type(callback).__name__)
            )
    return result


async def _begin(stack: contextlib.AsyncExitStack) -> BaseDBAsyncClient:
    client = require_context().db()
    # The context of a task that was born inside a unit of work names that unit's transaction; its parent is the client.
    while (parent := getattr(client, "_parent", None)) is not None:
        client = parent
    for remaining in reversed(range(BEGIN_TRIES)):
        try:
            return await stack.enter_async_context(client._in_transaction())
        except Locked as exc:
            # The client's lock is free between two tries, so that reads of this process get their turn.
            if not remaining:
                raise Unavailable("database_unavailable", retry_after_s=1) from exc
    raise AssertionError("unreachable")


async def _fetch(conn: BaseDBAsyncClient, sql: str, params: Sequence[Any]) -> list[Row]:
    rows: list[Row] = await conn.execute_query_dict(*_prepared(conn, sql, params))
    return rows


def _prepared(conn: BaseDBAsyncClient, sql: str, params: Sequence[Any]) -> tuple[str, list[Any]]:
    values = list(params)
    for value in values:
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("a naive datetime names no moment")
    return (_for_sqlite(sql) if _dialect_of(conn) == "sqlite" else sql), values


def _dialect_of(conn: BaseDBAsyncClient) -> Dialect:
    return "sqlite" if conn.capabilities.dialect == "sqlite" else "postgres"


_LITERAL_OR_MARK = re.compile(r"'(?:[^']|'')*'|\$(\d+)")


@functools.lru_cache(maxsize=1024)
def _for_sqlite(sql: str) -> str:
    return _LITERAL_OR_MARK.sub(lambda found: f"?{found[1]}" if found[1] else found[0], sql)
