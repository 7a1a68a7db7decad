"""The life of the server as a person at a terminal sees it: it starts, Ctrl-C ends it, and nothing stays behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.kit.embedded_redis import socket_path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes standard input the terminal of the session, so that its Ctrl-C becomes a signal, as in a shell."""


class Server:
    """`parley up` in a terminal of its own, on a free port and an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket_path(folder, Path("/tmp"))
        self.seen = ""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        self.environment = {
            **inherited,
            "PARLEY_PORT": "0",
            "PARLEY_DATA_DIR": str(folder),
            "XDG_RUNTIME_DIR": "/tmp",
            "NO_COLOR": "1",
        }
        self.terminal, line = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, sys.executable, "parley.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdin=line,
            stdout=line,
            stderr=line,
            start_new_session=True,
        )
        os.close(line)

    def until(self, pattern: str) -> str:
        """Read the terminal until it shows the pattern; the first group."""
        until = time.monotonic() + PATIENCE_S
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < until, self.seen
            try:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                pytest.fail(f"it ended:\n{self.seen}")
        return found[1] if found.groups() else found[0]

    def ready(self) -> str:
        """Wait until it says that it is ready; its address."""
        return self.until(r"ready: (http://\S+)")

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(PATIENCE_S)

    def redis_is_gone(self) -> bool:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            told = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
            if str(self.socket) not in told:
                return True
            time.sleep(0.05)
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path / "data")
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait()
        os.close(started.terminal)


def test_the_first_start_tells_address_and_password_and_ctrl_c_ends_it_cleanly(server: Server) -> None:
    address = server.ready()
    password = server.until(r"one-time password (\S+)")
    assert len(password) >= 12
    with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
        assert answer.status == 200
    os.write(server.terminal, b"\x03")
    assert server.ended() == 0
    assert server.redis_is_gone()
    assert not server.socket.parent.exists()


def test_sigterm_ends_it_cleanly(server: Server) -> None:
    server.ready()
    server.process.send_signal(signal.SIGTERM)
    assert server.ended() == 0
    assert server.redis_is_gone()


@pytest.mark.crash
def test_a_killed_server_leaves_no_redis_and_its_folder_opens_again(server: Server, tmp_path: Path) -> None:
    server.ready()
    server.process.kill()
    server.ended()
    assert server.redis_is_gone()
    again = Server(tmp_path / "data")
    try:
        again.ready()
        assert "one-time password" not in again.seen
        again.process.send_signal(signal.SIGTERM)
        assert again.ended() == 0
    finally:
        again.process.kill()
        again.process.wait()
        os.close(again.terminal)


def test_what_prevents_a_start_is_one_sentence_and_exit_code_1(server: Server) -> None:
    port = server.ready().rsplit(":", 1)[1]
    elsewhere = {"PARLEY_DATA_DIR": server.environment["PARLEY_DATA_DIR"] + "-other"}
    changes: dict[str, dict[str, str]] = {
        "already runs on": {},
        f"Port {port} on 127.0.0.1 is taken": {**elsewhere, "PARLEY_PORT": port},
        "PARLEY_PORT: ": {**elsewhere, "PARLEY_PORT": "http"},
        "PARLEY_DATABASE_URL: ": {**elsewhere, "PARLEY_REDIS_URL": "redis://127.0.0.1"},
    }
    for says, change in changes.items():
        second = subprocess.run(
            [sys.executable, "parley.py", "up"],
            cwd=ROOT,
            env={**server.environment, "PARLEY_LOG_LEVEL": "error", **change},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert second.returncode == 1
        assert second.stdout == ""
        [sentence] = second.stderr.splitlines()
        assert sentence.startswith("parley: ")
        assert says in sentence
    assert server.process.poll() is None
