"""Runs a command with a PostgreSQL and a Redis to test against: those of this machine, else private ones.

    .venv/bin/python .ci/services.py COMMAND…
The command finds them in PARLEY_TEST_DATABASE_URL and PARLEY_TEST_REDIS_URL; what is already set there is used as it
is. A server that listens on this machine gets a database of our own, dropped at the end. Where none listens, one is
started from the installed programs, and where these are missing Debian's packages are installed first; PostgreSQL
refuses to run as root, so it runs as somebody else. Nothing is skipped: what cannot be had ends this with exit code 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

POSTGRES_PORT, REDIS_PORT = 5432, 6379
REDIS_INDEX = 13
START_S = 60.0


def main(command: list[str]) -> int:
    """Services, then the command; its exit code."""
    with contextlib.ExitStack() as stack:
        database = os.environ.get("PARLEY_TEST_DATABASE_URL") or stack.enter_context(postgres())
        redis = os.environ.get("PARLEY_TEST_REDIS_URL") or stack.enter_context(redis_server())
        told = {**os.environ, "PARLEY_TEST_DATABASE_URL": database, "PARLEY_TEST_REDIS_URL": redis}
        return subprocess.run(command, env=told, check=False).returncode


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database whose owner may create others."""
    with contextlib.ExitStack() as stack:
        server = listening_postgres() or stack.enter_context(private_postgres())
        name = f"parley_ci_{os.getpid()}"
        asyncio.run(execute(f"{server}/postgres", f'CREATE DATABASE "{name}"'))
        try:
            yield f"{server}/{name}"
        finally:
            asyncio.run(execute(f"{server}/postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


def listening_postgres() -> str | None:
    """A server on the usual port that lets us create databases without a password."""
    for user in ("postgres", pwd.getpwuid(os.getuid()).pw_name):
        server = f"postgres://{user}@127.0.0.1:{POSTGRES_PORT}"
        try:
            allowed = asyncio.run(
                execute(f"{server}/postgres", "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = user")
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            continue
        if allowed:
            print(f"PostgreSQL: the one that listens on port {POSTGRES_PORT}", flush=True)
            return server
    return None


async def execute(url: str, statement: str) -> object:
    """Run one statement outside any transaction; the first value of a query."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(statement, timeout=60)
    finally:
        await connection.close()


@contextlib.contextmanager
def private_postgres() -> Iterator[str]:
    """A server of our own on a free port, in a folder that goes with it."""
    programs = postgres_programs()
    if programs is None:
        install("postgresql")
        programs = postgres_programs()
    if programs is None:
        sys.exit("services: no PostgreSQL programs, even after installing the package postgresql")
    folder = Path(tempfile.mkdtemp(prefix="parley-pg-"))
    as_user: list[str] = []
    if os.getuid() == 0:
        user = next((each.pw_name for each in pwd.getpwall() if each.pw_name == "postgres"), "nobody")
        shutil.chown(folder, user)
        as_user = ["runuser", "-u", user, "--"]
    port = free_port()
    data = folder / "data"
    subprocess.run(
        [*as_user, programs / "initdb", "-D", data, "-U", "parley", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off"}
    server = subprocess.Popen(
        [*as_user, programs / "postgres", "-D", data, *(f"-c{name}={value}" for name, value in options.items())],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
        cwd=folder,
    )
    try:
        wait_for(port, server, "PostgreSQL")
        print(f"PostgreSQL: a private one on port {port}", flush=True)
        yield f"postgres://parley@127.0.0.1:{port}"
    finally:
        end(server)
        shutil.rmtree(folder, ignore_errors=True)


def postgres_programs() -> Path | None:
    """The folder with initdb and postgres: newest first where Debian keeps them, else on PATH."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: -int(path.split("/")[4]))
    on_path = shutil.which("initdb")
    candidates = [Path(each) for each in found] + ([Path(on_path).resolve().parent] if on_path else [])
    return next((each for each in candidates if (each / "initdb").exists() and (each / "postgres").exists()), None)


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The address of a Redis; a listening one is used under an index of ours."""
    if answers_ping(REDIS_PORT):
        print(f"Redis: the one that listens on port {REDIS_PORT}", flush=True)
        yield f"redis://127.0.0.1:{REDIS_PORT}/{REDIS_INDEX}"
        return
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        install("redis-server")
        program = shutil.which("redis-server")
    if program is None:
        sys.exit("services: no redis-server, even after installing its package")
    with tempfile.TemporaryDirectory(prefix="parley-redis-") as folder:
        port = free_port()
        server = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(port, server, "Redis")
            print(f"Redis: a private one on port {port}", flush=True)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            end(server)


def answers_ping(port: int) -> bool:
    """Whether a Redis without a password listens there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def install(package: str) -> None:
    """A Debian package, without what it only recommends."""
    print(f"Installing {package}", flush=True)
    told = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], check=True, env=told, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", package],
        check=True,
        env=told,
        stdout=subprocess.DEVNULL,
    )


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, server: subprocess.Popen[bytes], name: str) -> None:
    """Until the port takes connections."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            sys.exit(f"services: {name} ended while it started (exit code {server.returncode})")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            time.sleep(0.3)
            return
        time.sleep(0.1)
    sys.exit(f"services: {name} did not listen within {START_S:.0f} s")


def end(server: subprocess.Popen[bytes]) -> None:
    """Ask it to end, insist after ten seconds."""
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
