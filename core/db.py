"""The ORM's configuration: the list of tables, the address of the database, opening and migrating it.

Stands outside the layers: it names every room's tables, and rooms never import it.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext, _current_context

from core.kit import migrator
from core.kit.orm import Dialect

APP = "core"
"""The one ORM app; rows name each other as `core.<Row>`."""
TABLES = (
    "core.kit.changes",
    "core.settings.tables",
    "core.inbox.tables",
    "core.audit.tables",
    "core.accounts.tables",
    "core.catalog.tables",
    "core.channels.tables",
    "core.billing.tables",
    "core.conversations.tables",
    "core.turns.tables",
)
"""Every module with rows."""
MIGRATIONS = "core.migrations"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is.

    SQLite: `sqlite://` and an absolute path, taken literally (no escapes, no options). PostgreSQL: `postgres://` or
    `postgresql://` and whatever libpq's URIs allow.
    """

    url: str
    dialect: Dialect
    path: Path | None
    """The file, on SQLite."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ValueError with one sentence when it is neither."""
        if url.startswith("sqlite:///") and not url.endswith("/"):
            return cls(url, "sqlite", Path(url.removeprefix("sqlite://")))
        if url.startswith(("postgres://", "postgresql://")):
            return cls(url, "postgres", None)
        raise ValueError("it must be sqlite:///absolute/path/of/a/file or postgres://user:password@host/name")


class Database:
    """An opened database. Several may live in one process, if of one dialect: rows keep the SQL of the last opened."""

    def __init__(self, address: Address, context: TortoiseContext) -> None:
        self.address = address
        self.context = context
        self._client: BaseDBAsyncClient = context.db()

    @property
    def dialect(self) -> Dialect:
        return self.address.dialect

    def bind(self) -> contextvars.Token[Any]:
        """Make this the database of the caller's context, and of tasks that copy it from now on."""
        return _current_context.set(self.context)

    @contextlib.contextmanager
    def bound(self) -> Iterator[Database]:
        """The same within a `with` block: for handlers and tasks that run in a context of their own."""
        token = self.bind()
        try:
            yield self
        finally:
            _current_context.reset(token)

    async def pending(self) -> list[str]:
        """The names of the migrations that this code knows and the database has not seen, in order."""
        return await migrator.pending(self._client, apps())

    async def close(self) -> None:
        """Wait for what is at work, then close for good: later statements are refused, never reconnected."""
        await self._client.close()


async def open_database(url: str) -> Database:
    """Connect, and bind the database to the caller's context. The schema is not touched.

    Raises ValueError for an address that is none; the driver's error when it cannot connect.
    """
    database = await _open(url)
    database.bind()
    return database


async def migrate(url: str) -> list[str]:
    """Apply what is pending; the names applied, in order; none when the database is up to date.

    Safe when several processes do it at once: each migration is one transaction that looks again, under a lock, at
    what was applied. A crash leaves the database before or after a migration.
    """
    database = await _open(url, migrating=True)
    try:
        with database.bound():
            return await migrator.migrate(database._client, apps())
    finally:
        await database.close()


async def pending(url: str) -> list[str]:
    """Like `Database.pending`, without an opened one; a SQLite file that does not exist is not made."""
    address = Address.parse(url)
    if address.path is not None and not address.path.exists():
        return migrator.chain(apps())
    database = await _open(url)
    try:
        return await database.pending()
    finally:
        await database.close()


async def proposed(url: str) -> list[Any]:
    """The operations that would bring the chain of migrations up to the tables; empty when it is complete."""
    database = await _open(url)
    try:
        with database.bound():
            return await migrator.differences(database.context, apps())
    finally:
        await database.close()


def apps() -> dict[str, dict[str, Any]]:
    """The ORM's description of its one app."""
    return {APP: {"models": list(TABLES), "default_connection": "default", "migrations": MIGRATIONS}}


async def _open(url: str, *, migrating: bool = False) -> Database:
    address = Address.parse(url)
    credentials: dict[str, Any]
    if address.dialect == "sqlite":
        engine = "core.kit.sqlite_backend"
        # Rebuilding a table drops it for a moment, which foreign keys would refuse or follow; SQLite ignores the
        # switch inside a transaction. The migrator checks every key before it commits.
        credentials = {"file_path": str(address.path), "foreign_keys": not migrating}
    else:
        engine = "core.kit.asyncpg_backend"
        credentials = {"dsn": url}
        if migrating:
            credentials["statement_s"] = None
    context = TortoiseContext()
    token = _current_context.set(context)
    try:
        await context.init(
            {
                "connections": {"default": {"engine": engine, "credentials": credentials}},
                "apps": apps(),
                "use_tz": True,
                "timezone": "UTC",
            }
        )
        client = context.db()
        await client.create_connection(with_db=True)
    finally:
        _current_context.reset(token)
    return Database(address, context)
