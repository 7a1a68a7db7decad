"""Deliveries: where an answer is being shown, written before and after each send, so a restart can finish it once.

A door that starts takes up every open delivery of its own. `sending` names the page whose send began: whether it
arrived is unknown, and the door decides by its platform's means.
"""

from __future__ import annotations

from core.kit.ids import DeliveryId, MessageId, TurnId
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current
from core.turns import store
from core.turns.types import Delivery


async def open_of(door: str, bot: str) -> list[Delivery]:
    """Every delivery of this bot that has not ended, oldest first."""
    return await store.open_deliveries(door, bot)


async def sending(id: DeliveryId, page: int | None) -> None:
    """The send of this page (0 is the first) begins now; None: it certainly did not arrive."""

    async def body(work: Work) -> None:
        await store.set_sending(work, id, page)

    await unit_of_work(body)


async def sent(id: DeliveryId, page: int, chat: str | int, message_id: str | int) -> None:
    """The page arrived as this message; replies to it find the turn. Repeating it is harmless."""

    async def body(work: Work) -> None:
        known = await store.delivery_sent(id)
        if known is None:
            return
        door, bot, messages = known
        messages += [""] * (page + 1 - len(messages))
        messages[page] = str(message_id)
        await store.set_sent(work, id, messages)
        await store.insert_delivered(work, id, door=door, bot=bot, chat=str(chat), message=str(message_id))

    await unit_of_work(body)


async def end(id: DeliveryId, ok: bool = True) -> None:
    """The answer stands where it belongs, or can never stand there. Repeating it is harmless."""
    now = current().clock.now()

    async def body(work: Work) -> None:
        await store.end_delivery(work, id, "done" if ok else "failed", now)

    await unit_of_work(body)


async def find(door: str, bot: str, chat: str | int, message_id: str | int) -> tuple[TurnId, MessageId] | None:
    """The turn and the answer that a platform message shows; None when it shows none of ours, or none yet."""
    found = await store.delivered(door, bot, str(chat), str(message_id))
    if found is None or found[1] is None:
        return None
    return found[0], found[1]
