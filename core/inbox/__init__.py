"""The inbox of the bots: each platform event stored once before it is worked on."""

from core.inbox.store import done, failed, pending, prune, store
from core.inbox.types import InboxEvent

__all__ = ["InboxEvent", "done", "failed", "pending", "prune", "store"]
