"""The list of commands, declared once: Telegram's menu, Discord's slash tree and the help text come from here."""

from __future__ import annotations

from core.commands import account, conversations, models, money
from core.commands.replies import Fields, Paragraph, Reply
from core.commands.types import Command, CommandContext
from core.i18n import t


async def _help(arguments: str, context: CommandContext) -> Reply:
    rows = tuple((f"/{command.name}", t(command.caption_key, context.locale)) for command in COMMANDS)
    hint = "command.help.private" if context.private else "command.help.group"
    return Reply((Paragraph(t("command.help.intro", context.locale)), Fields(rows), Paragraph(t(hint, context.locale))))


COMMANDS: tuple[Command, ...] = (
    Command("start", "command.start.caption", account.start),
    Command("new", "command.new.caption", conversations.new),
    Command("model", "command.model.caption", models.model, "name", "command.model.argument"),
    Command("balance", "command.balance.caption", money.balance, private=True),
    Command("stop", "command.stop.caption", conversations.stop),
    Command("link", "command.link.caption", account.link, "code", "command.link.argument", private=True),
    Command("help", "command.help.caption", _help),
)
"""In the order of menus."""


def find(name: str) -> Command | None:
    """The command of this name, in any case of letters."""
    return next((command for command in COMMANDS if command.name == name.lower()), None)
