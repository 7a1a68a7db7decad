"""Pacing: when the next write is welcome, given a platform's limits and its flood answers; pure.

A platform counts sends and edits in token buckets that we cannot see. `Pace` is our copy of one, kept a little
smaller than the platform's: final texts and replies may use all of it, live edits leave a reserve. An answer "429,
wait" blocks the whole pace until its time and stretches the live interval; quiet time relaxes it again. Seconds are of
any one monotonic clock. Values are frozen: every function returns the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

STRETCH = 1.5
"""How much slower live edits become with each flood answer."""
MARGIN_S = 0.3
"""Added to every wait a platform asks for: its clock and ours differ by the way of the packets."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The limits of one place, as configuration."""

    per_s: float
    """Writes that come back each second."""
    burst: float
    """Writes that may be made at once after a long silence."""
    live_s: float
    """Seconds between live edits when nothing is stretched."""
    live_max_s: float
    """The slowest that flood answers may make live edits."""
    reserve: float = 0.0
    """Writes that live edits leave for final texts and replies."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What was spent in one place, as of `at`."""

    rate: Rate
    level: float
    at: float
    live_s: float
    live_at: float = float("-inf")
    """When the last live edit was made."""
    blocked_until: float = float("-inf")


def fresh(rate: Rate, now: float, *, level: float | None = None) -> Pace:
    """A pace of which nothing is known yet; `level` below the burst where an earlier process may have spent some."""
    return Pace(rate, rate.burst if level is None else min(level, rate.burst), now, rate.live_s)


def final_wait(pace: Pace, now: float) -> float:
    """Seconds until a final text or a reply may be written; 0 is now."""
    return max(0.0, pace.blocked_until - now, _until(pace, now, 1.0))


def live_wait(pace: Pace, now: float, *, streams: int = 1) -> float:
    """Seconds until a live edit may be made, `streams` answers sharing the place."""
    interval = pace.live_at + pace.live_s * max(1, streams) - now
    return max(0.0, pace.blocked_until - now, interval, _until(pace, now, 1.0 + pace.rate.reserve))


def spent(pace: Pace, now: float, *, live: bool = False) -> Pace:
    """A write was made; each quiet one relaxes the live interval a little."""
    live_s = max(pace.rate.live_s, pace.live_s * 0.95) if live else pace.live_s
    level = _level(pace, now) - 1.0
    return replace(pace, level=level, at=now, live_s=live_s, live_at=now if live else pace.live_at)


def flooded(pace: Pace, now: float, retry_after_s: float) -> Pace:
    """The platform refused a write and named a wait, however long: nothing is written before it has passed."""
    until = max(pace.blocked_until, now + max(0.0, retry_after_s) + MARGIN_S)
    live_s = min(pace.rate.live_max_s, pace.live_s * STRETCH)
    return replace(pace, level=min(_level(pace, now), 0.0), at=now, blocked_until=until, live_s=live_s)


def _level(pace: Pace, now: float) -> float:
    return min(pace.rate.burst, pace.level + max(0.0, now - pace.at) * pace.rate.per_s)


def _until(pace: Pace, now: float, needed: float) -> float:
    return (min(needed, pace.rate.burst) - _level(pace, now)) / pace.rate.per_s
