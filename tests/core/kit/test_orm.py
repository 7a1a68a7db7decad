"""Units of work: what cancellation, failure and other processes may not do to them, on the database under test.

A caller is cancelled at each of its first 25 turns on the event loop, the count at which tortoise's own transactions
were seen to lose a lock or a connection. What shows a loss is the next unit of work: it would wait for ever, so every
wait here is short.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from structlog.testing import capture_logs
from tortoise.exceptions import IntegrityError, TransactionManagementError
from tortoise.transactions import in_transaction

from core import db
from core.accounts.tables import AccountRow, SessionRow
from core.kit import orm
from core.kit.errors import Unavailable
from core.kit.orm import Work, in_unit_of_work, moment, read, unit_of_work
from core.settings.tables import SettingRow
from tests.databases import ADDRESS

NOW = datetime(2026, 11, 24, 6, 0, 0, 123456, tzinfo=UTC)
YIELDS = 25


async def put(key: str) -> None:
    await SettingRow.create(key=key, value="1", updated_at=NOW)


async def keys() -> set[str]:
    return {row["key"] for row in await read("SELECT key FROM setting")}


async def write(key: str) -> None:
    async def body(work: Work) -> None:
        await put(key)

    await asyncio.wait_for(unit_of_work(body), 5)


async def cancel_after(turns: int, work: Awaitable[Any]) -> bool:
    """Cancel the work after so many turns of the loop; whether it ended by that."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await asyncio.wait_for(task, 5)
    except asyncio.CancelledError:
        return True
    return False


def nothing_is_held(database: db.Database) -> bool:
    client: Any = database._client
    if database.dialect == "sqlite":
        return not client._lock.locked() and not client._connection.in_transaction
    return all(holder._in_use is None for holder in client._pool._holders)


async def settled(database: db.Database) -> bool:
    """asyncpg finishes a release in the background; it gets a moment."""
    for _ in range(200):
        if nothing_is_held(database):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_the_result_of_the_body_is_returned_and_its_rows_stand(database: db.Database) -> None:
    async def body(work: Work) -> int:
        assert in_unit_of_work()
        assert work.dialect == database.dialect == orm.dialect()
        await put("kept")
        return 7

    assert await unit_of_work(body) == 7
    assert not in_unit_of_work()
    assert await keys() == {"kept"}


async def test_a_failing_body_leaves_nothing_and_its_error_reaches_the_caller(database: db.Database) -> None:
    async def body(work: Work) -> None:
        await put("gone")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await unit_of_work(body)
    assert await keys() == set()
    assert await settled(database)


async def test_a_cancelled_caller_gets_its_cancellation_after_the_commit(database: db.Database) -> None:
    entered, leave, order = asyncio.Event(), asyncio.Event(), []

    async def body(work: Work) -> None:
        await put("kept")
        entered.set()
        await leave.wait()

        async def told() -> None:
            order.append("callback")

        work.after_commit(told)

    caller = asyncio.create_task(unit_of_work(body))
    await entered.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0.01)
        assert not caller.done()
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert order == ["callback"]
    assert await keys() == {"kept"}


async def test_a_failure_that_a_cancelled_caller_cannot_hear_is_logged(database: db.Database) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def body(work: Work) -> None:
        entered.set()
        await leave.wait()
        raise LookupError("a secret")

    with capture_logs() as logs:
        caller = asyncio.create_task(unit_of_work(body))
        await entered.wait()
        caller.cancel()
        leave.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
    (line,) = [line for line in logs if line["event"] == "shield.failure_unheard"]
    assert line["error"] == "LookupError"
    assert "secret" not in json.dumps(line)


async def test_a_caller_cancelled_at_any_yield_loses_neither_the_work_nor_the_lock(database: db.Database) -> None:
    for turns in range(1, YIELDS + 1):
        await cancel_after(turns, write(f"cancelled{turns}"))
        await write(f"after{turns}")
        assert await settled(database), f"held after a cancel at yield {turns}"
    # The first turn is the caller's own; from the second on the work had begun, and what has begun is finished.
    expected = {f"cancelled{turns}" for turns in range(3, YIELDS + 1)}
    assert expected <= await keys()


async def test_a_transaction_of_the_orm_itself_cancelled_at_any_yield_gives_back_what_it_took(
    database: db.Database,
) -> None:
    """`get_or_create` and the like open one in the caller's task, and a stopping loop cancels every task."""

    async def bare(key: str) -> None:
        async with in_transaction():
            await put(key)

    for turns in range(1, YIELDS + 1):
        await cancel_after(turns, bare(f"cancelled{turns}"))
        assert await settled(database), f"held after a cancel at yield {turns}"
        await write(f"after{turns}")
    assert {f"after{turns}" for turns in range(1, YIELDS + 1)} <= await keys()


async def test_a_read_cancelled_at_any_yield_gives_back_what_it_took(database: db.Database) -> None:
    for turns in range(1, YIELDS + 1):
        await cancel_after(turns, read("SELECT key FROM setting"))
        assert await settled(database), f"held after a cancel at yield {turns}"
    await write("after")


async def test_a_second_unit_of_work_inside_the_first_is_refused_at_once(database: db.Database) -> None:
    async def body(work: Work) -> None:
        await put("kept")
        with pytest.raises(RuntimeError, match="inside another"):
            await unit_of_work(body)

    await asyncio.wait_for(unit_of_work(body), 5)
    assert await keys() == {"kept"}


async def test_callbacks_run_in_order_after_the_commit_and_a_failing_one_stops_nothing(
    database: db.Database,
) -> None:
    seen: list[str] = []

    def callback(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            assert not in_unit_of_work()
            assert "kept" in await keys()
            seen.append(name)
            if name == "second":
                raise LookupError(name)
            await write(f"by {name}")

        return run

    async def body(work: Work) -> None:
        for name in ("first", "second", "third"):
            work.after_commit(callback(name))
        await put("kept")

    with capture_logs() as logs:
        await unit_of_work(body)
    assert seen == ["first", "second", "third"]
    assert await keys() == {"kept", "by first", "by third"}
    assert [line["event"] for line in logs] == ["work.after_commit_failed"]


async def test_callbacks_die_with_a_rolled_back_work(database: db.Database) -> None:
    async def never() -> None:
        raise AssertionError

    async def body(work: Work) -> None:
        work.after_commit(never)
        raise LookupError

    with pytest.raises(LookupError), capture_logs() as logs:
        await unit_of_work(body)
    assert logs == []


async def test_a_callback_that_hangs_is_given_up(database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orm, "CALLBACK_S", 0.05)

    async def body(work: Work) -> None:
        work.after_commit(asyncio.Event().wait)  # type: ignore[arg-type]

    with capture_logs() as logs:
        await asyncio.wait_for(unit_of_work(body), 5)
    assert [line["event"] for line in logs] == ["work.after_commit_failed"]


async def test_a_body_that_hangs_is_rolled_back(database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orm, "BODY_S", 0.05)

    async def body(work: Work) -> None:
        await put("gone")
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await unit_of_work(body)
    await write("after")
    assert await keys() == {"after"}


async def test_the_caller_never_sees_the_transaction_in_its_own_context(database: db.Database) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def body(work: Work) -> None:
        await put("gone")
        entered.set()
        await leave.wait()
        raise LookupError

    working = asyncio.create_task(unit_of_work(body))
    await entered.wait()
    before = contextvars.copy_context()
    leave.set()
    with pytest.raises(LookupError):
        await working
    await asyncio.create_task(write("beside"), context=before)
    assert await keys() == {"beside"}


async def test_a_task_born_inside_is_refused_after_the_end_and_can_begin_work_of_its_own(
    database: db.Database,
) -> None:
    over = asyncio.Event()

    async def stray() -> str:
        await over.wait()
        with pytest.raises(TransactionManagementError, match="born inside"):
            await put("stray")
        with pytest.raises(TransactionManagementError, match="born inside"):
            await read("SELECT 1 AS one")
        await write("own")
        return "refused"

    async def body(work: Work) -> asyncio.Task[str]:
        await put("kept")
        return asyncio.create_task(stray())

    task = await unit_of_work(body)

    async def rolled_back(work: Work) -> None:
        over.set()
        await put("gone")
        await asyncio.sleep(0.05)
        raise LookupError

    with pytest.raises(LookupError):
        await unit_of_work(rolled_back)
    assert await asyncio.wait_for(task, 5) == "refused"
    assert await keys() == {"kept", "own"}


async def test_work_at_the_same_time_is_kept_apart(database: db.Database) -> None:
    async def one(number: int) -> None:
        async def body(work: Work) -> None:
            await put(f"{number}")
            await asyncio.sleep(0)
            if number % 3 == 0:
                raise LookupError

        await unit_of_work(body)

    outcomes = await asyncio.gather(*(one(number) for number in range(30)), return_exceptions=True)
    assert sum(isinstance(outcome, LookupError) for outcome in outcomes) == 10
    assert await keys() == {f"{number}" for number in range(30) if number % 3}


async def test_read_then_write_from_many_tasks_loses_no_update(database: db.Database) -> None:
    """The first statement is a guarded UPDATE, the lock that works alike on both databases."""
    await put("counter")

    async def raise_it(work: Work) -> None:
        assert await work.change("UPDATE setting SET updated_at = updated_at WHERE key = $1", ["counter"]) == 1
        (row,) = await work.execute("SELECT value FROM setting WHERE key = $1", ["counter"])
        await work.execute("UPDATE setting SET value = $1 WHERE key = $2", [str(int(row["value"]) + 1), "counter"])

    await asyncio.gather(*(unit_of_work(raise_it) for _ in range(20)))
    assert await read("SELECT value FROM setting") == [{"value": "21"}]


async def test_a_failed_begin_gives_back_what_it_took(database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.kit import asyncpg_backend, sqlite_backend

    transaction: Any = (
        sqlite_backend.SqliteTransaction if database.dialect == "sqlite" else asyncpg_backend.PostgresTransaction
    )

    async def fail(self: Any) -> None:
        raise ConnectionResetError

    for _ in range(12):
        with monkeypatch.context() as patched:
            patched.setattr(transaction, "begin", fail)
            with pytest.raises(ConnectionResetError):
                await write("gone")
        assert await settled(database)
    await write("after")
    assert await keys() == {"after"}


async def test_a_failed_commit_leaves_nothing_behind(database: db.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that the database refuses: here a deferred key that never came."""
    account = "acc_nobody"
    deferred = (
        ["PRAGMA defer_foreign_keys = ON"]
        if database.dialect == "sqlite"
        else [
            'ALTER TABLE web_session ALTER CONSTRAINT "web_session_account_id_fkey" DEFERRABLE INITIALLY DEFERRED',
        ]
    )

    async def body(work: Work) -> None:
        for statement in deferred:
            await work.execute(statement)
        await SessionRow.create(
            id="ses_1", account_id=account, token_hash="h", created_at=NOW, seen_at=NOW, expires_at=NOW
        )

    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await unit_of_work(body)
    assert await settled(database)
    await write("after")
    assert await SessionRow.all().count() == 0


async def test_a_server_that_is_away_is_unavailable_and_works_again_when_it_is_back(database: db.Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a file is never away")
    client: Any = database._client
    dsn = client._dsn

    async def body(work: Work) -> None:
        (row,) = await work.execute("SELECT pg_backend_pid() AS pid")
        killer = await asyncpg.connect(dsn)
        try:
            await killer.execute("SELECT pg_terminate_backend($1)", row["pid"])
        finally:
            await killer.close()
        await work.execute("SELECT 1")

    with pytest.raises(Unavailable):
        await unit_of_work(body)
    await write("after")
    await client._pool.close()
    client._pool = None
    client._dsn = "postgres://127.0.0.1:1/nothing"
    with pytest.raises(Unavailable):
        await write("never")
    with pytest.raises(Unavailable):
        await read("SELECT 1")
    client._dsn = dsn
    assert await keys() == {"after"}


HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
held.execute("ROLLBACK")
print("free", flush=True)
sys.stdin.readline()
"""


async def test_another_process_that_holds_the_write_lock_too_long_costs_one_refusal_and_nothing_else(
    database: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("only SQLite has one write lock for all")
    await read("SELECT 1")
    client: Any = database._client
    await client._connection.execute_fetchall("PRAGMA busy_timeout = 50")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database.address.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Unavailable) as refusal:
            await write("gone")
        assert refusal.value.retryable
        assert nothing_is_held(database)
        assert await keys() == set()
        for turns in range(1, YIELDS + 1):
            assert await cancel_after(turns, bare_begin())
            assert nothing_is_held(database)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "free\n"
        await write("after")
        assert await keys() == {"after"}
    finally:
        holder.communicate("\n", timeout=10)


async def bare_begin() -> None:
    async with in_transaction():
        raise AssertionError("the lock was held by another process")


async def test_begin_takes_the_write_lock_at_once(database: db.Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("only SQLite has one write lock for all")

    async def body(work: Work) -> None:
        await read("SELECT key FROM setting")
        other = sqlite3.connect(str(database.address.path), timeout=0, isolation_level=None)
        try:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        finally:
            other.close()
        await put("kept")

    await unit_of_work(body)
    assert await keys() == {"kept"}


async def test_the_file_is_in_wal_mode_with_foreign_keys(database: db.Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("pragmas are SQLite's")
    found = [
        next(iter((await read(f"PRAGMA {name}"))[0].values()))
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    ]
    assert found == ["wal", 1, 1, 5000]


async def test_a_row_that_refers_to_nothing_is_refused(database: db.Database) -> None:
    with pytest.raises(IntegrityError):
        await SessionRow.create(
            id="ses_1", account_id="acc_0", token_hash="h", created_at=NOW, seen_at=NOW, expires_at=NOW
        )


async def test_parameters_are_written_once_for_both_databases(database: db.Database) -> None:
    async def body(work: Work) -> None:
        sql = "INSERT INTO setting (key, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING"
        assert await work.change(sql, ["a", "$1 is 'quoted'", NOW]) == 1
        assert await work.change(sql, ["a", "other", NOW]) == 0
        await work.execute_many(sql, [["b", "2", NOW], ["c", "3", NOW]])
        rows = await work.execute(
            "UPDATE setting SET value = $2 WHERE key = $1 OR value = $2 RETURNING key", ["b", "3"]
        )
        assert {row["key"] for row in rows} == {"b", "c"}
        assert await work.change("DELETE FROM setting WHERE key = $1 AND value <> 'a $1 in text'", ["c"]) == 1

    await unit_of_work(body)
    rows = await read("SELECT key, value FROM setting ORDER BY key")
    assert rows == [{"key": "a", "value": "$1 is 'quoted'"}, {"key": "b", "value": "3"}]


async def test_moments_come_back_aware_and_equal_from_rows_and_from_sql(database: db.Database) -> None:
    local = datetime(2026, 11, 24, 14, 0, 0, tzinfo=timezone(timedelta(hours=8)))
    await SettingRow.create(key="row", value="1", updated_at=local)
    row = await SettingRow.get(key="row")
    (raw,) = await read("SELECT updated_at FROM setting WHERE updated_at = $1", [local])
    (newest,) = await read("SELECT max(updated_at) AS newest FROM setting")

    async def body(work: Work) -> Any:
        return await work.execute("UPDATE setting SET value = '2' RETURNING updated_at")

    (returned,) = await unit_of_work(body)
    for found in (row.updated_at, raw["updated_at"], moment(newest["newest"]), moment(returned["updated_at"])):
        assert found == local
        assert found.utcoffset() == timedelta(0)


async def test_moments_sort_as_they_happened_whatever_their_fraction(database: db.Database) -> None:
    whole = NOW.replace(microsecond=0)
    for name, at in (
        ("whole", whole),
        ("later", whole + timedelta(microseconds=1)),
        ("soon", whole - timedelta(microseconds=1)),
    ):
        await SettingRow.create(key=name, value="1", updated_at=at)
    assert await SettingRow.filter(updated_at__lt=whole).values_list("key", flat=True) == ["soon"]
    rows = await read("SELECT key FROM setting WHERE updated_at <= $1 ORDER BY updated_at", [whole])
    assert [row["key"] for row in rows] == ["soon", "whole"]


async def test_a_naive_moment_is_refused_in_sql(database: db.Database) -> None:
    naive = NOW.replace(tzinfo=None)

    async def body(work: Work) -> None:
        await work.execute("INSERT INTO setting (key, value, updated_at) VALUES ('x', '1', $1)", [naive])

    with pytest.raises(ValueError, match="naive"):
        await unit_of_work(body)


async def test_large_numbers_and_any_text_survive(database: db.Database) -> None:
    text = "line\n'quoted' \"double\" 中文 🜁 $1 ? %s"
    await SettingRow.create(key="text", value=text, updated_at=NOW)
    assert (await SettingRow.get(key="text")).value == text

    async def body(work: Work) -> None:
        await work.execute("INSERT INTO change_version (id, number) VALUES (1, $1)", [2**62])

    await unit_of_work(body)
    assert await read("SELECT number FROM change_version") == [{"number": 2**62}]


async def test_an_update_counts_the_rows_it_changed(database: db.Database) -> None:
    await AccountRow.create(id="acc_1", created_at=NOW)
    assert await AccountRow.filter(id="acc_1", state="active").update(state="banned") == 1
    assert await AccountRow.filter(id="acc_1", state="active").update(state="banned") == 0
    assert (await AccountRow.get(id="acc_1")).must_change_password is False


async def test_a_collision_that_was_named_does_not_poison_the_work(database: db.Database) -> None:
    await put("there")

    async def body(work: Work) -> None:
        sql = "INSERT INTO setting (key, value, updated_at) VALUES ('there', '2', $1) ON CONFLICT DO NOTHING"
        assert await work.change(sql, [NOW]) == 0
        await put("kept")

    await unit_of_work(body)
    assert await keys() == {"there", "kept"}


async def test_two_databases_live_in_one_process(database: db.Database, second_database_url: str) -> None:
    second = await db.open_database(second_database_url)
    try:
        await write("in second")
        with database.bound():
            assert await keys() == set()
            await write("in first")
        assert await keys() == {"in second"}
        await asyncio.create_task(write("by a task"))
        assert await keys() == {"in second", "by a task"}
    finally:
        await second.close()
    database.bind()
    assert await keys() == {"in first"}


async def test_a_context_that_knows_no_database_can_be_given_one(database: db.Database) -> None:
    async def handler() -> set[str]:
        with pytest.raises(RuntimeError):
            await keys()
        with database.bound():
            await write("kept")
            return await keys()

    assert await asyncio.create_task(handler(), context=contextvars.Context()) == {"kept"}


async def test_a_closed_database_is_refused_and_not_opened_again(database: db.Database) -> None:
    await database.close()
    with pytest.raises(Exception, match="closed"):
        await keys()
    with pytest.raises(Exception, match="closed"):
        await write("never")


async def test_closing_waits_for_the_work_that_is_open(database: db.Database) -> None:
    entered, order = asyncio.Event(), []

    async def body(work: Work) -> None:
        entered.set()
        await asyncio.sleep(0.05)
        await put("kept")
        order.append("work")

    working = asyncio.create_task(unit_of_work(body))
    await entered.wait()
    await database.close()
    order.append("closed")
    await working
    assert order == ["work", "closed"]


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite://relative.db", "sqlite:///folder/", "mysql://host/name", "/path", "postgres"]
)
def test_an_address_that_is_none_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///absolute/path/of/a/file or postgres://"):
        db.Address.parse(url)


@pytest.mark.parametrize("name", ["plain.db", "with space.db", "100% ? # ünï.db"])
async def test_a_path_is_taken_literally(tmp_path: Path, name: str) -> None:
    if ADDRESS:
        pytest.skip("only SQLite's address is a path")
    opened = await db.open_database(f"sqlite://{tmp_path / name}")
    await opened.close()
    assert (tmp_path / name).exists()


async def test_a_file_that_is_no_database_fails_at_once_and_leaves_no_thread(tmp_path: Path) -> None:
    if ADDRESS:
        pytest.skip("only SQLite's address is a path")
    (tmp_path / "letter.db").write_text("Dear reader, " * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        await db.open_database(f"sqlite://{tmp_path / 'letter.db'}")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await db.open_database(f"sqlite://{tmp_path / 'absent' / 'parley.db'}")
    assert [thread for thread in threading.enumerate() if "connection_worker" in thread.name] == []
