"""Channels: the configured routes to providers, with their sealed keys and the models they serve.

Reading is from a snapshot in memory and never waits; `load` fills it once at the start of a process, the change feed
keeps it fresh. Which candidate answers a call is the router's business.
"""

from core.channels.service import (
    add,
    candidates,
    edit,
    ensure_demo,
    find,
    listing,
    load,
    pause,
    remove,
    resume,
    served,
    test,
    withheld,
)
from core.channels.types import Candidate, Channel, ChannelKey, ChannelModel, TestResult

__all__ = [
    "Candidate",
    "Channel",
    "ChannelKey",
    "ChannelModel",
    "TestResult",
    "add",
    "candidates",
    "edit",
    "ensure_demo",
    "find",
    "listing",
    "load",
    "pause",
    "remove",
    "resume",
    "served",
    "test",
    "withheld",
]
