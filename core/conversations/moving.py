"""Moving: what one account wrote becomes another's, when the two are merged."""

from __future__ import annotations

from core.kit.ids import AccountId
from core.kit.orm import Work


async def move(work: Work, loser: AccountId, survivor: AccountId) -> int:
    """Give the survivor every conversation of the loser, deleted ones too; how many.

    Bindings name conversations and follow them. Locks each conversation until the work ends.
    """
    return await work.change(
        "UPDATE conversation SET account_id = $1, version = version + 1 WHERE account_id = $2", [survivor, loser]
    )
