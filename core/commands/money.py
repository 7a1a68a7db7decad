"""Commands about money: the balance."""

from __future__ import annotations

from core import billing
from core.commands.replies import Fields, Reply
from core.commands.types import CommandContext
from core.i18n import t
from core.kit.money import format_credits


async def balance(arguments: str, context: CommandContext) -> Reply:
    """What the account has, what running answers hold of it, what is left to spend; in credits."""
    found = await billing.balance(context.account.id)
    rows = [(t("command.balance.balance", context.locale), format_credits(found.balance))]
    if found.held:
        rows.append((t("command.balance.held", context.locale), format_credits(found.held)))
        rows.append((t("command.balance.available", context.locale), format_credits(found.available)))
    return Reply((Fields(tuple(rows)),), secret=True)
