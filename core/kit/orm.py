"""The database underfoot: the Table base, units of work and raw reads, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

import structlog
from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import require_context

T = TypeVar("T")
Dialect = Literal["sqlite", "postgres"]

log = structlog.get_logger(__name__)


class Table(Model):
    """The base of every row."""

    class Meta:
        abstract = True


class Work:
    """One open transaction, handed to the body of a unit of work."""

    def __init__(self, conn: BaseDBAsyncClient, dialect: Dialect) -> None:
        self.conn = conn
        self.dialect: Dialect = dialect
        self.money_used = False
        self.callbacks: list[Callable[[], Awaitable[None]]] = []
        self.open = True

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Run `callback` once the work is committed; never when it is rolled back."""
        self.callbacks.append(callback)


_work: contextvars.ContextVar[Work | None] = contextvars.ContextVar("parley_work", default=None)


def in_unit_of_work() -> bool:
    """Whether the caller runs inside the body of a unit of work."""
    work = _work.get()
    return work is not None and work.open


async def unit_of_work(body: Callable[[Work], Awaitable[T]]) -> T:
    """Run `body` in one transaction of its own: committed when it returns, rolled back when it raises."""
    assert not in_unit_of_work(), "a unit of work was begun inside another one"

    async def run() -> T:
        client = require_context().db()
        dialect: Dialect = "sqlite" if client.capabilities.dialect == "sqlite" else "postgres"
        async with client._in_transaction() as conn:
            work = Work(conn, dialect)
            token = _work.set(work)
            try:
                result = await body(work)
            finally:
                work.open = False
                _work.reset(token)
        for callback in work.callbacks:
            try:
                await callback()
            except Exception:
                log.exception("work.after_commit_failed")
        return result

    return await asyncio.shield(asyncio.ensure_future(run()))


async def read(sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of a query outside any unit of work."""
    return await require_context().db().execute_query_dict(sql, list(params))
