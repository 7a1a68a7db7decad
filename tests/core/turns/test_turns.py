"""The story of one answer through the whole room: ask, follow, branch, queue, stop, refuse."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from core import billing, conversations, live, turns
from core.chat import (
    Accepted,
    Action,
    BalanceChanged,
    ConversationChanged,
    Failed,
    Finish,
    Finished,
    FinishReason,
    ImagePart,
    Notice,
    ReasoningAdded,
    ReasoningDelta,
    ReasoningPart,
    Role,
    Snapshot,
    TextAdded,
    TextPart,
    ToolCallDelta,
    ToolUsed,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageDelta,
    Verb,
    wire,
)
from core.conversations import MessageState
from core.kit import scope
from core.kit.errors import BadInput, Conflict, NotAffordable, NotFound, TooMany, Unavailable
from core.kit.ids import MessageId, ModelName, TurnId, new_id
from core.kit.scope import Scope
from core.turns import TurnState
from core.turns import runner as running
from tests.core.turns.conftest import (
    ALICE,
    BOB,
    CREDITS,
    Upstream,
    answer,
    ask,
    check_books,
    holds,
    latest,
    quiet,
    said,
    texts,
    until_end,
    until_text,
)

pytestmark = pytest.mark.usefixtures("house")


async def test_a_question_is_answered_paid_and_kept(upstream: Upstream) -> None:
    upstream.says("Hel", "lo", UsageDelta(Usage(10, 5)))
    turn = await turns.start(ask("Good morning, how are you?"))
    assert turn.state is TurnState.RUNNING
    assert turn.position is None
    events = await until_end(turn)
    first, *_, last = events
    assert isinstance(first, Accepted)
    assert (first.user_message, first.answer, first.model) == (turn.user_message, turn.answer, "paid")
    assert first.held_micro > 0
    assert said(events) == "Hello"
    assert isinstance(last, Finished)
    assert last.reason is FinishReason.STOP
    assert last.usage == Usage(10, 5)
    assert last.offers == (Action(Verb.RETRY, turn.id),)
    await quiet()
    done = await latest(turn)
    assert (done.state, done.finish, done.usage) == (TurnState.DONE, FinishReason.STOP, Usage(10, 5))
    assert done.cost_micro == last.cost_micro > 0
    assert (await billing.balance(ALICE)).balance == CREDITS - done.cost_micro == last.balance_micro
    view = await answer(turn)
    assert (view.parts, view.state, view.model) == ((TextPart("Hello"),), MessageState.DONE, "paid")
    conversation = await conversations.get(turn.conversation, ALICE)
    assert conversation.title == "Good morning, how are you?"
    assert conversation.head == turn.answer
    assert await texts(turn.conversation) == ["Good morning, how are you?", "Hello"]
    await check_books()


async def test_the_same_key_is_the_same_turn(upstream: Upstream) -> None:
    one, two = await asyncio.gather(turns.start(ask("hi", "k")), turns.start(ask("hi", "k")))
    await until_end(one)
    three = await turns.start(ask("hi", "k"))
    assert one.id == two.id == three.id
    assert len(upstream.calls) == 1
    assert len(await conversations.listing(ALICE)) == 1
    long = "x" * 500
    assert (await turns.start(ask("hi", long))).id == (await turns.start(ask("hi", long))).id


async def test_a_key_belongs_to_its_account(upstream: Upstream) -> None:
    one = await turns.start(ask("hi", "k", model=ModelName("free")))
    two = await turns.start(ask("hi", "k", account=BOB, model=ModelName("free")))
    assert one.id != two.id


async def test_the_next_question_carries_the_branch(upstream: Upstream) -> None:
    first = await turns.start(ask("one"))
    await until_end(first)
    second = await turns.start(ask("two", conversation=first.conversation))
    await until_end(second)
    assert [(m.role, m.text) for m in upstream.calls[1].messages] == [
        (Role.USER, "one"),
        (Role.ASSISTANT, "Hello world"),
        (Role.USER, "two"),
    ]
    assert await texts(first.conversation) == ["one", "Hello world", "two", "Hello world"]


async def test_thinking_and_tools_are_told_and_kept(upstream: Upstream) -> None:
    upstream.says(ReasoningDelta("hm"), ReasoningDelta("m"), "yes", ToolCallDelta(0, "c", "clock", "{}"))
    turn = await turns.start(ask("think"))
    events = await until_end(turn)
    assert next(event for event in events if isinstance(event, ReasoningAdded)).offset == 0
    assert "".join(event.text for event in events if isinstance(event, ReasoningAdded)) == "hmm"
    assert ToolUsed("clock") in events
    assert (await answer(turn)).parts[0] == ReasoningPart("hmm")


async def test_retrying_answers_the_same_question_on_a_sibling_branch(upstream: Upstream) -> None:
    upstream.says("first answer")
    upstream.says("second answer")
    turn = await turns.start(ask("question"))
    await until_end(turn)
    again = await turns.retry(turn.id, by=ALICE, key="again")
    await until_end(again)
    assert again.user_message == turn.user_message
    assert await texts(turn.conversation) == ["question", "second answer"]
    nodes = await conversations.messages(turn.conversation)
    assert turn.answer is not None
    assert [m.message.text for m in conversations.tree.siblings(nodes, turn.answer)] == [
        "first answer",
        "second answer",
    ]
    assert upstream.calls[0].messages == upstream.calls[1].messages
    with pytest.raises(NotFound):
        await turns.retry(turn.id, by=BOB, key="x")
    with pytest.raises(NotFound) as unknown:
        await turns.retry(turn.id, by=ALICE, key="y", model=ModelName("nonsense"))
    assert unknown.value.code == "model_unknown"


async def test_editing_a_question_makes_a_sibling_branch(upstream: Upstream) -> None:
    first = await turns.start(ask("one"))
    await until_end(first)
    second = await turns.start(ask("two", conversation=first.conversation))
    await until_end(second)
    assert first.user_message is not None
    assert second.user_message is not None
    edited = await turns.edit(second.user_message, (TextPart("zwei"),), by=ALICE, key="e1")
    await until_end(edited)
    assert await texts(first.conversation) == ["one", "Hello world", "zwei", "Hello world"]
    root = await turns.edit(first.user_message, (TextPart("eins"),), by=ALICE, key="e2")
    await until_end(root)
    assert await texts(first.conversation) == ["eins", "Hello world"]
    assert len(await conversations.messages(first.conversation)) == 8
    with pytest.raises(NotFound):
        await turns.edit(first.user_message, (TextPart("mine"),), by=BOB, key="e3")
    assert first.answer is not None
    with pytest.raises(BadInput):
        await turns.edit(first.answer, (TextPart("mine"),), by=ALICE, key="e4")


async def test_a_reply_to_an_old_answer_branches_there(upstream: Upstream) -> None:
    first = await turns.start(ask("one"))
    await until_end(first)
    await until_end(await turns.start(ask("two", conversation=first.conversation)))
    reply = await turns.start(ask("other", parent=first.answer))
    await until_end(reply)
    assert reply.conversation == first.conversation
    assert await texts(first.conversation) == ["one", "Hello world", "other", "Hello world"]


async def test_a_cut_answer_can_be_continued(upstream: Upstream) -> None:
    upstream.says("half an ans", Finish(FinishReason.LENGTH))
    upstream.says("wer")
    turn = await turns.start(ask("long"))
    events = await until_end(turn)
    assert isinstance(events[-1], Finished)
    assert events[-1].offers == (Action(Verb.RETRY, turn.id), Action(Verb.CONTINUE, turn.id))
    more = await turns.act(Action(Verb.CONTINUE, turn.id), by=ALICE, key="go on")
    await until_end(more)
    assert await texts(turn.conversation) == ["long", "half an ans", "Continue.", "wer"]
    with pytest.raises(BadInput):
        await turns.act(Action(Verb.MODEL, turn.id), by=ALICE, key="m")


async def test_stopping_keeps_and_charges_what_came(upstream: Upstream) -> None:
    upstream.says("once upon", asyncio.Event(), " a time")
    turn = await turns.start(ask("a story"))
    await until_text(turn, "once upon")
    loop = asyncio.get_running_loop()
    before = loop.time()
    await turns.act(Action(Verb.STOP, turn.id), by=ALICE, key="s")
    events = await until_end(turn)
    assert loop.time() - before < 1
    assert isinstance(events[-1], Finished)
    assert events[-1].reason is FinishReason.STOPPED
    assert Action(Verb.CONTINUE, turn.id) in events[-1].offers
    await quiet()
    assert (await latest(turn)).state is TurnState.STOPPED
    assert (await answer(turn)).state is MessageState.PARTIAL
    assert await texts(turn.conversation) == ["a story", "once upon"]
    assert (await latest(turn)).cost_micro > 0
    await check_books()
    assert (await turns.cancel(turn.id, by=ALICE)).state is TurnState.STOPPED


async def test_a_stop_in_another_process_arrives_within_a_second(upstream: Upstream, other: Scope) -> None:
    upstream.says("once upon", asyncio.Event())
    turn = await turns.start(ask("a story"))
    await until_text(turn, "once upon")
    with scope.bind(other):
        await turns.cancel(turn.id, by=ALICE)
    async with asyncio.timeout(1):
        events = await until_end(turn)
    assert isinstance(events[-1], Finished)


async def test_strangers_can_neither_see_nor_stop_nor_continue(upstream: Upstream) -> None:
    turn = await turns.start(ask("mine"))
    for attempt in (
        turns.get(turn.id, by=BOB),
        turns.cancel(turn.id, by=BOB),
        turns.start(ask("me too", account=BOB, conversation=turn.conversation)),
        turns.start(ask("me too", account=BOB, parent=turn.answer)),
        turns.delete_conversation(turn.conversation, by=BOB),
        turns.get(TurnId(new_id("turn")), by=ALICE),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_in_a_group_each_asker_pays_and_may_stop_and_the_conversation_is_its_starters(upstream: Upstream) -> None:
    place = conversations.place("telegram", "7", -100)
    target = turns.DeliveryTarget("telegram", "7", {"chat": -100})
    begun = await turns.start(ask("hello all", place=place, door="telegram", speaker="Alice", delivery=target))
    await until_end(begun)
    upstream.scripts.clear()
    upstream.says("hm", asyncio.Event())
    free = ModelName("free")
    asked = await turns.start(
        ask("me too", account=BOB, place=place, door="telegram", speaker="Bob", delivery=target, model=free)
    )
    assert asked.conversation == begun.conversation
    assert (asked.account, asked.owner) == (BOB, ALICE)
    assert [m.name for m in upstream.calls[1].messages] == ["Alice", None, "Bob"]
    assert [view.id for view in await conversations.listing(ALICE)] == [begun.conversation]
    assert await conversations.listing(BOB) == []
    await turns.cancel(asked.id, by=BOB)
    await until_end(asked)
    assert (await latest(asked)).state is TurnState.STOPPED


async def test_a_second_question_waits_says_so_and_then_runs(upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.says("first", gate)
    upstream.says("second")
    upstream.says("third")
    first = await turns.start(ask("one"))
    await until_text(first, "first")
    second = await turns.start(ask("two", conversation=first.conversation))
    third = await turns.start(ask("three", conversation=first.conversation))
    assert (second.state, second.position) == (TurnState.QUEUED, 1)
    assert (third.state, third.position, third.answer) == (TurnState.QUEUED, 2, None)
    assert [turn.id for turn in await turns.running(first.conversation)] == [first.id, second.id, third.id]
    assert await holds() == ["open"]
    gate.set()
    events = await until_end(third)
    assert events[0] == Notice("queued", {"position": 2})
    assert Notice("queued", {"position": 1}) in events
    assert any(isinstance(event, Accepted) for event in events)
    assert said(events) == "third"
    await quiet()
    assert await texts(first.conversation) == ["one", "first", "two", "second", "three", "third"]
    await check_books()


async def test_a_waiting_question_can_be_stopped(upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.says("first", gate)
    first = await turns.start(ask("one"))
    second = await turns.start(ask("two", conversation=first.conversation))
    third = await turns.start(ask("three", conversation=first.conversation))
    assert (await turns.cancel(second.id, by=ALICE)).state is TurnState.STOPPED
    assert isinstance((await until_end(second))[-1], Finished)
    assert (await latest(third)).position == 1
    again = await turns.retry(second.id, by=ALICE, key="after all")
    assert again.state is TurnState.QUEUED
    gate.set()
    await until_end(again)
    assert await texts(first.conversation) == ["one", "first", "three", "first", "two", "first"]


async def test_limits_of_running_and_waiting_turns(upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.says("x", gate)
    begun = [await turns.start(ask("q")) for _ in range(3)]
    with pytest.raises(TooMany) as parallel:
        await turns.start(ask("one too many"))
    assert parallel.value.code == "turns_parallel"
    for _ in range(5):
        await turns.start(ask("more", conversation=begun[0].conversation))
    with pytest.raises(TooMany) as queued:
        await turns.start(ask("too much", conversation=begun[0].conversation))
    assert queued.value.code == "turns_queued"
    gate.set()
    await quiet()
    await check_books()


async def test_no_credits_no_call_no_trace(upstream: Upstream) -> None:
    with pytest.raises(NotAffordable) as refused:
        await turns.start(ask("please", account=BOB))
    assert refused.value.code == "no_credits"
    assert upstream.calls == []
    assert await conversations.listing(BOB) == []
    free = await turns.start(ask("please", account=BOB, model=ModelName("free")))
    assert isinstance((await until_end(free))[-1], Finished)


async def test_an_unknown_model_and_an_empty_message_are_refused_before_anything(upstream: Upstream) -> None:
    with pytest.raises(NotFound) as unknown:
        await turns.start(ask("hi", model=ModelName("nonsense")))
    assert unknown.value.code == "model_unknown"
    for parts in ((), (TextPart(" \n"),)):
        with pytest.raises(BadInput) as empty:
            await turns.start(ask("", parts=parts))
        assert empty.value.code == "message_empty"
    assert await conversations.listing(ALICE) == []
    picture = await turns.start(ask("", parts=(ImagePart("data:image/png;base64,AA=="),)))
    assert isinstance((await until_end(picture))[-1], Finished)


async def test_a_waiting_turn_that_cannot_be_paid_fails_with_its_question_kept(upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.says("first", gate)
    first = await turns.start(ask("one", model=ModelName("free"), account=BOB))
    second = await turns.start(ask("two", conversation=first.conversation, account=BOB))
    third = await turns.start(ask("three", conversation=first.conversation, account=BOB, model=ModelName("free")))
    gate.set()
    events = await until_end(second)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "no_credits"
    assert events[-1].offers == (Action(Verb.RETRY, second.id),)
    assert isinstance((await until_end(third))[-1], Finished)
    assert (await answer(second)).state is MessageState.FAILED
    assert await texts(first.conversation) == ["one", "first", "two", "", "three", "first"]
    # The unanswered question and the next one reach the model as one.
    assert [m.text for m in upstream.calls[-1].messages] == ["one", "first", "two\n\nthree"]
    await check_books()


async def test_a_long_conversation_drops_its_oldest_and_says_so(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.says("a" * 60_000)
    turn = await turns.start(ask("one"))
    await until_end(turn)
    upstream.says("short")
    upstream.scripts.pop(0)
    for _ in range(2):
        turn = await turns.start(ask("b" * 30_000, conversation=turn.conversation))
        events = await until_end(turn)
    assert [event for event in events if isinstance(event, Notice)] == [Notice("context_cut", {"dropped": 2})]
    assert [m.text[:1] for m in upstream.calls[-1].messages] == ["b", "s", "b"]
    assert (await latest(turn)).notices == (Notice("context_cut", {"dropped": 2}),)


async def test_the_owner_is_told_on_their_topic(upstream: Upstream) -> None:
    turn = await turns.start(ask("hello"))
    await until_end(turn)
    await quiet()
    page = await live.log().read(live.account_topic(ALICE), 0)
    told = [wire.load_account_event(wire.decode(entry.data)) for entry in page.entries]
    assert told.count(TurnStarted(turn.conversation, turn.id)) == 1
    assert told.count(TurnEnded(turn.conversation, turn.id)) == 1
    assert BalanceChanged() in told
    assert ConversationChanged(turn.conversation) in told


async def test_deleting_a_conversation_stops_its_turns_first(upstream: Upstream) -> None:
    upstream.says("going on", asyncio.Event())
    first = await turns.start(ask("one"))
    await until_text(first, "going on")
    second = await turns.start(ask("two", conversation=first.conversation))
    await turns.delete_conversation(first.conversation, by=ALICE)
    for turn in (first, second):
        ended = (await until_end(turn))[-1]
        assert isinstance(ended, Finished)
        assert ended.reason is FinishReason.STOPPED
    await quiet()
    with pytest.raises(NotFound):
        await turns.start(ask("three", conversation=first.conversation))
    with pytest.raises(NotFound):
        await conversations.get(first.conversation, ALICE)
    await check_books()


async def test_a_deleted_conversation_frees_its_place(upstream: Upstream) -> None:
    place = conversations.place("telegram", "7", 1)
    first = await turns.start(ask("one", place=place))
    await until_end(first)
    assert (await turns.start(ask("two", place=place))).conversation == first.conversation
    await quiet()
    await turns.delete_conversation(first.conversation, by=ALICE)
    assert (await turns.start(ask("three", place=place))).conversation != first.conversation


async def test_a_running_turn_can_be_neither_retried_nor_continued(upstream: Upstream) -> None:
    upstream.says("x", asyncio.Event())
    turn = await turns.start(ask("one"))
    for verb in (Verb.RETRY, Verb.CONTINUE):
        with pytest.raises(Conflict):
            await turns.act(Action(verb, turn.id), by=ALICE, key="k")


async def test_a_draining_process_begins_nothing(house: Scope) -> None:
    house.draining = True
    with pytest.raises(Unavailable):
        await turns.start(ask("hi"))


async def test_events_come_at_most_25_a_second_and_the_first_at_once(upstream: Upstream) -> None:
    upstream.says(*(step for _ in range(100) for step in ("word ", 0.005)))
    loop = asyncio.get_running_loop()
    before = loop.time()
    turn = await turns.start(ask("many words"))
    first: float | None = None
    events = []
    async with aclosing(turns.follow(turn.id)) as followed:
        async for numbered in followed:
            events.append(numbered.event)
            if first is None and isinstance(numbered.event, TextAdded):
                first = loop.time() - before
    took = loop.time() - before
    assert said(events) == "word " * 100
    assert sum(isinstance(event, TextAdded) for event in events) <= took / running.FLUSH_S + 2
    assert first is not None
    assert first < 0.3


async def test_half_an_emoji_does_no_harm(upstream: Upstream) -> None:
    upstream.says("ok \ud83d", "!")
    turn = await turns.start(ask("look: \ud83d"))
    assert isinstance((await until_end(turn))[-1], Finished)
    assert await texts(turn.conversation) == ["look: \ufffd", "ok \ufffd!"]


async def test_a_client_that_goes_away_changes_nothing(upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.says("one", gate, " two")
    turn = await turns.start(ask("hi"))
    reading = asyncio.create_task(until_end(turn))
    await until_text(turn, "one")
    reading.cancel()
    gate.set()
    await quiet()
    assert (await latest(turn)).state is TurnState.DONE
    assert await texts(turn.conversation) == ["hi", "one two"]


async def test_a_follower_that_comes_back_continues_where_it_was(upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.says("one", gate, " two")
    turn = await turns.start(ask("hi"))
    seen = []
    async with aclosing(turns.follow(turn.id)) as followed:
        async for numbered in followed:
            seen.append(numbered)
            if said([each.event for each in seen]) == "one":
                break
    gate.set()
    rest = await until_end(turn, after=seen[-1].cursor)
    assert said([each.event for each in seen] + rest) == "one two"
    assert not any(isinstance(event, Snapshot | Accepted) for event in rest)


async def test_an_answer_of_a_waiting_turn_is_not_found(upstream: Upstream) -> None:
    upstream.says("x", asyncio.Event())
    first = await turns.start(ask("one"))
    second = await turns.start(ask("two", conversation=first.conversation))
    with pytest.raises(NotFound):
        await turns.answer_of(second)
    with pytest.raises(NotFound):
        await turns.edit(MessageId(new_id("msg")), (TextPart("x"),), by=ALICE, key="k")
