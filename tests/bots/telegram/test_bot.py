"""The Telegram bot as a person meets it: every room for real, only Telegram and the model are played."""

from __future__ import annotations

import asyncio

from core import billing, conversations, turns
from core.chat import FinishReason, Role, Verb, unpack
from core.kit.orm import read
from core.kit.scope import bind
from tests.bots.telegram.conftest import House, give
from tests.fakes.telegram import Fault, Shown

GROUP = -100


def last(house: House, chat: int = 7) -> Shown:
    return [shown for shown in house.telegram.messages if shown.chat == str(chat)][-1]


async def asked(house: House, text: str, **more: object) -> Shown:
    """Say something and wait for one more finished message in that chat."""
    chat = int(str(more.get("chat") or more.get("user", 7)))
    before = len(house.telegram.texts(chat))
    house.telegram.say(text, **more)  # type: ignore[arg-type]
    await house.telegram.until(lambda: len(house.telegram.texts(chat)) > before)
    await settled(house)
    return last(house, chat)


async def settled(house: House) -> None:
    """Until every answer is shown and every update worked on."""

    async def open_rows() -> int:
        [row] = await read(
            "SELECT (SELECT COUNT(*) FROM delivery WHERE state = 'open')"
            " + (SELECT COUNT(*) FROM inbox WHERE state = 'new') AS n"
        )
        return int(row["n"])

    for _ in range(500):
        if await open_rows() == 0:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError("something stays open")


async def test_a_question_is_answered_and_the_account_made_silently(house: House) -> None:
    shown = await asked(house, "hi")
    assert (shown.text, shown.rich) == ("Hello world", True)
    account = await house.account()
    assert account.display_name == "User7"
    assert unpack(shown.data("Retry")) is not None
    assert house.telegram.breaches == []


async def test_the_answer_streams_as_a_draft(house: House) -> None:
    house.upstream.says("One, ", 1.2, "two, ", 1.2, "three.")
    shown = await asked(house, "count")
    frames = [text for _, _, text in house.telegram.drafts]
    assert "tg-thinking" in frames[0]
    assert "One," in frames
    assert shown.text == "One, two, three."
    assert house.telegram.breaches == []


async def test_the_conversation_goes_on_until_new(house: House) -> None:
    await asked(house, "first")
    await asked(house, "second")
    assert [message.text for message in house.upstream.calls[-1].messages] == ["first", "Hello world", "second"]
    await asked(house, "/new")
    await asked(house, "third")
    assert [message.text for message in house.upstream.calls[-1].messages] == ["third"]
    assert len(await conversations.listing((await house.account()).id)) == 2


async def test_a_reply_to_an_older_answer_branches_from_it(house: House) -> None:
    house.upstream.says("A1")
    house.upstream.says("A2")
    house.upstream.says("A3")
    first = await asked(house, "Q1")
    await asked(house, "Q2")
    await asked(house, "Q3", reply_to_message=house.telegram.replied(first))
    assert [message.text for message in house.upstream.calls[-1].messages] == ["Q1", "A1", "Q3"]


async def test_in_a_group_only_an_addressed_message_is_answered(house: House) -> None:
    house.telegram.say("just talking", chat=GROUP)
    question = house.telegram.say("@lab_bot hi", chat=GROUP)
    await house.telegram.until(lambda: house.telegram.texts(GROUP))
    await settled(house)
    shown = last(house, GROUP)
    assert (shown.text, shown.reply_to) == ("Hello world", question)
    assert house.telegram.texts(GROUP) == ["Hello world"]
    assert house.telegram.drafts == []


async def test_in_a_group_a_mention_opens_a_conversation_and_anybody_may_go_on(house: House) -> None:
    shown = await asked(house, "@lab_bot one", chat=GROUP)
    await asked(house, "two", chat=GROUP, user=8, reply_to_message=house.telegram.replied(shown))
    assert [message.text for message in house.upstream.calls[-1].messages] == ["one", "Hello world", "two"]
    assert house.upstream.calls[-1].messages[-1].name == "User8"
    await asked(house, "@lab_bot three", chat=GROUP, user=8)
    assert [message.text for message in house.upstream.calls[-1].messages] == ["three"]
    owner, guest = await house.account(7), await house.account(8)
    assert len(await conversations.listing(owner.id)) == 1
    assert len(await conversations.listing(guest.id)) == 1


async def test_in_a_group_the_stop_button_obeys_the_asker_alone(house: House) -> None:
    house.upstream.says("Begun. " * 10, 30.0, "never")
    house.telegram.say("@lab_bot long", chat=GROUP)
    await house.telegram.until(lambda: "Begun." in "".join(house.telegram.texts(GROUP)))
    shown = last(house, GROUP)
    foreign = house.telegram.press(shown, shown.data("Stop"), user=8)
    await house.telegram.until(lambda: foreign in house.telegram.answers)
    assert "Only the person who asked" in str(house.telegram.answers[foreign])
    own = house.telegram.press(shown, shown.data("Stop"))
    await house.telegram.until(lambda: own in house.telegram.answers)
    await settled(house)
    assert last(house, GROUP).text.startswith("Begun.")
    assert "Stopped" in last(house, GROUP).text
    assert len(house.telegram.texts(GROUP)) == 1


async def test_the_stop_under_a_draft_ends_the_turn_and_the_draft(house: House) -> None:
    house.upstream.says("Begun.", 30.0, "never")
    house.telegram.say("long")
    await house.telegram.until(lambda: any("Begun." in text for _, _, text in house.telegram.drafts))
    chat, draft, _ = house.telegram.drafts[-1]
    chat_of = {"id": int(chat), "type": "private", "first_name": "User7"}
    house.telegram.update(stopped_message_generation={"chat": chat_of, "draft_id": draft})
    await house.telegram.until(house.telegram.texts)
    await settled(house)
    assert last(house).text == "Begun.\n\n_Stopped._"
    assert house.telegram.drafts[-1][1] == draft


async def test_the_stop_command_ends_what_runs(house: House) -> None:
    house.upstream.says("Begun.", 30.0, "never")
    house.telegram.say("long")
    await house.telegram.until(lambda: any("Begun." in text for _, _, text in house.telegram.drafts))
    house.telegram.say("/stop")
    await house.telegram.until(lambda: any("Stopped" in text for text in house.telegram.texts()))
    await settled(house)
    assert house.telegram.breaches == []


async def test_a_second_question_waits_and_says_so(house: House) -> None:
    house.upstream.says("First.", 1.5, " Done.")
    house.upstream.says("Second.")
    house.telegram.say("one")
    await house.telegram.until(lambda: house.telegram.drafts)
    house.telegram.say("two")
    await house.telegram.until(lambda: any("Queued" in text for text in house.telegram.texts()))
    await house.telegram.until(lambda: house.telegram.texts() == ["First. Done.", "Second."])
    await settled(house)
    assert house.telegram.texts() == ["First. Done.", "Second."]


async def test_retry_gives_a_sibling_answer(house: House) -> None:
    house.upstream.says("A")
    house.upstream.says("B")
    shown = await asked(house, "Q")
    query = house.telegram.press(shown, shown.data("Retry"))
    await house.telegram.until(lambda: house.telegram.texts() == ["A", "B"])
    await settled(house)
    assert query in house.telegram.answers
    assert [message.text for message in house.upstream.calls[-1].messages] == ["Q"]


async def test_continue_is_offered_where_the_answer_was_cut(house: House) -> None:
    from core.chat import Finish

    house.upstream.says("Half", Finish(FinishReason.LENGTH))
    house.upstream.says("the rest")
    shown = await asked(house, "Q")
    assert shown.text.startswith("Half")
    house.telegram.press(shown, shown.data("Continue"))
    await house.telegram.until(lambda: house.telegram.texts()[-1] == "the rest")
    await settled(house)
    assert house.upstream.calls[-1].messages[1].role is Role.ASSISTANT


async def test_an_old_or_foreign_button_is_always_answered(house: House) -> None:
    shown = await asked(house, "Q")
    queries = [house.telegram.press(shown, data) for data in ("zz", "1r:turn_gone", "9x:future", "1y:lnk_gone")]
    await house.telegram.until(lambda: all(query in house.telegram.answers for query in queries))
    assert all(house.telegram.answers[query] for query in queries)


async def test_the_model_is_chosen_by_button(house: House) -> None:
    shown = await asked(house, "/model")
    assert "free" in shown.text
    house.telegram.press(shown, shown.data("paid"))
    await house.telegram.until(lambda: "paid" in last(house).text)
    await settled(house)
    assert (await house.account()).default_model == "paid"
    refused = await asked(house, "hi")
    assert "credits" in refused.text.lower()
    await give(await house.account(), 10_000_000)
    assert (await asked(house, "hi")).text == "Hello world"
    assert str(house.upstream.calls[-1].model) == "paid"


async def test_the_balance_is_told_in_private_only(house: House) -> None:
    await asked(house, "/start")
    await give(await house.account(), 12_500_000)
    assert "12.50" in (await asked(house, "/balance")).text
    assert "12.50" not in (await asked(house, "/balance@lab_bot", chat=GROUP)).text


async def test_help_lists_every_command_in_the_readers_language(house: House) -> None:
    english = await asked(house, "/help")
    chinese = await asked(house, "/help", user=8, language="zh-hans")
    assert "/balance" in english.text
    assert "Show your credits" in english.text
    assert "查看余额" in chinese.text


async def test_menus_are_registered_for_both_languages(house: House) -> None:
    def menus() -> list[dict[str, object]]:
        return [params for method, params in house.telegram.calls if method == "setMyCommands"]

    await house.telegram.until(lambda: len(menus()) == 4)
    assert {(str(menu["scope"]), menu.get("language_code")) for menu in menus()} == {
        ("{'type': 'all_private_chats'}", None),
        ("{'type': 'all_private_chats'}", "zh"),
        ("{'type': 'all_group_chats'}", None),
        ("{'type': 'all_group_chats'}", "zh"),
    }


async def test_one_undecodable_update_never_stops_the_rest(house: House) -> None:
    house.telegram.update(message={"no": "chat", "from": 3})
    house.telegram.update(message=[["what", {"is": None}]])
    house.telegram.update(callback_query="text")
    assert (await asked(house, "hi")).text == "Hello world"
    rows = await read("SELECT state, COUNT(*) AS n FROM inbox GROUP BY state")
    assert {row["state"]: row["n"] for row in rows}["failed"] >= 2


async def test_the_same_update_twice_is_one_answer(house: House) -> None:
    await asked(house, "hi")
    house.telegram._updates.append({"update_id": house.telegram._next_update, "message": {"message_id": 1, "date": 1}})
    house.telegram._news.set()
    await asked(house, "ho")
    assert house.telegram.texts() == ["Hello world", "Hello world"]


async def test_pictures_are_answered_politely(house: House) -> None:
    house.telegram.update(
        message={
            "message_id": 5,
            "date": 1,
            "chat": {"id": 7, "type": "private"},
            "from": {"id": 7, "is_bot": False, "first_name": "User7"},
            "photo": [{"file_id": "x", "file_unique_id": "u", "width": 1, "height": 1}],
        }
    )
    await house.telegram.until(house.telegram.texts)
    assert "cannot be read yet" in last(house).text


async def test_thirty_thousand_characters_arrive_whole_as_messages_under_floods(house: House) -> None:
    lines = [f"Line {number:04d} of a very long answer." for number in range(920)]
    text = "\n".join(lines)
    assert len(text) > 30_000
    house.upstream.says(*[text[at : at + 2_000] for at in range(0, len(text), 2_000)])
    house.telegram.fault("sendRichMessage", Fault(), Fault(429, "Too Many Requests", retry_after=1))
    house.telegram.say("long please")
    await house.telegram.until(lambda: "Line 0919" in "".join(house.telegram.texts()), 30)
    await settled(house)
    assert "\n".join(house.telegram.texts()).split("\n") == lines
    assert house.telegram.breaches == []
    assert not any(method == "sendDocument" for method, _ in house.telegram.calls)


async def test_a_send_whose_answer_is_lost_is_neither_lost_nor_doubled(house: House) -> None:
    house.telegram.fault("sendRichMessage", Fault(drop="after"))
    house.telegram.say("hi")
    await house.telegram.until(lambda: len(house.telegram.texts()) == 2)
    await settled(house)
    assert house.telegram.texts()[0] == "Hello world"
    line = last(house)
    assert "Hello world" not in line.text
    house.telegram.press(line, line.data("Show"))
    await house.telegram.until(lambda: last(house).text == "Hello world")
    assert len(house.telegram.texts()) == 2


async def test_a_killed_process_leaves_the_text_to_the_next_one_exactly_once(house: House) -> None:
    house.upstream.says("Half of it.", 30.0, "never")
    house.telegram.say("hi")
    await house.telegram.until(lambda: any("Half" in text for _, _, text in house.telegram.drafts))
    again = await house.again()
    await again.telegram.until(again.telegram.texts, 20)
    with bind(again.scope):
        await settled(again)
    assert len(again.telegram.texts()) == 1
    assert again.telegram.texts()[0].startswith("Half of it.")
    assert again.telegram.breaches == []


async def test_a_finished_answer_that_was_never_shown_is_shown_by_the_next_process(house: House) -> None:
    house.telegram.fault("sendRichMessage", Fault(429, "Too Many Requests", retry_after=600))
    house.telegram.say("hi")
    await house.telegram.until(lambda: any(method == "sendRichMessage" for method, _ in house.telegram.calls))
    account = await house.account()
    again = await house.again()
    await again.telegram.until(lambda: again.telegram.texts() == ["Hello world"])
    with bind(again.scope):
        await settled(again)
        [conversation] = await conversations.listing(account.id)
        assert await turns.running(conversation.id) == []
        assert (await billing.balance(account.id)).held == 0


async def test_linking_two_people_needs_the_code_and_both_agreements(house: House) -> None:
    await asked(house, "remember me")
    await asked(house, "hello", user=8)
    issued = await asked(house, "/link")
    code = issued.text.split("`")[1]
    question = await asked(house, f"/link {code}", user=8)
    assert "User7" in question.text
    await house.telegram.until(lambda: "User8" in last(house).text)
    theirs = last(house)
    for shown, user in ((theirs, 7), (question, 8)):
        action = unpack(shown.data("Connect"))
        assert action is not None
        assert action.verb is Verb.LINK_ACCEPT
        house.telegram.press(shown, shown.data("Connect"), user=user)
    await house.telegram.until(lambda: "joined" in last(house, 8).text and "joined" in last(house, 7).text)
    assert (await house.account(7)).id == (await house.account(8)).id
    assert len(await conversations.listing((await house.account(8)).id)) == 2
