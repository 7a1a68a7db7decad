"""Where an answer is being shown, and what is left to do after a crash."""

from __future__ import annotations

import pytest

from core import turns
from core.kit.ids import DeliveryId
from core.turns import deliveries
from tests.core.turns.conftest import Upstream, ask, until_end

pytestmark = pytest.mark.usefixtures("house")

TARGET = turns.DeliveryTarget("telegram", "7", {"chat": -100, "reply_to": 5, "locale": "zh-CN"})


async def delivered() -> tuple[turns.Turn, DeliveryId]:
    turn = await turns.start(ask("hi", door="telegram", delivery=TARGET))
    assert turn.delivery is not None
    await until_end(turn)
    return turn, turn.delivery


async def test_a_delivery_is_open_until_its_door_ends_it(upstream: Upstream) -> None:
    turn, delivery = await delivered()
    (known,) = await deliveries.open_of("telegram", "7")
    assert (known.id, known.turn, known.place, known.sent, known.sending) == (
        delivery,
        turn.id,
        TARGET.place,
        (),
        None,
    )
    assert await deliveries.open_of("telegram", "8") == []
    assert await deliveries.open_of("discord", "7") == []
    await deliveries.end(delivery)
    await deliveries.end(delivery, ok=False)
    assert await deliveries.open_of("telegram", "7") == []


async def test_a_page_under_way_is_known_until_it_arrived(upstream: Upstream) -> None:
    _, delivery = await delivered()
    await deliveries.sending(delivery, 0)
    assert (await deliveries.open_of("telegram", "7"))[0].sending == 0
    await deliveries.sent(delivery, 0, -100, 41)
    await deliveries.sending(delivery, 1)
    (known,) = await deliveries.open_of("telegram", "7")
    assert (known.sent, known.sending) == (("41",), 1)
    await deliveries.sent(delivery, 1, -100, 42)
    await deliveries.sent(delivery, 1, -100, 42)
    assert (await deliveries.open_of("telegram", "7"))[0].sent == ("41", "42")


async def test_a_reply_finds_the_answer_it_is_about(upstream: Upstream) -> None:
    turn, delivery = await delivered()
    await deliveries.sent(delivery, 0, -100, 41)
    assert await deliveries.find("telegram", "7", -100, "41") == (turn.id, turn.answer)
    assert await deliveries.find("telegram", "7", -101, 41) is None
    assert await deliveries.find("discord", "7", -100, 41) is None


async def test_a_turn_without_a_place_has_no_delivery(upstream: Upstream) -> None:
    assert (await turns.start(ask("hi"))).delivery is None
