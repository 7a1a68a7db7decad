"""Moving: what one account asked becomes another's, when the two are merged."""

from __future__ import annotations

from core.kit.ids import AccountId
from core.kit.orm import Work


async def move(work: Work, loser: AccountId, survivor: AccountId) -> int:
    """Let the survivor be who asked and pays for every turn of the loser, queued and running ones too; how many."""
    return await work.change("UPDATE turn SET account_id = $1 WHERE account_id = $2", [survivor, loser])
