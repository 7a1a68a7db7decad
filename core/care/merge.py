"""The merge: two accounts of one person become one, in one unit of work, when both sides have agreed."""

from __future__ import annotations

from core import accounts, billing, live
from core.accounts import Link, LinkState
from core.chat import BalanceChanged
from core.conversations import moving as conversations
from core.kit.ids import AccountId, LinkId
from core.kit.orm import Work, unit_of_work
from core.turns import moving as turns


async def agree_link(link_id: LinkId, by: AccountId) -> Link:
    """Say yes for one side of a link request; the second yes merges. The request as it stands afterwards.

    The account with the higher role survives, else the one with a log-in name, else the older one. Identities, web
    sessions, API keys, conversations with their bindings, turns and credits of the other move to it; a log-in name
    that only the other had moves too. Credits move by the entries `merge:{link id}:out` and `:in`.

    Idempotent by the request. A refused merge leaves this side unsaid, so that it can be said again. Raises NotFound;
    Conflict `link_unclaimed`, `link_refused`, `link_expired`, `link_account_gone`, `link_two_logins`, `link_debt`,
    and `link_busy` while an answer is being paid for.
    """

    async def body(work: Work) -> Link:
        link = await accounts.agree(work, link_id, by)
        if link.state is LinkState.DONE or not link.agreed:
            return link
        return await _merge(work, link)

    return await unit_of_work(body)


async def sweep() -> int:
    """Move what a process that had not heard of a merge still wrote for the merged account; how many things.

    For the regular sweep: a new conversation needs no lock on its account, so it can arrive after the move.
    """
    moved = 0
    for loser, survivor in await accounts.merged_lately():

        async def body(work: Work, loser: AccountId = loser, survivor: AccountId = survivor) -> int:
            return await conversations.move(work, loser, survivor) + await turns.move(work, loser, survivor)

        moved += await unit_of_work(body)
    return moved


async def _merge(work: Work, link: Link) -> Link:
    survivor, loser = await accounts.pair_up(work, link)
    await conversations.move(work, loser.id, survivor.id)
    await turns.move(work, loser.id, survivor.id)
    done = await accounts.absorb(work, link, survivor=survivor, loser=loser)
    await billing.post(work, [billing.ClosePot(loser.id, survivor.id, f"merge:{link.id}", reference=link.id)])

    async def tell() -> None:
        await live.tell(survivor.id, BalanceChanged())

    work.after_commit(tell)
    return done
