"""Commands about conversations: a new one, and stopping what runs."""

from __future__ import annotations

from core import conversations, turns
from core.commands.replies import Reply, said
from core.commands.types import CommandContext
from core.i18n import t
from core.kit.errors import AppError


async def new(arguments: str, context: CommandContext) -> Reply:
    """Take the place off its conversation: the next message begins another. The old one stays in the list."""
    await conversations.unbind(context.place)
    return said(t("command.new.done", context.locale))


async def stop(arguments: str, context: CommandContext) -> Reply:
    """Stop what this person may stop here: the turn replied to, else all of the place's conversation."""
    if context.turn is not None:
        await turns.cancel(context.turn, by=context.account.id)
        return said(t("command.stop.done", context.locale))
    bound = await conversations.bound(context.place)
    stopped = 0
    for turn in reversed(await turns.running(bound)) if bound is not None else ():
        try:
            await turns.cancel(turn.id, by=context.account.id)
        except AppError:  # somebody else's question in a shared conversation, or one that ended meanwhile
            continue
        stopped += 1
    return said(t("command.stop.done" if stopped else "command.stop.nothing", context.locale))
