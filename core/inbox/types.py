"""The noun of the inbox: one platform event as it came."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """An event that waits to be worked on."""

    id: int
    """Ours; later events have larger ones."""
    event_id: str
    """The platform's; unique by platform and bot."""
    payload: str
    """JSON as received."""
    tries: int
    """How often working on it has failed."""
