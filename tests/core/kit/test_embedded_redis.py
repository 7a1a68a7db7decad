"""The Redis of our own: found, started, kept alive, ended with its parent, and never two on one folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.kit import embedded_redis
from core.kit.embedded_redis import EmbeddedRedis, NoRedis, find_server, ping, socket_path
from core.kit.redis import close_redis, open_redis

ROOT = Path(__file__).resolve().parents[3]

PARENT = """
import asyncio, sys
from pathlib import Path
from core.kit.embedded_redis import EmbeddedRedis

async def main():
    server = EmbeddedRedis(Path(sys.argv[1]), Path("/tmp"))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def started(folder: Path) -> AsyncIterator[EmbeddedRedis]:
    server = EmbeddedRedis(folder, Path("/tmp"))
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def until(true: object, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def fake_server(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


async def test_it_serves_on_a_socket_that_only_we_may_open(tmp_path: Path) -> None:
    async with started(tmp_path) as server:
        assert await ping(server.socket)
        assert server.socket.parent.stat().st_mode & 0o077 == 0
        client = open_redis(f"unix://{server.socket}")
        assert (await client.config_get("port"))["port"] == "0"
        await close_redis(client)
    assert not server.socket.parent.exists()


async def test_what_was_written_survives_a_restart(tmp_path: Path) -> None:
    for expected in (None, b"1"):
        async with started(tmp_path) as server:
            client = open_redis(f"unix://{server.socket}")
            assert await client.get("kept") == expected
            await client.set("kept", 1)
            await close_redis(client)


async def test_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    async with started(tmp_path) as server:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid != os.getsid(0)


async def test_one_that_dies_is_started_again_and_clients_go_on(tmp_path: Path) -> None:
    async with started(tmp_path) as server:
        watching = asyncio.create_task(server.watch())
        client = open_redis(f"unix://{server.socket}")
        await client.set("kept", 1)
        await asyncio.sleep(1.1)  # The append-only file is flushed each second.
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid not in (None, first))
        while not await ping(server.socket):
            await asyncio.sleep(0.01)
        assert await client.get("kept") == b"1"
        watching.cancel()
        await close_redis(client)


@pytest.mark.crash
async def test_it_ends_with_a_parent_that_is_killed_and_the_next_start_takes_over(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    async with started(tmp_path) as server:
        assert server.pid != child
        assert not alive(child)
        assert await ping(server.socket)


async def test_an_orphan_that_outlived_its_parent_is_ended_first(tmp_path: Path) -> None:
    async with started(tmp_path) as orphan:
        # A dead parent has let go of the lock; its child still has it.
        orphan._lock.release()
        began = time.monotonic()
        async with started(tmp_path) as server:
            assert await ping(server.socket)
            assert server.pid is not None
        assert orphan.pid is None
        assert time.monotonic() - began < 5


async def test_a_file_it_cannot_read_is_told_in_one_sentence(tmp_path: Path) -> None:
    async with started(tmp_path):
        pass
    for part in (tmp_path / "redis").rglob("*.aof"):
        part.write_bytes(b"*3\r\n$3\r\nSET\r\nnonsense\r\n" * 3)
    with pytest.raises(NoRedis, match=r"redis\.log"):
        async with started(tmp_path):
            pass


def test_a_socket_path_is_short_enough_and_differs_by_folder(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    short = socket_path(tmp_path, Path("/tmp"))
    assert short.parent.name.startswith(f"parley-{os.getuid()}-")
    assert short != socket_path(long, Path("/tmp"))
    assert socket_path(tmp_path, long).parent.parent == Path("/tmp")
    assert socket_path(tmp_path, Path("/does/not/exist")).parent.parent == Path("/tmp")


async def test_a_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path, Path("/tmp"))
    server.socket.parent.mkdir(mode=0o755)
    try:
        with pytest.raises(NoRedis, match="this user alone"):
            await server.start()
    finally:
        server.socket.parent.rmdir()


def test_the_first_server_that_is_new_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis, "_installed", list)
    fake_server(tmp_path, "redis-server", "Redis server v=5.0.14 sha=00000000:0")
    fake_server(tmp_path, "valkey-server", "Valkey server v=8.1.0 sha=00000000:0")
    assert find_server(str(tmp_path)) == tmp_path / "valkey-server"


def test_without_any_server_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis, "_installed", list)
    fake_server(tmp_path, "redis-server", "Redis server v=5.0.14 sha=00000000:0")
    with pytest.raises(NoRedis, match=r"install Redis 6\.2.*redis-server is 5\.0"):
        find_server(str(tmp_path))


def test_the_packaged_server_is_found_where_there_is_none_on_path(tmp_path: Path) -> None:
    if not embedded_redis._installed():
        pytest.skip("no package with a Redis for this platform")
    assert find_server(str(tmp_path)) in embedded_redis._installed()
