"""The migrator: applies the chain of migrations, each in one transaction together with the note that it was applied.

tortoise-orm's own executor writes that note in a second transaction, so that a crash between the two leaves a schema
that no start can migrate, and two processes that start together apply the same migration twice. Its graph, states
and schema editors are used as they are. Every migration is atomic: both databases can roll back a change of schema.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from typing import Any

import structlog
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.graph import MigrationKey
from tortoise.migrations.migration import Migration
from tortoise.migrations.recorder import MigrationRecorder

from core.kit.sqlite_backend import Locked

TABLE = "tortoise_migrations"
ADVISORY_LOCK = 0x7061726C6579
"""The number under which migrating processes wait for each other on PostgreSQL ("parley" in ASCII)."""
WAIT_FOR_OTHERS_S = 120
"""How long one process waits while another migrates."""
LOCK_TIMEOUT_S = 10
"""How long a migration waits for a table that is in use; queueing longer would stop everyone behind it."""

log = structlog.get_logger(__name__)

Apps = dict[str, dict[str, Any]]


class _Silent(MigrationRecorder):
    """Answers the graph that nothing was applied, without asking the database."""

    def __init__(self) -> None:
        super().__init__(connection=None)

    async def applied_migrations(self) -> list[MigrationKey]:
        return []


async def migrate(client: BaseDBAsyncClient, apps: Apps) -> list[str]:
    """Apply every pending migration; their names in order. The client's database is bound to the context."""
    executor = MigrationExecutor(client, apps)
    # The graph asks what was applied; we ask in each transaction, and the client would wait for that transaction.
    executor.loader.recorder = _Silent()
    await executor.loader.build_graph()
    done: list[str] = []
    until = time.monotonic() + WAIT_FOR_OTHERS_S
    while True:
        try:
            name = await _apply_next(executor, client)
        except Locked:
            if time.monotonic() > until:
                raise
            continue
        if name is None:
            return done
        log.info("database.migrated", migration=name)
        done.append(name)


async def pending(client: BaseDBAsyncClient, apps: Apps) -> list[str]:
    """The names the database has not recorded, in order; all of them when it has no record at all."""
    recorded = await _recorded(client)
    return [name for name in chain(apps) if name not in recorded]


def chain(apps: Apps) -> list[str]:
    """The names of all migrations in order: one app, so their numbers order them."""
    names: list[str] = []
    for app in apps.values():
        package = importlib.import_module(app["migrations"])
        names += [found.name for found in pkgutil.iter_modules(package.__path__)]
    return sorted(names)


async def differences(context: TortoiseContext, apps: Apps) -> list[Any]:
    """The operations by which the tables differ from what the chain makes, in tortoise's own terms."""
    # Not at the top: only developers and their tests compare.
    from tortoise.migrations.autodetector import MigrationAutodetector

    assert context.apps is not None
    writers = await MigrationAutodetector(context.apps, apps).changes()
    return [operation for writer in writers for operation in writer.operations]


async def _apply_next(executor: MigrationExecutor, client: BaseDBAsyncClient) -> str | None:
    sqlite = client.capabilities.dialect == "sqlite"
    async with client._in_transaction() as conn:
        if not sqlite:
            await conn.execute_query(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHERS_S}s'")
            await conn.execute_query(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
            await conn.execute_query(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        recorded = await _recorded(conn)
        plan = executor._full_plan()
        key = next((key for key in plan if key.name not in recorded), None)
        if key is None:
            return None
        migration = executor.loader.graph.nodes[key]
        assert isinstance(migration, Migration)
        assert migration.atomic, f"{key.name} is not atomic"
        editor = executor._schema_editor(atomic=True)
        editor.client = conn
        recorder = MigrationRecorder(conn, table_name=TABLE)
        if not recorded:
            statement = editor._get_model_sql_data(recorder.model).table_sql
            await editor._run_sql(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
        state = await executor._project_state({MigrationKey(key.app_label, name) for name in recorded})
        await migration.apply(state, schema_editor=editor)
        if sqlite and await conn.execute_query_dict("PRAGMA foreign_key_check"):
            raise RuntimeError(f"{key.name} leaves rows that refer to nothing")
        await recorder.record_applied(key.app_label, key.name)
        return key.name


async def _recorded(conn: BaseDBAsyncClient) -> set[str]:
    known = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'tortoise_migrations'"
        if conn.capabilities.dialect == "sqlite"
        else "SELECT 1 WHERE to_regclass('tortoise_migrations') IS NOT NULL"
    )
    if not await conn.execute_query_dict(known):
        return set()
    return {row["name"] for row in await conn.execute_query_dict("SELECT name FROM tortoise_migrations")}
