"""The runtime: who may open which folder, readiness, and stopping in order."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from core import config as boot
from core import db, runtime
from core.config import Config, ConfigError
from core.kit import orm
from core.kit import supervisor as groups
from core.kit.scope import current
from core.runtime import CannotStart, open_runtime

POSTGRES = os.environ.get("PARLEY_TEST_DATABASE_URL", "")


@pytest.fixture
def embedded(tmp_path: Path) -> Config:
    return boot.load({"PARLEY_DATA_DIR": str(tmp_path / "data"), "XDG_RUNTIME_DIR": str(tmp_path)})


@pytest.fixture
def cluster(empty_database_url: str, redis_url: str, tmp_path: Path) -> Config:
    if not POSTGRES:
        pytest.skip("needs a PostgreSQL")
    return boot.load(
        {
            "PARLEY_DATA_DIR": str(tmp_path / "data"),
            "PARLEY_DATABASE_URL": empty_database_url,
            "PARLEY_REDIS_URL": redis_url,
            "PARLEY_SECRET_KEY": "k" * 32,
        }
    )


async def test_the_first_start_makes_everything_and_the_second_finds_it(embedded: Config) -> None:
    async with open_runtime(embedded, role="up") as first:
        assert first.migrated
        sealed = first.scope.sealer.seal("text")
        assert await orm.read("SELECT 1 AS one") == [{"one": 1}]
        assert await current().redis.ping()  # type: ignore[union-attr]
    async with open_runtime(embedded, role="up") as second:
        assert second.migrated == ()
        assert second.scope.sealer.open(sealed) == "text"
        assert second.scope.owner != first.scope.owner


async def test_a_second_server_on_one_folder_stops_with_one_sentence(embedded: Config) -> None:
    async with open_runtime(embedded, role="up") as first:
        with pytest.raises(CannotStart, match="already runs on") as refused:
            async with open_runtime(embedded, role="up"):
                pass
        assert "\n" not in str(refused.value)
        assert await first.scope.redis.ping()  # type: ignore[union-attr]


async def test_a_verb_beside_the_server_uses_its_redis_and_leaves_it_running(embedded: Config) -> None:
    async with open_runtime(embedded, role="up") as server:
        await server.scope.redis.set("mark", 1)  # type: ignore[union-attr]
        async with open_runtime(embedded, role="verb") as verb:
            assert await verb.scope.redis.get("mark") == b"1"  # type: ignore[union-attr]
        assert await server.scope.redis.ping()  # type: ignore[union-attr]


async def test_a_verb_alone_migrates_and_starts_no_redis(embedded: Config) -> None:
    async with open_runtime(embedded, role="verb") as verb:
        assert verb.migrated
        assert verb.scope.redis is None
    assert not (embedded.data_dir / "redis").exists()


async def test_verbs_that_start_together_migrate_once(embedded: Config) -> None:
    async def verb() -> int:
        async with open_runtime(embedded, role="verb") as opened:
            return len(opened.migrated)

    applied = await asyncio.gather(*(asyncio.create_task(verb()) for _ in range(8)))
    assert sorted(applied)[:-1] == [0] * 7
    assert max(applied) > 0


@pytest.mark.parametrize("role", ["web", "telegram", "discord", "worker"])
async def test_one_role_alone_demands_a_cluster(embedded: Config, role: str) -> None:
    with pytest.raises(ConfigError) as refused:
        async with open_runtime(embedded, role=role):
            pass
    assert refused.value.variable == "PARLEY_DATABASE_URL"


async def test_a_folder_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = boot.load({"PARLEY_DATA_DIR": str(tmp_path / "file" / "data")})
    with pytest.raises(CannotStart, match=r"PARLEY_DATA_DIR: .*Not a directory"):
        async with open_runtime(config, role="up"):
            pass


async def test_a_database_that_is_none_is_told_in_one_sentence(embedded: Config) -> None:
    embedded.data_dir.mkdir()
    (embedded.data_dir / "parley.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(CannotStart, match="PARLEY_DATA_DIR"):
        async with open_runtime(embedded, role="up"):
            pass


async def test_a_postgres_that_is_away_is_told_in_one_sentence() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        config = boot.load(
            {
                "PARLEY_DATABASE_URL": f"postgres://user:hidden@127.0.0.1:{unused.getsockname()[1]}/name",
                "PARLEY_REDIS_URL": "redis://127.0.0.1:1",
                "PARLEY_SECRET_KEY": "k" * 32,
            }
        )
        with pytest.raises(CannotStart, match=r"^PARLEY_DATABASE_URL: ") as refused:
            async with open_runtime(config, role="verb"):
                pass
    assert "hidden" not in str(refused.value)


async def test_doors_open_once_the_rooms_are_loaded(embedded: Config) -> None:
    loaded: list[str] = []

    async def load() -> None:
        assert not runtime.is_open()
        loaded.append("rooms")

    async with open_runtime(embedded, role="up") as opened:
        assert await runtime.not_ready_because() == "the process is starting"
        await opened.open_doors(load)
        assert loaded == ["rooms"]
        assert runtime.is_open()
        assert await runtime.not_ready_because() is None


async def test_a_redis_that_died_makes_the_process_unready(embedded: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_runtime(embedded, role="up") as opened:
        await opened.open_doors()

        async def refuse(*_: object, **__: object) -> bool:
            return False

        monkeypatch.setattr(runtime, "answers", refuse)
        assert await runtime.not_ready_because() == "Redis does not answer"


async def test_on_postgres_only_migrate_migrates_and_the_others_wait(cluster: Config) -> None:
    async with open_runtime(cluster, role="web") as web:
        assert web.migrated == ()
        reason = await runtime.not_ready_because()
        assert reason is not None
        assert "parley migrate" in reason
        opening = asyncio.create_task(web.open_doors())
        await asyncio.sleep(0.1)
        assert not runtime.is_open()
        await db.migrate(cluster.database_url)
        await asyncio.wait_for(opening, 10)
        assert await runtime.not_ready_because() is None


async def test_migrate_brings_postgres_up_to_date_without_redis(cluster: Config) -> None:
    async with open_runtime(cluster, role="migrate", redis=False) as opened:
        assert opened.migrated
        assert opened.scope.redis is None
    assert not cluster.data_dir.exists()


async def test_the_first_signal_refuses_new_work_and_lets_turns_end(embedded: Config) -> None:
    ended: list[str] = []

    async def turn() -> None:
        await asyncio.sleep(0.2)
        ended.append("turn")

    async def watcher() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("follower")

    async with open_runtime(embedded, role="up") as opened:
        opened.scope.supervisor.spawn("turn", turn(), group=groups.TURNS)
        opened.scope.supervisor.spawn("watcher", watcher(), group=groups.FOLLOWERS)
        with opened.signals():
            os.kill(os.getpid(), 2)
            await asyncio.wait_for(opened.until_stopped(), 5)
            assert opened.scope.draining
            assert await runtime.not_ready_because() == "the process is stopping"
            assert await opened.drain() == 0
    assert ended == ["follower", "turn"]


async def test_a_second_signal_ends_the_drain_and_turns_keep_what_they_have(embedded: Config) -> None:
    kept: list[object] = []

    async def turn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            kept.append(await orm.read("SELECT 1 AS one"))
            kept.append(await current().redis.ping())  # type: ignore[union-attr]

    async with open_runtime(embedded, role="up") as opened:
        opened.scope.supervisor.spawn("turn", turn(), group=groups.TURNS)
        await asyncio.sleep(0)
        opened.stop()
        asyncio.get_running_loop().call_later(0.05, opened.stop)
        assert await asyncio.wait_for(opened.drain(60), 5) == 1
    assert kept == [[{"one": 1}], True]


async def test_a_failure_inside_closes_everything_and_comes_out(embedded: Config) -> None:
    with pytest.raises(RuntimeError, match="inside"):
        async with open_runtime(embedded, role="up"):
            raise RuntimeError("inside")
    async with open_runtime(embedded, role="up"):
        pass
    with pytest.raises(RuntimeError, match="no scope"):
        current()
