"""The room's errors."""

from __future__ import annotations

from core.kit.errors import BadInput, Conflict, NotFound, TooMany, Unavailable


def turn_unknown() -> NotFound:
    """No such turn, or neither the asker nor the owner of the conversation asks."""
    return NotFound("turn_unknown")


def turn_running() -> Conflict:
    """The turn has not ended yet, so it can be neither retried nor continued."""
    return Conflict("turn_running")


def message_empty() -> BadInput:
    """A question without words and pictures."""
    return BadInput("message_empty", field="parts")


def parallel_limit(limit: int) -> TooMany:
    """The account has as many answers at work as it may."""
    return TooMany("turns_parallel", retry_after_s=5, limit=limit)


def queue_limit(limit: int) -> TooMany:
    """As many questions wait in this conversation as may."""
    return TooMany("turns_queued", retry_after_s=10, limit=limit)


def draining() -> Unavailable:
    """This process is about to end and begins nothing new."""
    return Unavailable("draining", retry_after_s=5)


class Moved(Exception):
    """The conversation is not what was prepared for: prepare again. Never leaves the room."""


class LeaseLost(Exception):
    """Another process ended this turn. Never leaves the room."""
