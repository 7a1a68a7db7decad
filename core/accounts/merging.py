"""Merging as far as this room goes: who survives, and what moves to them. `core.care` does the rest."""

from __future__ import annotations

from core import audit
from core.accounts import rules, store
from core.accounts.types import Account, Link
from core.kit import changes
from core.kit.errors import Conflict
from core.kit.orm import Work


async def merge(work: Work, link: Link) -> tuple[Account, Account]:
    """Join the two accounts of an agreed request; who survived and who was merged into them, as they were before.

    Log-in, identities, API keys and web sessions move. Raises Conflict `link_account_gone` when one of them is not
    active any more, `link_two_logins` when both have a log-in name.
    """
    assert link.agreed
    assert link.claimant is not None
    # In id order, so that two merges that share an account wait for each other and not in a circle.
    pair = [await store.lock_account(work, id) for id in sorted((link.issuer, link.claimant))]
    first, second = pair
    if first is None or second is None or first.state != "active" or second.state != "active":
        raise Conflict("link_account_gone")
    survivor, loser = rules.survivor(first, second)
    await store.absorb(work, survivor.id, loser.id)
    await store.move_belongings(work, survivor.id, loser.id)
    await audit.write(
        work, survivor.id, "account.merged", survivor.id, before={"loser": loser.id}, after={"link": link.id}
    )
    for id in (survivor.id, loser.id):
        await changes.record(work, "account", id)
    await changes.record(work, "api_key")
    return survivor, loser
