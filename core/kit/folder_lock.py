"""A lock in a folder: held by one process at most, gone with it however it ends, and saying who holds it.

`flock` on an open file: the kernel releases it with the last process that has it open, so nothing stale is left after
a kill. A child that inherits the file keeps the lock for as long as it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

POLL_S = 0.05


class FolderLock:
    """One lock; not held until `acquire` says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    async def acquire(self, *, wait_s: float = 0.0) -> bool:
        """Whether we hold it now; waits that long for another holder to let go."""
        assert self._handle is None, "already held"
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + wait_s
        try:
            while not _try(handle):
                if time.monotonic() >= until:
                    return False
                await asyncio.sleep(POLL_S)
            self._handle = handle
        finally:
            if self._handle is None:
                os.close(handle)
        return True

    @property
    def handle(self) -> int:
        """The open file, for a child that is to keep the lock while it lives."""
        assert self._handle is not None, "not held"
        return self._handle

    def note(self, text: str) -> None:
        """What `read_note` gives others while we hold the lock."""
        os.ftruncate(self.handle, 0)
        os.pwrite(self.handle, text.encode(), 0)

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def read_note(path: Path) -> str | None:
    """The holder's note; None when nobody holds the lock."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(handle, 4096, 0).decode(errors="replace")
        return None
    finally:
        os.close(handle)


@contextlib.asynccontextmanager
async def held(path: Path, *, wait_s: float) -> AsyncIterator[bool]:
    """Hold the lock for the length of the block; gives whether it was got in time."""
    lock = FolderLock(path)
    got = await lock.acquire(wait_s=wait_s)
    try:
        yield got
    finally:
        lock.release()


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
