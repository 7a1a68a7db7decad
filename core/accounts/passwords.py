"""Passwords: argon2id, one hash at a time in a process, each 19 MiB and off the event loop.

Parameters by https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html (m=19456, t=2, p=1).
"""

from __future__ import annotations

import asyncio
import functools
import secrets
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1

_hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)
# One thread is the limit: a lock would be given back when its holder is cancelled, while its thread still hashes.
_thread = ThreadPoolExecutor(1, thread_name_prefix="argon2")
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


async def hashed(password: str) -> str:
    """The text to keep: parameters, salt and hash."""
    return await asyncio.get_running_loop().run_in_executor(_thread, _hasher.hash, password)


async def matches(password: str, kept: str | None) -> bool:
    """Whether it is the password. Without a kept hash the answer is no, after the same work."""
    return await asyncio.get_running_loop().run_in_executor(_thread, _verify, password, kept)


def generated() -> str:
    """A password for a person to copy once: four groups of four, 79 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def _verify(password: str, kept: str | None) -> bool:
    try:
        return _hasher.verify(kept or _nobodys_hash(), password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
