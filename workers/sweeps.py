"""The sweeps: each repairs what a crash or a lost message left behind. All are safe to run at any time, anywhere."""

from __future__ import annotations

from typing import Any

import structlog

from core import billing, care, inbox, turns

log = structlog.get_logger()

Context = dict[Any, Any]
"""What ARQ hands to every function; nothing in it is ours: the scope is bound to the worker's task."""


async def sweep_turns(ctx: Context, *_args: Any, **_named: Any) -> None:
    """End turns whose lease ran out, promote queued ones that nobody promoted, tell ends never told."""
    await turns.sweep()


async def sweep_holds(ctx: Context, *_args: Any, **_named: Any) -> None:
    """Release what dead processes and expired calls still hold."""
    await billing.owners.sweep()


async def sweep_merges(ctx: Context, *_args: Any, **_named: Any) -> None:
    """Move what was written for an account while it was being merged."""
    await care.sweep()


async def prune_inbox(ctx: Context, *_args: Any, **_named: Any) -> None:
    """Forget platform events that were done long ago."""
    await inbox.prune()
