"""The room's errors: what is not there, or not yours, is one and the same."""

from __future__ import annotations

from core.kit.errors import NotFound


def conversation_unknown() -> NotFound:
    """No such conversation, a deleted one, or another account's."""
    return NotFound("conversation_unknown")


def message_unknown() -> NotFound:
    """No such message in that conversation."""
    return NotFound("message_unknown")
