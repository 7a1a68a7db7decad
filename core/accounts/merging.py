"""Merging as far as this room goes: who survives, and what moves to them. `core.care` does the rest."""

from __future__ import annotations

from datetime import timedelta

from core import audit
from core.accounts import linking, rules, store
from core.accounts.types import Account, Link
from core.kit import changes
from core.kit.errors import Conflict
from core.kit.ids import AccountId
from core.kit.orm import Work
from core.kit.scope import current

LATELY = timedelta(minutes=1)
"""Longer than any process can take to hear of a merge."""


async def merged_lately() -> list[tuple[AccountId, AccountId]]:
    """Accounts merged a few minutes ago at most, each with the one that lives on."""
    return await store.merged_since(current().clock.now() - LATELY)


async def pair_up(work: Work, link: Link) -> tuple[Account, Account]:
    """Who survives and who is merged into them; nobody else changes either until the work ends.

    Raises Conflict `link_account_gone` when one of them is not active any more, `link_two_logins` when both have a
    log-in name.
    """
    assert link.agreed
    assert link.claimant is not None
    # In id order, so that two merges that share an account wait for each other and not in a circle.
    pair = [await store.lock_account(work, id) for id in sorted((link.issuer, link.claimant))]
    first, second = pair
    if first is None or second is None or first.state != "active" or second.state != "active":
        raise Conflict("link_account_gone")
    return rules.survivor(first, second)


async def absorb(work: Work, link: Link, *, survivor: Account, loser: Account) -> Link:
    """Move log-in, identities, API keys and web sessions, retire the loser, and mark the request as done.

    After what else moves, since a changed log-in name locks harder than the rest; before money.
    """
    await store.move_belongings(work, survivor.id, loser.id)
    await store.absorb(work, survivor.id, loser.id)
    await audit.write(
        work, survivor.id, "account.merged", survivor.id, before={"loser": loser.id}, after={"link": link.id}
    )
    done = await linking.finish(work, link.id)
    for id in (survivor.id, loser.id):
        await changes.record(work, "account", id)
    await changes.record(work, "api_key")
    return done
