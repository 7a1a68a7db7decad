"""What a user can ask besides talking, declared once for every door: a table of commands that answer with Reply blocks.

A door shows the blocks its own way; what a pressed button means comes back as an Action. Turn actions (retry,
continue, stop, show) are the turns room's and the door's own.
"""

from __future__ import annotations

from core.chat import Action, Verb
from core.commands import account, conversations, models
from core.commands.account import link_news
from core.commands.replies import Block, Buttons, Choices, Fields, Paragraph, Reply, said
from core.commands.table import COMMANDS, find
from core.commands.types import Command, CommandContext
from core.kit.errors import NotFound
from core.kit.ids import LinkId

__all__ = [
    "ANSWERED",
    "COMMANDS",
    "Block",
    "Buttons",
    "Choices",
    "Command",
    "CommandContext",
    "Fields",
    "Paragraph",
    "Reply",
    "act",
    "find",
    "link_news",
    "run",
    "said",
]

ANSWERED = frozenset({Verb.MODEL, Verb.NEW, Verb.LINK_ACCEPT, Verb.LINK_REFUSE})
"""The verbs that `act` answers."""


async def run(name: str, args: str, context: CommandContext) -> Reply:
    """Run a command; `args` are the words behind it. Raises NotFound("command_unknown") and what the handler raises."""
    command = find(name)
    if command is None:
        raise NotFound("command_unknown", name=name)
    return await command.handler(args, context)


async def act(action: Action, context: CommandContext) -> Reply:
    """Do what a button under a reply means; the verb is one of ANSWERED."""
    match action.verb:
        case Verb.MODEL:
            return await models.choose(action.target, context)
        case Verb.NEW:
            return await conversations.new("", context)
        case Verb.LINK_ACCEPT:
            return await account.agree(LinkId(action.target), context)
        case Verb.LINK_REFUSE:
            return await account.refuse(LinkId(action.target), context)
        case verb:
            raise ValueError(f"{verb} is not answered here")
