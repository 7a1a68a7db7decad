"""PostgreSQL under the ORM: a bounded pool whose transactions give their connection back whatever fails.

tortoise-orm 1.1.9 loses a pool connection when BEGIN fails or is cancelled, and lets a task born inside a
transaction write through its connection later, when another transaction has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionContext
from tortoise.backends.base_postgres.client import translate_exceptions
from tortoise.exceptions import OperationalError, TransactionManagementError

from core.kit.errors import Unavailable
from core.kit.transacting import Transacting

POOL_MIN = 1
POOL_MAX = 10
CONNECT_S = 10.0
ACQUIRE_S = 30.0
"""How long a unit of work or a read waits for a free connection."""
STATEMENT_S = 30.0
"""How long one statement may take; it bounds what a caller that cannot be cancelled waits for."""


AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
"""Errors that say the server cannot be reached now; OSError includes every time-out."""


class _Plain(asyncpg.Connection):  # type: ignore[misc]
    """Gives back without asking the server to reset the session: one round trip less for each unit of work.

    An open transaction is still rolled back. So nothing may change a session: SET LOCAL and transaction-level
    advisory locks, never SET, LISTEN or session-level locks.
    """

    __slots__ = ()

    def get_reset_query(self) -> str:
        return ""


class _Held:
    """A connection of the pool while it is ours."""

    __slots__ = ("_client", "_connection")

    def __init__(self, client: PostgresDatabase) -> None:
        self._client = client

    async def __aenter__(self) -> Any:
        self._connection = await self._client.take()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._client.give_back(self._connection)


class _OwnConnection:
    """The connection of a transaction while a statement of it runs: one at a time."""

    __slots__ = ("_client",)

    def __init__(self, client: PostgresTransaction) -> None:
        self._client = client

    async def __aenter__(self) -> Any:
        await self._client._lock.acquire()
        if self._client._finalized:
            self._client._lock.release()
            raise TransactionManagementError(
                "a statement came after the end of its transaction: a task was born inside a unit of work"
            )
        return self._client._connection

    async def __aexit__(self, *_: object) -> None:
        self._client._lock.release()


class _Statements(AsyncpgDBClient):
    """What the pool and a transaction answer alike."""

    async def _translate_exceptions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._translate_exceptions(func, *args, **kwargs)
        except AWAY as exc:
            raise Unavailable("database_unavailable", retry_after_s=1) from exc
        except asyncpg.InterfaceError as exc:
            # The same class tells of our own mistakes, such as a wrong number of parameters.
            if not str(exc).endswith(("connection is closed", "connection has been released back to the pool")):
                raise
            raise Unavailable("database_unavailable", retry_after_s=1) from exc
        except asyncpg.InternalClientError as exc:
            # The server ended the session just as a statement began: asyncpg meets its farewell in the middle of that.
            # Two statements at once would say the same, but our locks admit one at a time.
            if not str(exc).startswith("cannot switch to state"):
                raise
            raise Unavailable("database_unavailable", retry_after_s=1) from exc

    @translate_exceptions
    async def execute_count(self, query: str, values: Sequence[Any] | None = None) -> int:
        """The number of rows the statement inserted, changed or deleted."""
        async with self.acquire_connection() as connection:
            status: str = await connection.execute(query, *(values or ()))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0


class PostgresDatabase(_Statements):
    """The pool of a process."""

    def __init__(self, dsn: str, *, statement_s: float | None = STATEMENT_S, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dsn = dsn
        self._statement_s = statement_s
        self._closed = False

    async def create_connection(self, with_db: bool) -> None:
        if self._closed:
            raise OperationalError("the database is closed")
        self._pool = await asyncpg.create_pool(
            self._dsn,
            connection_class=_Plain,
            min_size=POOL_MIN,
            max_size=POOL_MAX,
            timeout=CONNECT_S,
            command_timeout=self._statement_s,
            server_settings={"application_name": "parley"},
        )
        await self._post_connect()

    async def take(self) -> Any:
        """A connection of the pool, which is opened at its first use.

        Raises Unavailable when the server cannot be reached or no connection comes free in time.
        """
        try:
            if self._pool is None:
                async with self._pool_init_lock:
                    if self._pool is None:
                        await self.create_connection(with_db=True)
            assert self._pool is not None
            async with asyncio.timeout(ACQUIRE_S):
                return await self._pool.acquire()
        except AWAY as exc:
            raise Unavailable("database_unavailable", retry_after_s=1) from exc

    async def give_back(self, connection: Any) -> None:
        """Return a connection; asyncpg resets it and finishes this even when the caller is cancelled."""
        if self._pool is not None:
            await self._pool.release(connection)

    async def close(self) -> None:
        """Wait up to ten seconds for what is at work, then close for good; later statements are refused."""
        self._closed = True
        await self._close()

    def acquire_connection(self) -> Any:
        return _Held(self)

    def _in_transaction(self) -> TransactionContext:
        return _Transacting(self)

    async def execute_many(self, query: str, values: list[Any]) -> None:
        async with self._in_transaction() as conn:
            await conn.execute_many(query, values)


class PostgresTransaction(_Statements, TransactionWrapper):
    """The client's face inside one transaction; refuses to serve once that is over."""

    def acquire_connection(self) -> Any:
        return _OwnConnection(self)

    async def _end(self, *, kept: bool) -> None:
        transaction = self.transaction
        if transaction is None or self._finalized:
            raise TransactionManagementError("the transaction is over")
        self._finalized = True
        await (transaction.commit() if kept else transaction.rollback())

    async def commit(self) -> None:
        await self._end(kept=True)

    async def rollback(self) -> None:
        await self._end(kept=False)


class _Transacting(Transacting):
    """BEGIN … COMMIT on a connection of the pool; the context variable is set only after BEGIN."""

    __slots__ = ("_parent",)

    def __init__(self, parent: PostgresDatabase) -> None:
        super().__init__()
        self._parent = parent
        self.client: PostgresTransaction

    async def __aenter__(self) -> PostgresTransaction:
        connection = await self._parent.take()
        try:
            self.client = PostgresTransaction(self._parent)
            self.client._connection = connection
            await self.client.begin()
        except BaseException:
            await self._parent.give_back(connection)
            raise
        self._entered()
        return self.client

    async def _give_back(self) -> None:
        await self._parent.give_back(self.client._connection)


client_class = PostgresDatabase
"""The name by which tortoise finds the client of an engine."""
