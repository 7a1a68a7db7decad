"""Each check finds the one thing it is for, and nothing in a healthy house.

A small world is written with plain rows: one conversation with a question and an answer, its done turn and a settled
hold. Every case then breaks one thing in it by SQL, as a bug would.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.accounts.tables import AccountRow, ApiKeyRow
from core.billing import Reason, credit
from core.catalog.tables import ModelRow
from core.channels.tables import ChannelKeyRow, ChannelRow
from core.conversations.tables import ConversationRow, MessageRow
from core.kit.ids import AccountId
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope
from core.reports import CHECKS, run
from core.turns.tables import DeliveryRow, TurnRow
from tests.core.billing.builders import capture, hold
from tests.fakes.clock import FakeClock

ME = AccountId("acc_0000000000000000000000000a")
HOUR = timedelta(hours=1)


@pytest.fixture
async def world(house: Scope) -> Scope:
    now = house.clock.now()
    await AccountRow.create(id=ME, created_at=now, password_hash="$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA")
    await ApiKeyRow.create(id="key_1", account_id=ME, token_hash="0f" * 32, hint="sk-parley-ab", created_at=now)
    await ModelRow.create(name="glm", charge="token", price_in="1", price_out="2", created_at=now)
    await ChannelRow.create(id="ch_1", name="one", vendor="openai-compatible", created_at=now)
    sealed = house.sealer.seal("sk-of-an-upstream-provider", "channel_key:chk_1")
    await ChannelKeyRow.create(id="chk_1", channel_id="ch_1", sealed=sealed, hint="sk-of", position=0)
    for conversation in ("conv_1", "conv_2"):
        await ConversationRow.create(
            id=conversation, account_id=ME, door="web", created_at=now, updated_at=now, head_id="msg_2"
        )
    await MessageRow.create(id="msg_1", conversation_id="conv_1", role="user", parts="[]", created_at=now)
    await MessageRow.create(
        id="msg_2",
        conversation_id="conv_1",
        parent_id="msg_1",
        role="assistant",
        parts="[]",
        turn_id="turn_1",
        created_at=now,
    )
    await MessageRow.create(id="msg_3", conversation_id="conv_2", role="user", parts="[]", created_at=now)
    await unit_of_work(lambda work: credit(work, ME, 1000, key="grant:1", reason=Reason.GRANT))
    held = await hold(ME, 100, "turn:turn_1", owner="turn_1", minutes=30)
    await capture(ME, held.id, 60)
    await TurnRow.create(
        id="turn_1",
        conversation_id="conv_1",
        account_id=ME,
        key="k1",
        door="web",
        state="done",
        request="{}",
        answer_id="msg_2",
        usage="{}",
        hold_id=held.id,
        created_at=now,
        ended_at=now,
    )
    await DeliveryRow.create(
        id="dlv_1", turn_id="turn_1", door="telegram", bot="1", place="{}", state="done", created_at=now
    )
    assert isinstance(house.clock, FakeClock)
    house.clock.jump(HOUR.total_seconds())
    return house


async def change(sql: str, *params: Any) -> None:
    async def body(work: Work) -> None:
        assert await work.change(sql, params) == 1

    await unit_of_work(body)


async def turn(house: Scope, state: str, **more: Any) -> None:
    await TurnRow.create(
        **{
            "id": "turn_2",
            "conversation_id": "conv_2",
            "account_id": ME,
            "key": "k2",
            "door": "web",
            "state": state,
            "request": "{}",
            "created_at": house.clock.now() - HOUR,
            **more,
        }
    )


async def broken() -> list[str]:
    return [violation.check for violation in await run()]


@pytest.mark.usefixtures("house")
async def test_an_empty_house_is_well() -> None:
    assert await run() == []


@pytest.mark.usefixtures("world")
async def test_a_used_house_is_well() -> None:
    assert await run() == []


@pytest.mark.parametrize(
    ("sql", "check"),
    [
        ("UPDATE pot SET balance = balance + 1", "balance_is_the_sum_of_entries"),
        ("UPDATE ledger_entry SET amount = amount + 1 WHERE key = 'grant:1'", "balance_is_the_sum_of_entries"),
        ("UPDATE pot SET held = held + 1", "held_is_the_sum_of_open_legs"),
        ("UPDATE hold_leg SET spent = 59", "a_leg_that_spent_has_its_entry"),
        ("UPDATE hold SET state = 'released'", "a_leg_that_spent_has_its_entry"),
        ("UPDATE turn SET answer_id = NULL", "a_done_turn_has_answer_and_usage"),
        ("UPDATE turn SET usage = NULL", "a_done_turn_has_answer_and_usage"),
        ("UPDATE message SET parent_id = 'msg_3' WHERE id = 'msg_2'", "a_message_has_its_parent_in_its_conversation"),
        ("UPDATE message SET parent_id = 'msg_9' WHERE id = 'msg_1'", "a_message_has_its_parent_in_its_conversation"),
        ("UPDATE message SET state = 'streaming' WHERE id = 'msg_2'", "an_ended_turn_leaves_no_streaming_answer"),
        ("UPDATE model SET price_out = NULL", "a_model_charged_by_token_has_prices"),
        ("UPDATE model SET charge = 'unpriced'", "an_enabled_model_is_priced_or_free"),
        ("UPDATE channel_key SET sealed = 'sk-of-an-upstream-provider'", "no_secret_can_be_read"),
        ("UPDATE account SET password_hash = 'swordfish'", "no_secret_can_be_read"),
        ("UPDATE api_key SET token_hash = 'sk-parley-abc'", "no_secret_can_be_read"),
    ],
)
@pytest.mark.usefixtures("world")
async def test_what_is_broken_is_found(sql: str, check: str) -> None:
    await change(sql)
    assert await broken() == [check]


async def test_a_balance_below_its_floor_is_found(world: Scope) -> None:
    await change("UPDATE pot SET balance = balance - 1000")
    await change("UPDATE ledger_entry SET amount = 0 WHERE key = 'grant:1'")
    assert await broken() == ["available_is_above_the_floor"]
    await change("UPDATE pot SET floor = 60")
    assert await broken() == []
    assert world.clock.now()


async def test_a_hold_past_its_expiry_is_found(world: Scope) -> None:
    assert isinstance(world.clock, FakeClock)
    await hold(ME, 100, "turn:2", minutes=10)
    world.clock.jump(10 * 60 + 30)
    assert await broken() == []
    world.clock.jump(60)
    assert await broken() == ["no_hold_is_open_past_its_expiry"]


async def test_a_hold_that_outlives_its_turn_is_found(world: Scope) -> None:
    await hold(ME, 100, "turn:2", owner="turn_2", minutes=60)
    await turn(world, "failed", ended_at=world.clock.now() - HOUR)
    assert await broken() == ["no_hold_outlives_its_turn"]


async def test_a_running_turn_without_a_fresh_lease_is_found(world: Scope) -> None:
    assert isinstance(world.clock, FakeClock)
    await turn(world, "running", lease="l", lease_until=world.clock.now() + timedelta(seconds=30))
    assert await broken() == []
    world.clock.jump(91)
    assert await broken() == ["a_running_turn_has_a_fresh_lease"]


async def test_a_turn_that_waits_for_nothing_is_found(world: Scope) -> None:
    fresh = {"lease": "l", "lease_until": world.clock.now() + HOUR}
    await turn(world, "running", **fresh)
    await turn(world, "queued", id="turn_3", key="k3")
    assert await broken() == []
    await change("UPDATE turn SET state = 'failed', ended_at = $1 WHERE id = 'turn_2'", world.clock.now())
    assert await broken() == []
    assert isinstance(world.clock, FakeClock)
    world.clock.jump(61)
    assert await broken() == ["nothing_waits_where_nothing_runs"]


async def test_a_delivery_left_open_is_found_while_its_door_lives(world: Scope) -> None:
    await change("UPDATE delivery SET state = 'open'")
    assert await broken() == []
    now = world.clock.now()

    async def alive(work: Work) -> None:
        await work.change(
            "INSERT INTO owner (id, role, started_at, beat_at) VALUES ('own_1', 'telegram', $1, $2)", [now - HOUR, now]
        )

    await unit_of_work(alive)
    assert await broken() == ["a_delivery_ends_soon_after_its_turn"]


@pytest.mark.usefixtures("world")
async def test_checks_can_be_named() -> None:
    await change("UPDATE pot SET held = held + 1")
    (violation,) = await run(["held_is_the_sum_of_open_legs"])
    assert violation.subject == "pot_0000000000000000000000000a"
    assert violation.detail == "held 1, open legs 0"
    assert not violation.advice
    assert await run(["balance_is_the_sum_of_entries"]) == []
    assert len(CHECKS) >= 12
