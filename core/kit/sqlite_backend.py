"""SQLite under the ORM: one connection in WAL mode whose transactions begin IMMEDIATE and give back what they took.

Three things of tortoise-orm 1.1.9 that this file replaces, each with a test beside it:
its transactions begin deferred, so that a transaction which reads and then writes fails at once with "database is
locked" when another process wrote in between; a BEGIN that fails or is cancelled keeps the client's lock for ever; and
a task born inside a transaction could write through it after its end, into somebody else's.

Every statement runs in the connection's own thread, in the order it was queued. So a ROLLBACK that is queued after
a cancelled BEGIN undoes it, however late the BEGIN itself succeeds.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiosqlite
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionWrapper, translate_exceptions
from tortoise.exceptions import OperationalError, TransactionManagementError

from core.kit.transacting import Transacting

BUSY_TIMEOUT_MS = 5_000
"""How long one BEGIN waits for another process's transaction."""
WAL_PAUSE_MS = 20
"""Between two tries to switch a new file to write-ahead logging."""


class Locked(OperationalError):
    """Another process held the write lock longer than the busy timeout; nothing has happened yet."""


def to_text(moment: datetime) -> str:
    """A moment as SQLite stores it: UTC, always with microseconds, so that texts sort as the moments do."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime cannot be stored: it names no moment")
    return moment.astimezone(UTC).isoformat(" ", "microseconds")


def from_text(value: bytes) -> datetime:
    """The aware moment behind a stored text; a text without an offset is UTC."""
    moment = datetime.fromisoformat(value.decode())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


# After the import of tortoise's backend, which registers adapters of its own. Both hold for the whole process.
sqlite3.register_adapter(datetime, to_text)
sqlite3.register_converter("TIMESTAMP", from_text)


def _fetch(conn: sqlite3.Connection, sql: str, values: Sequence[Any]) -> tuple[int, list[sqlite3.Row]]:
    cursor = conn.execute(sql, values)
    rows = cursor.fetchall()
    return (cursor.rowcount if cursor.rowcount >= 0 else len(rows)), rows


def _begin(conn: sqlite3.Connection) -> None:
    if conn.in_transaction:
        conn.rollback()
    conn.execute("BEGIN IMMEDIATE")


def _fetch_inside(conn: sqlite3.Connection, sql: str, values: Sequence[Any]) -> tuple[int, list[sqlite3.Row]]:
    _still_open(conn)
    return _fetch(conn, sql, values)


def _still_open(conn: sqlite3.Connection) -> None:
    # SQLite ends a transaction by itself on errors such as a full disk; what follows would commit line by line.
    if not conn.in_transaction:
        raise sqlite3.OperationalError("the database gave the transaction up")


def _commit(conn: sqlite3.Connection) -> None:
    _still_open(conn)
    try:
        conn.commit()
    except BaseException:
        conn.rollback()
        raise


class _Held:
    """The connection while its lock is held."""

    __slots__ = ("_client", "_lock")

    def __init__(self, lock: asyncio.Lock, client: SqliteDatabase | SqliteTransaction) -> None:
        self._lock = lock
        self._client = client

    async def __aenter__(self) -> aiosqlite.Connection:
        await self._lock.acquire()
        try:
            return await self._client.connected()
        except BaseException:
            self._lock.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


class _Statements(BaseDBAsyncClient):
    """Statements with exact row counts, each in one visit to the connection's thread."""

    _run = staticmethod(_fetch)

    @translate_exceptions
    async def execute_query(self, query: str, values: Sequence[Any] | None = None) -> tuple[int, Sequence[sqlite3.Row]]:
        # A NUL cannot stand in SQL text; tortoise writes some values into it.
        query = query.replace("\x00", "'||CHAR(0)||'")
        async with self.acquire_connection() as connection:
            outcome: tuple[int, list[sqlite3.Row]] = await connection._execute(
                self._run, connection._conn, query, values or ()
            )
            return outcome

    async def execute_query_dict(self, query: str, values: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        _, rows = await self.execute_query(query, values)
        return [dict(row) for row in rows]

    async def execute_count(self, query: str, values: Sequence[Any] | None = None) -> int:
        """The number of rows the statement itself inserted, changed or deleted."""
        count, _ = await self.execute_query(query, values)
        return int(count)


class SqliteDatabase(_Statements, SqliteClient):
    """The one connection of a process to its database file, behind one lock."""

    def __init__(self, file_path: str, *, foreign_keys: bool = True, **kwargs: Any) -> None:
        super().__init__(file_path, **kwargs)
        self._enforced = foreign_keys
        self._closed = False

    async def create_connection(self, with_db: bool) -> None:
        if self._closed:
            raise OperationalError("the database is closed")
        connection = aiosqlite.connect(
            self.filename,
            isolation_level=None,
            detect_types=sqlite3.PARSE_DECLTYPES,
            timeout=BUSY_TIMEOUT_MS / 1000,
            cached_statements=512,
        )
        try:
            await connection
            connection.row_factory = sqlite3.Row
            await _write_ahead(connection)
            for pragma, value in (
                ("synchronous", "NORMAL"),
                ("journal_size_limit", "16777216"),
                ("foreign_keys", "ON" if self._enforced else "OFF"),
            ):
                await connection.execute_fetchall(f"PRAGMA {pragma}={value}")
        except BaseException:
            connection.stop()
            # Its thread tells the event loop of its end, and must not find it closed.
            await asyncio.to_thread(connection._thread.join, BUSY_TIMEOUT_MS / 1000)
            raise
        self._connection = connection
        await self._post_connect()

    async def connected(self) -> aiosqlite.Connection:
        """The connection, opened at its first use; the caller holds the lock."""
        if self._connection is None:
            await self.create_connection(with_db=True)
        assert self._connection is not None
        return self._connection

    async def close(self) -> None:
        """Wait for the statement or transaction at work, then close for good; later statements are refused."""
        async with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    def acquire_connection(self) -> Any:
        return _Held(self._lock, self)

    def _in_transaction(self) -> TransactionContext:
        return _Transacting(self)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        async with self._in_transaction() as conn:
            await conn.execute_many(query, values)


class SqliteTransaction(_Statements, SqliteTransactionWrapper):
    """The client's face inside one transaction; refuses to serve once that is over."""

    _run = staticmethod(_fetch_inside)

    async def connected(self) -> aiosqlite.Connection:
        if self._finalized:
            raise TransactionManagementError(
                "a statement came after the end of its transaction: a task was born inside a unit of work"
            )
        return self._connection

    def acquire_connection(self) -> Any:
        return _Held(self._lock, self)

    async def _visit(self, work: Callable[[sqlite3.Connection], None]) -> None:
        connection: Any = self._connection
        await connection._execute(work, connection._conn)

    async def begin(self) -> None:
        try:
            await self._visit(_begin)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Locked(exc) from exc
            raise OperationalError(exc) from exc

    async def commit(self) -> None:
        if self._finalized:
            raise TransactionManagementError("the transaction is over")
        self._finalized = True
        await self._visit(_commit)

    async def rollback(self) -> None:
        if self._finalized:
            raise TransactionManagementError("the transaction is over")
        self._finalized = True
        await self._connection.rollback()

    async def execute_script(self, query: str) -> None:
        raise TransactionManagementError("SQLite's executescript commits first: run the statements one by one")


class _Transacting(Transacting):
    """BEGIN IMMEDIATE … COMMIT; the lock goes back whatever fails, and the context variable is set only after BEGIN."""

    __slots__ = ("_parent",)

    def __init__(self, parent: SqliteDatabase) -> None:
        super().__init__()
        self._parent = parent
        self.client: SqliteTransaction

    async def __aenter__(self) -> SqliteTransaction:
        await self._parent._lock.acquire()
        connection: aiosqlite.Connection | None = None
        try:
            connection = await self._parent.connected()
            self.client = SqliteTransaction(self._parent)
            await self.client.begin()
        except BaseException:
            try:
                if connection is not None:
                    await connection.rollback()
            finally:
                self._parent._lock.release()
            raise
        self._entered()
        return self.client

    async def _give_back(self) -> None:
        self._parent._lock.release()


client_class = SqliteDatabase
"""The name by which tortoise finds the client of an engine."""


async def _write_ahead(connection: aiosqlite.Connection) -> None:
    """Switch to write-ahead logging, which stays with the file.

    The switch itself wants the file alone and is refused at once, busy timeout or not, while another process that opens
    the same new file holds a lock; so it is tried again for as long as that timeout.
    """
    tries = BUSY_TIMEOUT_MS // WAL_PAUSE_MS
    for left in range(tries, -1, -1):
        try:
            await connection.execute_fetchall("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if left == 0 or "locked" not in str(error):
                raise
            await asyncio.sleep(WAL_PAUSE_MS / 1000)
