"""Commands about the account: the greeting, and joining accounts by a one-time code."""

from __future__ import annotations

from core import accounts, care, settings
from core.accounts import Link, LinkState
from core.chat import Action, Verb
from core.commands.replies import Buttons, Paragraph, Reply, said
from core.commands.types import CommandContext
from core.i18n import t
from core.kit.ids import LinkId


async def start(arguments: str, context: CommandContext) -> Reply:
    """The greeting. The account exists by now: first contact made it."""
    return said(t("command.start.hello", context.locale, site=settings.get(settings.SITE_NAME)))


async def link(arguments: str, context: CommandContext) -> Reply:
    """Without a code: make one. With one: ask to be joined with whoever made it."""
    code = arguments.strip()
    if not code:
        made, secret = await accounts.start_link(context.account.id, context.label)
        text = t("command.link.code", context.locale, code=secret, minutes=10)
        return Reply((Paragraph(text),), watch=made.id, secret=True)
    claimed = await accounts.claim_link(code, context.account.id, context.label)
    return _question(claimed, claimed.issuer_label, context.locale)


async def link_news(id: LinkId, context: CommandContext) -> Reply | None:
    """What to tell this side of a link now; None while there is nothing new. Ends when `watch` is None."""
    link = await accounts.get_link(id, context.account.id)
    ours = link.issuer == context.account.id
    match link.state:
        case LinkState.CLAIMED if ours and not link.issuer_agreed:
            return _question(link, link.claimant_label or "?", context.locale)
        case LinkState.OPEN | LinkState.CLAIMED:
            return None
        case ended:
            return said(t(f"command.link.{ended}", context.locale))


async def agree(id: LinkId, context: CommandContext) -> Reply:
    """This side agrees; the second agreement joins the accounts."""
    link = await care.agree_link(id, context.account.id)
    if link.state is LinkState.DONE:
        return said(t("command.link.done", context.locale))
    return Reply((Paragraph(t("command.link.waiting", context.locale)),), watch=link.id)


async def refuse(id: LinkId, context: CommandContext) -> Reply:
    """This side does not want it; the code is used up."""
    await accounts.refuse_link(id, context.account.id)
    return said(t("command.link.refused", context.locale))


def _question(link: Link, other: str, locale: str) -> Reply:
    return Reply(
        (
            Paragraph(t("command.link.question", locale, other=other)),
            Buttons(
                (
                    (t("button.connect", locale), Action(Verb.LINK_ACCEPT, link.id)),
                    (t("button.refuse", locale), Action(Verb.LINK_REFUSE, link.id)),
                )
            ),
        ),
        watch=link.id,
        secret=True,
    )
