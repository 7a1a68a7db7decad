"""The chain of migrations on the database under test: from empty, complete, and safe against races and crashes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tortoise.exceptions import IntegrityError

from core import db
from core.kit import migrator
from core.kit.orm import read

ROOT = Path(__file__).resolve().parents[2]

PARTIAL = {
    "turn_one_running": "turn",
}
"""Unique indexes with a condition, by name, and their tables: raw SQL, lost when a migration rebuilds the table."""

UNIQUE = {
    "account": {("name",)},
    "api_key": {("token_hash",)},
    "channel": {("name",)},
    "channel_key": {("channel_id", "position")},
    "channel_model": {("channel_id", "model")},
    "delivered": {("door", "bot", "chat", "message")},
    "hold": {("key",)},
    "hold_leg": {("hold_id", "pot_id")},
    "identity": {("provider", "subject")},
    "inbox": {("platform", "bot", "event_id")},
    "ledger_entry": {("key", "pot_id")},
    "link": {("code_hash",)},
    "pot": {("owner", "kind")},
    "turn": {("key",)},
    "web_session": {("token_hash",)},
}
"""Uniqueness that the rooms rely on as the last judge of a race."""

PLAIN = {
    "api_key": {("account_id",)},
    "conversation": {("account_id", "updated_at")},
    "delivery": {("door", "bot", "state"), ("turn_id",)},
    "hold": {("state", "expires_at"), ("state", "owner")},
    "hold_leg": {("pot_id",)},
    "identity": {("account_id",)},
    "inbox": {("platform", "bot", "state", "id")},
    "ledger_entry": {("pot_id", "id"), ("account_id", "id")},
    "message": {("conversation_id", "id"), ("parent_id",)},
    "turn": {("conversation_id", "state", "id"), ("state", "lease_until"), ("account_id", "id")},
    "web_session": {("account_id",)},
}
"""Indexes without which a sweep or a page of a list reads the whole table."""


async def indexes(table: str, dialect: str) -> dict[str, tuple[tuple[str, ...], bool, bool]]:
    """By name: the columns in order, whether unique, whether conditional."""
    if dialect == "sqlite":
        found = {}
        for index in await read(f'PRAGMA index_list("{table}")'):
            columns = await read(f'PRAGMA index_info("{index["name"]}")')
            found[index["name"]] = (
                tuple(column["name"] for column in columns),
                bool(index["unique"]),
                bool(index["partial"]),
            )
        return found
    rows = await read(
        "SELECT c.relname AS name, i.indisunique AS single, i.indpred IS NOT NULL AS conditional,"
        " ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k(attnum, place)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.place) AS columns"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid"
        " WHERE t.relname = $1",
        [table],
    )
    return {row["name"]: (tuple(row["columns"]), row["single"], row["conditional"]) for row in rows}


async def test_from_empty_the_chain_makes_everything_and_a_second_run_nothing(empty_database_url: str) -> None:
    chain = migrator.chain(db.apps())
    assert chain[0] == "0001_initial"
    assert await db.pending(empty_database_url) == chain
    assert await db.migrate(empty_database_url) == chain
    assert await db.pending(empty_database_url) == []
    assert await db.migrate(empty_database_url) == []


async def test_the_chain_and_the_tables_agree(database_url: str) -> None:
    """When this fails: `.venv/bin/python scripts/new_migration.py NAME --reason "…"`, then clean the draft by hand."""
    assert [operation.describe() for operation in await db.proposed(database_url)] == []


async def test_numbers_of_migrations_are_one_row(database: db.Database) -> None:
    chain = migrator.chain(db.apps())
    assert [name[:5] for name in chain] == [f"{number:04d}_" for number in range(1, len(chain) + 1)]


async def test_every_migration_says_why() -> None:
    for name in migrator.chain(db.apps()):
        text = (ROOT / "core" / "migrations" / f"{name}.py").read_text(encoding="utf-8")
        assert text.startswith('"""'), name


async def test_every_expected_index_exists(database: db.Database) -> None:
    for table in sorted({*UNIQUE, *PLAIN, *PARTIAL.values()}):
        found = await indexes(table, database.dialect)
        unique = {columns for columns, single, conditional in found.values() if single and not conditional}
        every = {columns for columns, _, conditional in found.values() if not conditional}
        assert UNIQUE.get(table, set()) <= unique, table
        assert PLAIN.get(table, set()) <= every, table
        for name in (name for name, owner in PARTIAL.items() if owner == table):
            _, single, conditional = found[name]
            assert single, name
            assert conditional, name


async def test_a_conversation_has_one_running_turn_and_any_number_of_others(database: db.Database) -> None:
    from datetime import UTC, datetime

    from core.accounts.tables import AccountRow
    from core.conversations.tables import ConversationRow
    from core.turns.tables import TurnRow

    now = datetime(2026, 11, 24, tzinfo=UTC)
    await AccountRow.create(id="acc_1", created_at=now)
    await ConversationRow.create(id="conv_1", account_id="acc_1", door="web", created_at=now, updated_at=now)

    async def turn(name: str, state: str) -> None:
        await TurnRow.create(
            id=name,
            conversation_id="conv_1",
            account_id="acc_1",
            key=name,
            door="web",
            state=state,
            request="{}",
            created_at=now,
        )

    for number, state in enumerate(("running", "queued", "queued", "done", "done")):
        await turn(f"turn_{number}", state)
    with pytest.raises(IntegrityError):
        await turn("turn_9", "running")


async def test_processes_that_migrate_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    script = "import asyncio, sys; from core import db; print(len(asyncio.run(db.migrate(sys.argv[1]))))"
    runs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, empty_database_url, cwd=ROOT, stdout=-1, stderr=-1
        )
        for _ in range(3)
    ]
    counts = []
    for run in runs:
        out, err = await asyncio.wait_for(run.communicate(), 60)
        assert run.returncode == 0, err.decode()
        counts.append(int(out.split()[-1]))
    assert sum(counts) == len(migrator.chain(db.apps()))
    assert await db.pending(empty_database_url) == []


async def test_a_crash_in_a_migration_leaves_nothing_of_it(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note that it was applied is the last statement; without it nothing may stand."""

    class Crash(Exception):
        pass

    async def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("tortoise.migrations.recorder.MigrationRecorder.record_applied", crash)
        with pytest.raises(Crash):
            await db.migrate(empty_database_url)
    assert await db.pending(empty_database_url) == migrator.chain(db.apps())
    assert await db.migrate(empty_database_url) != []


async def test_asking_what_is_pending_makes_no_file(tmp_path: Path) -> None:
    absent = tmp_path / "absent.db"
    assert await db.pending(f"sqlite://{absent}") == migrator.chain(db.apps())
    assert not absent.exists()


async def test_an_open_database_tells_what_is_pending(empty_database_url: str) -> None:
    opened = await db.open_database(empty_database_url)
    try:
        assert await opened.pending() == migrator.chain(db.apps())
        await db.migrate(empty_database_url)
        assert await opened.pending() == []
    finally:
        await opened.close()


def test_a_new_migration_is_not_drafted_when_nothing_changed() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/new_migration.py", "nothing", "--reason", "none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "nothing changed" in done.stdout
