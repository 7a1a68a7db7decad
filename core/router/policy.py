"""The policy, pure: in which order routes are tried, what a fault leads to, how long to wait, what the caller is told.

The rules: siblings of a tier before the next tier; nothing is tried twice; a request that every provider would refuse
is not sent to another; after the first visible delta nobody else is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from core.adapters import Fault, UpstreamError
from core.channels import Candidate
from core.kit.errors import UpstreamFailed
from core.router.types import Waits

GRACE_S = 5.0
"""For usage and end sign once the reason of the end was told."""
WHOLE_TOKENS_PER_S = 30.0
"""A slow model's pace: what a whole answer of a known limit may take on top."""
WHOLE_TOKENS_FREE = 1_800
"""Tokens that such a model makes within the wait for the first content on the last route (60 s)."""


class Next(StrEnum):
    """What a failed attempt leads to."""

    KEY = "key"
    """This key is out; its channel may have others."""
    CHANNEL = "channel"
    """The whole channel is out: another key meets the same trouble."""
    STOP = "stop"
    """Nobody is asked any more: the request is at fault."""


_NEXT = {
    Fault.KEY_DEAD: Next.KEY,
    Fault.QUOTA: Next.KEY,
    Fault.RATE: Next.KEY,
    Fault.OVERLOADED: Next.CHANNEL,
    Fault.NETWORK: Next.CHANNEL,
    Fault.TIMEOUT: Next.CHANNEL,
    Fault.PROTOCOL: Next.CHANNEL,
    Fault.TRUNCATED: Next.CHANNEL,
    Fault.MODEL_GONE: Next.CHANNEL,
    Fault.CONTEXT: Next.STOP,
    Fault.FILTER: Next.STOP,
    Fault.CALLER: Next.STOP,
}

_TOLD: dict[Fault, tuple[str, int]] = {
    Fault.KEY_DEAD: ("upstream_unavailable", 503),
    Fault.QUOTA: ("upstream_unavailable", 503),
    Fault.MODEL_GONE: ("upstream_unavailable", 503),
    Fault.OVERLOADED: ("upstream_overloaded", 503),
    Fault.RATE: ("upstream_busy", 429),
    Fault.NETWORK: ("upstream_broken", 502),
    Fault.PROTOCOL: ("upstream_broken", 502),
    Fault.TRUNCATED: ("upstream_broken", 502),
    Fault.TIMEOUT: ("upstream_timeout", 504),
    Fault.CONTEXT: ("upstream_refused", 400),
    Fault.CALLER: ("upstream_refused", 400),
    Fault.FILTER: ("upstream_filtered", 400),
}


def order(candidates: Iterable[Candidate], chance: Callable[[], float]) -> list[Candidate]:
    """Tiers by falling priority; within one a weighted draw without replacement.

    `chance` gives numbers in [0, 1). Each candidate draws chance^(1/weight), the largest goes first: the method of
    Efraimidis and Spirakis, https://doi.org/10.1016/j.ipl.2005.11.003.
    """
    drawn = [(candidate.priority, (1.0 - chance()) ** (1.0 / candidate.weight), candidate) for candidate in candidates]
    return [candidate for _, _, candidate in sorted(drawn, key=lambda each: (-each[0], -each[1]))]


def after(fault: Fault) -> Next:
    """What a fault before the first visible delta leads to."""
    return _NEXT[fault]


def remaining(waiting: Sequence[Candidate], failed: Candidate, fault: Fault) -> list[Candidate]:
    """Who may still be asked, in the same order, after one who has left the line has failed."""
    match after(fault):
        case Next.KEY:
            return list(waiting)
        case Next.CHANNEL:
            return [candidate for candidate in waiting if candidate.channel != failed.channel]
        case Next.STOP:
            return []


def first_content_s(waits: Waits, *, others: bool, whole: bool, max_output: int | None) -> float:
    """How long to wait for the first content.

    An answer that comes in one piece shows nothing until it is done, and giving it up costs all of it: it gets the
    last route's time at once, and there more when the caller allows a long answer.
    """
    if not whole:
        return waits.first if others else waits.first_last
    if others or max_output is None:
        return waits.first_last
    return waits.first_last + max(0, max_output - WHOLE_TOKENS_FREE) / WHOLE_TOKENS_PER_S


def failure(error: UpstreamError) -> UpstreamFailed:
    """What the caller is told of the last failure; the provider's own words only where the request is at fault."""
    code, status = _TOLD[error.fault]
    if code == "upstream_refused":
        reason = error.message or f"HTTP {error.status or 200}"
        told = UpstreamFailed(code, fault=error.fault.value, status=status, message=reason)
    else:
        told = UpstreamFailed(code, fault=error.fault.value, status=status, retry_after_s=error.retry_after_s)
    told.retryable = status >= 429
    return told
