"""Two of everything at once: starts, stops, promotions, processes. One runs, the others wait, all get done."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from core import conversations, live, turns
from core.chat import Finished
from core.kit import scope
from core.kit.errors import TooMany
from core.kit.orm import read
from core.kit.redis import close_redis, open_redis
from core.live import RedisLog
from core.turns import TurnState
from tests.core.turns.conftest import (
    ALICE,
    BOB,
    Upstream,
    ask,
    check_books,
    give,
    latest,
    quiet,
    texts,
    until_end,
    until_text,
)


async def test_of_many_starts_at_once_one_runs_the_others_wait_in_order_and_all_get_done(
    house: scope.Scope, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.says("answer", gate)
    conversation = await conversations.create(ALICE, "web")
    begun = await asyncio.gather(*(turns.start(ask(f"q{n}", conversation=conversation.id)) for n in range(6)))
    assert sorted(turn.state for turn in begun).count(TurnState.RUNNING) == 1
    assert sorted(turn.position for turn in begun if turn.position) == [1, 2, 3, 4, 5]
    assert [turn.id for turn in await turns.running(conversation.id)] == [
        turn.id for turn in sorted(begun, key=lambda turn: turn.position or 0)
    ]
    gate.set()
    for turn in begun:
        assert isinstance((await until_end(turn))[-1], Finished)
    await quiet()
    in_order = [f"q{begun.index(turn)}" for turn in sorted(begun, key=lambda turn: turn.position or 0)]
    assert (await texts(conversation.id))[::2] == in_order
    assert len(await texts(conversation.id)) == 12
    await check_books()


async def test_more_than_may_wait_are_refused_and_leave_no_trace(house: scope.Scope, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.says("answer", gate)
    conversation = await conversations.create(ALICE, "web")
    results = await asyncio.gather(
        *(turns.start(ask(f"q{n}", conversation=conversation.id)) for n in range(12)), return_exceptions=True
    )
    begun = [result for result in results if isinstance(result, turns.Turn)]
    assert len(begun) == 6
    assert sum(isinstance(result, TooMany) for result in results) == 6
    gate.set()
    for turn in begun:
        await until_end(turn)
    await quiet()
    assert (await read("SELECT COUNT(*) AS number FROM turn"))[0]["number"] == 6
    await check_books()


async def test_starts_from_two_processes_meet_in_one_queue(
    house: scope.Scope, other: scope.Scope, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.says("answer", gate)
    conversation = await conversations.create(ALICE, "web")

    async def start(n: int) -> turns.Turn:
        with scope.bind(house if n % 2 else other):
            return await turns.start(ask(f"q{n}", conversation=conversation.id))

    begun = await asyncio.gather(*(asyncio.create_task(start(n)) for n in range(6)))
    assert [turn.state for turn in begun].count(TurnState.RUNNING) == 1
    gate.set()
    for turn in begun:
        assert isinstance((await until_end(turn))[-1], Finished)
    await quiet()
    assert len(await texts(conversation.id)) == 12
    await check_books()


async def test_a_question_that_arrives_while_one_ends_is_never_forgotten(
    house: scope.Scope, other: scope.Scope, upstream: Upstream
) -> None:
    for n in range(15):
        gate = asyncio.Event()
        upstream.scripts.clear()
        upstream.says("answer", gate)
        first = await turns.start(ask("one"))

        async def second(conversation: conversations.ConversationView, wait: float) -> turns.Turn:
            await asyncio.sleep(wait)
            with scope.bind(other):
                return await turns.start(ask("two", conversation=conversation.id))

        view = await conversations.get(first.conversation, ALICE)
        asking = asyncio.create_task(second(view, n / 2000))
        gate.set()
        upstream.says("answer")
        turn = await asking
        assert isinstance((await until_end(turn))[-1], Finished)
        assert isinstance((await until_end(first))[-1], Finished)
    await quiet()
    await check_books()


async def test_first_messages_in_a_place_share_one_conversation(house: scope.Scope, upstream: Upstream) -> None:
    upstream.says("answer", 0.02)
    await give(BOB, 10_000_000)
    place = conversations.place("telegram", "7", -5)
    target = turns.DeliveryTarget("telegram", "7", {"chat": -5})
    begun = await asyncio.gather(
        *(turns.start(ask(f"q{n}", account=(ALICE, BOB)[n % 2], place=place, delivery=target)) for n in range(4))
    )
    assert len({turn.conversation for turn in begun}) == 1
    for turn in begun:
        assert isinstance((await until_end(turn))[-1], Finished)
    await quiet()
    assert (await read("SELECT COUNT(*) AS number FROM conversation"))[0]["number"] == 1
    await check_books()


async def test_an_account_never_runs_more_than_it_may(
    house: scope.Scope, other: scope.Scope, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.says("answer", gate)

    async def start(n: int) -> turns.Turn:
        with scope.bind(house if n % 2 else other):
            return await turns.start(ask(f"q{n}"))

    results = await asyncio.gather(*(asyncio.create_task(start(n)) for n in range(10)), return_exceptions=True)
    assert sum(isinstance(result, turns.Turn) for result in results) == 3
    assert sum(isinstance(result, TooMany) for result in results) == 7
    gate.set()
    await quiet()
    assert await other.supervisor.drain(10) == 0
    await check_books()


async def test_one_key_pressed_many_times_is_one_turn(
    house: scope.Scope, other: scope.Scope, upstream: Upstream
) -> None:
    async def start(n: int) -> turns.Turn:
        with scope.bind(house if n % 2 else other):
            return await turns.start(ask("hi", "the same"))

    begun = await asyncio.gather(*(asyncio.create_task(start(n)) for n in range(8)))
    assert len({turn.id for turn in begun}) == 1
    await until_end(begun[0])
    assert len(upstream.calls) == 1
    assert len(await conversations.listing(ALICE)) == 1


async def test_a_waiting_turn_stopped_while_it_is_promoted_ends_once(house: scope.Scope, upstream: Upstream) -> None:
    for n in range(10):
        gate = asyncio.Event()
        upstream.scripts.clear()
        upstream.says("answer", gate)
        upstream.says("answer", asyncio.Event())
        first = await turns.start(ask("one"))
        second = await turns.start(ask("two", conversation=first.conversation))
        gate.set()
        await asyncio.sleep(n / 1000)
        await turns.cancel(second.id, by=ALICE)
        assert isinstance((await until_end(second))[-1], Finished)
        await quiet()
        assert (await latest(second)).state is TurnState.STOPPED
    await check_books()


async def test_deleting_while_questions_arrive_leaves_nothing_running(house: scope.Scope, upstream: Upstream) -> None:
    upstream.says("answer", 0.02)
    for _ in range(5):
        conversation = await conversations.create(ALICE, "web")
        results = await asyncio.gather(
            *(turns.start(ask("q", conversation=conversation.id)) for _ in range(3)),
            turns.delete_conversation(conversation.id, by=ALICE),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, turns.Turn):
                await until_end(result)
        await quiet()
        assert await turns.running(conversation.id) == []
    await check_books()


@pytest.mark.parametrize("number", range(5))
async def test_a_start_whose_caller_is_cancelled_still_runs_or_never_was(
    house: scope.Scope, upstream: Upstream, number: int
) -> None:
    starting = asyncio.create_task(turns.start(ask("hi", "key")))
    for _ in range(number * 7):
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    turn = await turns.start(ask("hi", "key"))
    assert isinstance((await until_end(turn))[-1], Finished)
    assert len(upstream.calls) == 1
    await quiet()
    await check_books()


async def test_over_redis_another_process_hears_the_words_and_stops_them_within_a_second(
    house: scope.Scope, other: scope.Scope, upstream: Upstream, redis_url: str
) -> None:
    prefix = f"test-{secrets.token_hex(4)}:"
    client = open_redis(redis_url)
    for process in (house, other):
        log = RedisLog(client, prefix)
        process._states[live._open] = log
        process.supervisor.spawn("live.subscription", log.run())
    upstream.says("once upon a time", asyncio.Event())
    turn = await turns.start(ask("a story"))

    async def elsewhere() -> float:
        with scope.bind(other):
            await until_text(turn, "once upon a time")
            loop = asyncio.get_running_loop()
            before = loop.time()
            await turns.cancel(turn.id, by=ALICE)
            assert isinstance((await until_end(turn))[-1], Finished)
            return loop.time() - before

    try:
        assert await asyncio.create_task(elsewhere()) < 1
        await quiet()
        await check_books()
    finally:
        for process in (house, other):
            await process.supervisor.cancel_all(timeout_s=5)
        for key in [key async for key in client.scan_iter(f"{prefix}*")]:
            await client.delete(key)
        await close_redis(client)
