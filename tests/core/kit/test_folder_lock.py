"""The lock in a folder: one holder, gone with it, and a note from it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from core.kit.folder_lock import FolderLock, held, read_note

HOLD = """
import asyncio, sys
from pathlib import Path
from core.kit.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
assert asyncio.run(lock.acquire())
lock.note("me")
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    one, other = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    assert await one.acquire()
    one.note("first")
    assert read_note(tmp_path / "lock") == "first"
    assert not await other.acquire(wait_s=0.05)
    asyncio.get_running_loop().call_later(0.05, one.release)
    assert await other.acquire(wait_s=2)
    other.release()
    assert read_note(tmp_path / "lock") is None


@pytest.mark.crash
async def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        cwd=Path(__file__).resolve().parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    async with held(tmp_path / "lock", wait_s=0) as got:
        assert not got
    assert read_note(tmp_path / "lock") == "me"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    async with held(tmp_path / "lock", wait_s=0) as got:
        assert got


def test_where_no_lock_ever_was_nobody_holds_it(tmp_path: Path) -> None:
    assert read_note(tmp_path / "lock") is None
