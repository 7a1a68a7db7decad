"""Conversations: who sees them, their tree, their titles, the places that are on them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from core import conversations, live
from core.chat import ConversationChanged, Role, TextPart, wire
from core.conversations import MessageState, MessageView
from core.kit.errors import BadInput, NotFound
from core.kit.ids import ConversationId, MessageId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope
from tests.core.conversations.conftest import ALICE, BOB

pytestmark = pytest.mark.usefixtures("house")


async def say(
    conversation: ConversationId, parent: MessageId | None, text: str, role: Role = Role.USER, *, head: bool = True
) -> MessageView:
    async def body(work: Work) -> MessageView:
        view = await conversations.lock(work, conversation)
        message = MessageView(
            id=MessageId(new_id("msg")),
            conversation=conversation,
            parent=parent,
            role=role,
            parts=(TextPart(text),),
            state=MessageState.DONE,
            turn=None,
            model=None,
            author=ALICE if role is Role.USER else None,
            author_name=None,
            created_at=view.updated_at,
        )
        await conversations.add_message(work, message, head=head)
        return message

    made = await unit_of_work(body)
    await asyncio.sleep(0.002)  # ids order by milliseconds
    return made


async def test_only_the_owner_sees_a_conversation() -> None:
    made = await conversations.create(ALICE, "web")
    assert await conversations.get(made.id, ALICE) == made
    for stranger, id in ((BOB, made.id), (ALICE, ConversationId(new_id("conv")))):
        with pytest.raises(NotFound) as refused:
            await conversations.get(id, stranger)
        assert refused.value.code == "conversation_unknown"
    with pytest.raises(NotFound):
        await conversations.rename(made.id, BOB, "mine")


async def test_the_last_touched_comes_first_and_pages_go_on() -> None:
    made = [await conversations.create(ALICE, "web") for _ in range(5)]
    await conversations.create(BOB, "web")
    await say(made[1].id, None, "hello")
    first = await conversations.listing(ALICE, limit=2)
    assert [view.id for view in first] == [made[1].id, made[4].id]
    rest = await conversations.listing(ALICE, before=first[-1].id)
    assert [view.id for view in rest] == [made[3].id, made[2].id, made[0].id]


async def test_a_persons_title_stays_and_ours_comes_once(house: Scope) -> None:
    made = await conversations.create(ALICE, "web")

    async def name(title: str) -> bool:
        async def body(work: Work) -> bool:
            return await conversations.title_once(work, made.id, title)

        return await unit_of_work(body)

    assert not await name("")
    assert await name("first question")
    assert not await name("second question")
    assert (await conversations.get(made.id, ALICE)).title == "first question"
    renamed = await conversations.rename(made.id, ALICE, "  my \n title ")
    assert renamed.title == "my title"
    with pytest.raises(BadInput):
        await conversations.rename(made.id, ALICE, " \n ")


async def test_a_change_is_told_to_the_owner() -> None:
    made = await conversations.create(ALICE, "web")
    await conversations.rename(made.id, ALICE, "new name")
    topic = live.account_topic(ALICE)
    page = await live.log().read(topic, 0)
    told = [wire.load_account_event(wire.decode(entry.data)) for entry in page.entries]
    assert told == [ConversationChanged(made.id), ConversationChanged(made.id)]
    async with aclosing(live.log().follow(topic)) as entries:
        assert (await anext(entries)).seq == 1


async def test_a_branch_is_read_from_root_to_head() -> None:
    made = await conversations.create(ALICE, "web")
    question = await say(made.id, None, "q")
    answer = await say(made.id, question.id, "a", Role.ASSISTANT)
    other = await say(made.id, question.id, "b", Role.ASSISTANT)
    assert [m.id for m in await conversations.path(answer.id)] == [question.id, answer.id]
    assert [m.id for m in await conversations.path(other.id)] == [question.id, other.id]
    assert await conversations.path(None) == []
    assert [m.id for m in await conversations.messages(made.id)] == [question.id, answer.id, other.id]
    assert (await conversations.get(made.id, ALICE)).head == other.id
    assert (await conversations.message(other.id)).message.text == "b"


async def test_choosing_a_branch_shows_its_newest_end() -> None:
    made = await conversations.create(ALICE, "web")
    question = await say(made.id, None, "q")
    answer = await say(made.id, question.id, "a", Role.ASSISTANT)
    follow_up = await say(made.id, answer.id, "more")
    await say(made.id, question.id, "b", Role.ASSISTANT)
    assert (await conversations.set_head(made.id, ALICE, answer.id)).head == follow_up.id
    elsewhere = await conversations.create(ALICE, "web")
    with pytest.raises(NotFound):
        await conversations.set_head(elsewhere.id, ALICE, answer.id)


async def test_a_place_is_on_one_conversation_at_a_time() -> None:
    place = conversations.place("telegram", "7", -100, 3, 42)
    assert place == "telegram:7:-100:3:42"
    one, two = await conversations.create(ALICE, "telegram", place=place), await conversations.create(ALICE, "web")
    assert await conversations.bound(place) == one.id
    await conversations.bind(place, two.id)
    assert await conversations.bound(place) == two.id
    await conversations.unbind(place)
    assert await conversations.bound(place) is None
    with pytest.raises(NotFound):
        await conversations.bind(place, ConversationId(new_id("conv")))
    with pytest.raises(BadInput):
        conversations.place("telegram", "7", "x" * 200)


async def test_a_deleted_conversation_is_gone_from_sight_and_place_but_its_rows_stay() -> None:
    place = conversations.place("telegram", "7", 1)
    made = await conversations.create(ALICE, "telegram", place=place)
    await say(made.id, None, "q")

    async def body(work: Work) -> None:
        await conversations.delete(work, made.id)

    await unit_of_work(body)
    with pytest.raises(NotFound):
        await conversations.get(made.id, ALICE)
    assert await conversations.bound(place) is None
    assert await conversations.listing(ALICE) == []
    assert len(await conversations.messages(made.id)) == 1
    with pytest.raises(NotFound):
        await conversations.bind(place, made.id)


async def test_of_two_who_bind_a_free_place_the_second_follows_the_first() -> None:
    place = conversations.place("telegram", "7", 1)
    made = [await conversations.create(ALICE, "telegram") for _ in range(2)]

    async def bind(id: ConversationId) -> ConversationId:
        async def body(work: Work) -> ConversationId:
            return await conversations.bind_if_free(work, place, id)

        return await unit_of_work(body)

    won = await asyncio.gather(*(bind(view.id) for view in made))
    assert len(set(won)) == 1
    assert await conversations.bound(place) == won[0]
