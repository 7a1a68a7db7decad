"""Ids in order: queues and siblings go by id, and two ids of one millisecond would come in any order."""

from __future__ import annotations

from core.kit.ids import new_id

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id_after(prefix: str, last: str | None) -> str:
    """A fresh id that sorts after `last`, which has the same prefix; the next one to it when the clock is behind."""
    fresh = new_id(prefix)
    if last is None or fresh > last:
        return fresh
    head, _, digits = last.partition("_")
    number = 0
    for digit in digits:
        number = number << 5 | _ALPHABET.index(digit)
    number += 1
    return f"{head}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * len(digits) - 5, -1, -5))
