"""The Discord bot as a person meets it: every room for real, only Discord and the model are played."""

from __future__ import annotations

import asyncio

import pytest

from bots.discord import app
from core import conversations, inbox, turns
from core.chat import Role
from core.kit.scope import bind
from tests.bots.discord.conftest import House
from tests.fakes.discord import BOT, GENERAL, Fault, Shown, dm

RETRY, STOP = "Retry", "Stop"


async def finished(house: House, count: int = 1, channel: str | None = None) -> Shown:
    """The last message of the bot, once so many of them are finished answers."""

    def answers() -> list[Shown]:
        return [one for one in house.discord.bots(channel) if any(RETRY in label for label in one.labels)]

    await house.discord.until(lambda: len(answers()) >= count)
    return answers()[-1]


async def replied(house: House, token: str, channel: str | None = None) -> Shown:
    """What the deferred response of a command became."""

    def response() -> list[Shown]:
        return [one for one in house.discord.bots(channel) if one.token == token and one.content]

    await house.discord.until(response)
    return response()[0]


async def test_a_direct_message_is_answered_and_the_account_made_silently(house: House) -> None:
    await house.discord.say("hi")
    shown = await finished(house)
    assert (shown.content, shown.reply_to) == ("Hello world", None)
    assert (await house.account()).display_name == "user7"
    assert house.discord.breaches == []


async def test_the_answer_streams_by_edits_with_a_stop_button(house: House) -> None:
    house.upstream.says("One, " * 20, 1.5, "two, " * 20, 1.5, "three.")
    await house.discord.say("count")
    await house.discord.until(house.discord.bots)
    assert any(STOP in label for label in house.discord.bots()[0].labels)
    shown = await finished(house)
    assert len(shown.texts) >= 3
    assert shown.content == "One, " * 20 + "two, " * 20 + "three."
    assert len(house.discord.bots()) == 1
    assert house.discord.breaches == []


async def test_stop_is_answered_at_once_and_keeps_what_came(house: House) -> None:
    house.upstream.says("So it begins, and goes on and on and on. ", 30.0, "never")
    await house.discord.say("begin")
    await house.discord.until(lambda: house.discord.bots() and "begins" in house.discord.bots()[0].content)
    shown = house.discord.bots()[0]
    token = await house.discord.press(shown, shown.custom_id(STOP))
    await house.discord.until(lambda: house.discord.acknowledged(token) == 6)
    shown = await finished(house)
    assert shown.content.startswith("So it begins")
    assert "never" not in shown.content


async def test_in_a_server_only_who_addresses_the_bot_is_answered(house: House) -> None:
    await house.discord.say("nothing for you", channel=GENERAL)
    asked = await house.discord.say(f"<@{BOT}> hello", channel=GENERAL)
    shown = await finished(house, channel=GENERAL)
    assert shown.reply_to == asked.id
    assert [message.text for message in house.upstream.calls[0].messages if message.role is Role.USER] == ["hello"]
    assert len(house.upstream.calls) == 1


async def test_a_reply_to_an_answer_goes_on_from_it(house: House) -> None:
    await house.discord.say(f"<@{BOT}> first", channel=GENERAL)
    shown = await finished(house, channel=GENERAL)
    await house.discord.say("second", channel=GENERAL, reply_to=shown.id)
    await finished(house, 2, channel=GENERAL)
    texts = [message.text for message in house.upstream.calls[1].messages if message.role is not Role.SYSTEM]
    assert texts == ["first", "Hello world", "second"]


async def test_a_very_long_answer_arrives_whole_as_messages_and_nothing_is_refused(house: House) -> None:
    text = "".join(f"Line {number} of many, @everyone.\n" for number in range(400))
    house.upstream.says(text)
    await house.discord.say("long")
    await house.discord.until(
        lambda: house.discord.bots() and any(RETRY in label for label in house.discord.bots()[-1].labels), 30
    )
    shown = house.discord.bots()
    assert "\n".join(one.content for one in shown).split() == text.split()
    assert all(one.allowed_mentions == {"parse": [], "replied_user": False} for one in shown)
    assert [bool(one.labels) for one in shown] == [False] * (len(shown) - 1) + [True]
    assert house.discord.breaches == []


async def test_a_slash_question_is_acknowledged_and_its_response_becomes_the_answer(house: House) -> None:
    token = await house.discord.slash("chat", channel=GENERAL, message="hello")
    await house.discord.until(lambda: house.discord.acknowledged(token) == 5)
    shown = await finished(house, channel=GENERAL)
    assert (shown.token, shown.content) == (token, "Hello world")
    assert len(house.discord.bots(GENERAL)) == 1


async def test_an_interaction_that_expires_goes_on_in_the_channel(house: House) -> None:
    house.discord.token_s = 0.5
    house.upstream.says(1.0, "late but whole")
    await house.discord.slash("chat", channel=GENERAL, message="hello")
    shown = await finished(house, channel=GENERAL)
    assert (shown.token, shown.content) == (None, "late but whole")


async def test_where_the_bot_is_no_member_only_the_interaction_writes_and_one_conversation_goes_on(
    house: House,
) -> None:
    house.discord.closed.add(GENERAL)
    await house.discord.slash("chat", channel=GENERAL, outside=True, message="first")
    await finished(house, channel=GENERAL)
    await house.discord.slash("chat", channel=GENERAL, outside=True, message="second")
    await finished(house, 2, channel=GENERAL)
    assert not [path for _, path, _ in house.discord.calls if path.startswith("/channels/")]
    assert [m.text for m in house.upstream.calls[1].messages if m.role is Role.USER] == ["first", "second"]


async def test_a_slash_question_is_answered_where_the_bot_may_not_write(house: House) -> None:
    house.discord.closed.add(GENERAL)
    house.upstream.says("word " * 700)
    await house.discord.slash("chat", channel=GENERAL, message="long")
    await finished(house, channel=GENERAL)
    shown = house.discord.bots(GENERAL)
    assert " ".join(one.content for one in shown).split() == ["word"] * 700
    assert all(one.token for one in shown)


async def test_private_commands_whisper_in_a_server_and_speak_plainly_alone(house: House) -> None:
    token = await house.discord.slash("balance", channel=GENERAL)
    assert (await replied(house, token, GENERAL)).whispered
    token = await house.discord.slash("balance")
    assert not (await replied(house, token)).whispered
    token = await house.discord.slash("help", channel=GENERAL)
    assert not (await replied(house, token, GENERAL)).whispered


async def test_many_models_are_a_menu_and_a_choice_counts(house: House) -> None:
    shown = await replied(house, await house.discord.slash("model"))
    [row] = shown.components
    options = row["components"][0]["options"]
    assert [option["label"] for option in options if "model-3" in option["label"]] == ["model-3"]
    value = next(option["value"] for option in options if option["label"] == "model-3")
    await house.discord.press(shown, row["components"][0]["custom_id"], value=value)
    await house.discord.until(lambda: not shown.components)
    assert (await house.account()).default_model == "model-3"
    assert len(house.discord.bots()) == 1


async def test_a_second_question_is_queued_and_says_so(house: House) -> None:
    house.upstream.says("first answer ", 2.0, "ends")
    house.upstream.says("second answer")
    await house.discord.say("one")
    await house.discord.until(house.discord.bots)
    await house.discord.say("two")
    await house.discord.until(lambda: len(house.discord.bots()) == 2)
    assert "1" in house.discord.bots()[1].content
    await finished(house, 2)
    assert [one.content for one in house.discord.bots()] == ["first answer ends", "second answer"]


async def test_somebody_else_cannot_press_and_is_told_alone(house: House) -> None:
    await house.discord.say(f"<@{BOT}> mine", channel=GENERAL)
    shown = await finished(house, channel=GENERAL)
    await house.discord.press(shown, shown.custom_id(RETRY), user=8)
    await house.discord.until(lambda: len(house.discord.bots(GENERAL)) == 2)
    assert house.discord.bots(GENERAL)[1].whispered
    assert len(house.upstream.calls) == 1


async def test_a_button_of_another_age_is_answered(house: House) -> None:
    await house.discord.say("hi")
    shown = await finished(house)
    token = await house.discord.press(shown, "9x:what")
    await house.discord.until(lambda: len(house.discord.bots()) == 2)
    assert house.discord.acknowledged(token) == 6
    assert house.discord.bots()[1].whispered


async def test_after_a_crash_the_answer_ends_once_in_the_same_messages_and_its_buttons_work(house: House) -> None:
    house.upstream.says("Half of it, forty characters and a few more. ", 30.0, "never")
    house.upstream.says("whole")
    await house.discord.say("begin")
    await house.discord.until(lambda: house.discord.bots() and "Half" in house.discord.bots()[0].content)
    later = await house.again()
    with bind(later.scope):
        shown = await finished(later)
        assert shown.content.startswith("Half of it")
        assert len(later.discord.bots()) == 1
        await later.discord.press(shown, shown.custom_id(RETRY))
        assert (await finished(later, 2)).content == "whole"
    assert later.discord.breaches == []


async def test_a_crash_before_a_command_was_worked_on_loses_nothing(house: House) -> None:
    house.scope.draining = True  # the feed takes nothing more; what arrives is stored
    token = await house.discord.slash("chat", message="asked before the crash")
    await house.discord.until(lambda: house.discord.acknowledged(token))
    await house.discord.say("and this")
    async with asyncio.timeout(5):
        while len(await inbox.pending("discord", BOT)) < 2:
            await asyncio.sleep(0.02)
    later = await house.again()
    with bind(later.scope):
        await finished(later, 2)
    assert [call.messages[-1].text for call in house.upstream.calls] == ["asked before the crash", "and this"]


async def test_draining_waits_for_the_answer_being_shown(house: House) -> None:
    house.upstream.says("Half of it, forty characters and a few more. ", 1.0, "All of it.")
    await house.discord.say("begin")
    await house.discord.until(house.discord.bots)
    house.scope.draining = True
    async with asyncio.timeout(10):
        await house.bot
    assert house.discord.bots()[0].content.endswith("All of it.")


async def test_a_gateway_that_asks_for_a_new_connection_gets_it(house: House) -> None:
    await house.discord.send_op(7)
    await house.discord.say("meanwhile")
    await finished(house)
    assert house.discord.sessions == 1


async def test_what_was_said_between_two_sessions_is_caught_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "IDENTIFY_S", 1.0)
    await house.discord.say("before")
    await finished(house)
    await house.discord.send_op(9, False)
    await house.discord.say("meanwhile")
    await house.discord.say("not a word to the bot", channel=GENERAL)
    await finished(house, 2)
    await house.discord.until(lambda: house.discord.sessions == 2)
    assert len(house.upstream.calls) == 2


async def test_sessions_begin_five_seconds_apart_also_after_a_crash(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, key = house.scope.redis, house.scope.keys.key("discord", BOT, "identified")
    assert redis is not None
    assert 4_000 < await redis.pttl(key) <= 5_100
    monkeypatch.setattr(app, "IDENTIFY_S", 0.5)
    await redis.set(key, "1", px=500)
    began = asyncio.get_running_loop().time()
    await app.identify_turn(BOT)
    assert 0.4 < asyncio.get_running_loop().time() - began < 1.4


async def test_a_lost_connection_is_resumed_and_what_was_missed_is_answered(house: House) -> None:
    await house.discord.drop()
    await house.discord.say("missed")
    await finished(house)
    assert house.discord.sessions == 1


async def test_an_acknowledgement_that_got_lost_is_tried_again(house: House) -> None:
    house.discord.fault("POST /interactions", Fault(drop="before"), Fault(drop="after"))
    token = await house.discord.slash("chat", message="hello")
    assert (await finished(house)).token == token


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_send_without_an_answer_is_repeated_and_shows_once(house: House, drop: str) -> None:
    house.discord.fault("POST /channels/.*/messages", Fault(drop=drop))
    house.upstream.says("a beginning of more than forty characters, ", 1.0, "and the end")
    await house.discord.say("hi")
    shown = await finished(house)
    assert shown.content == "a beginning of more than forty characters, and the end"
    assert len(house.discord.bots()) == 1


async def test_commands_are_registered_again_only_when_they_changed_or_are_gone(house: House) -> None:
    redis, key = house.scope.redis, house.scope.keys.key("discord", BOT, "commands")
    assert redis is not None

    def registered() -> int:
        return len([1 for method, path, _ in house.discord.calls if method == "PUT" and path.endswith("/commands")])

    async with asyncio.timeout(5):
        while not await redis.exists(f"{key}:asked"):
            await asyncio.sleep(0.02)
    assert {command["name"] for command in house.discord.commands} >= {"chat", "new", "model", "balance", "link"}
    await house.again()
    await redis.delete(f"{key}:asked")
    await house.again()
    await house.discord.until(lambda: any(path.endswith("/commands") for _, path, _ in house.discord.calls[-5:]))
    assert registered() == 1
    house.discord.commands = []
    await redis.delete(f"{key}:asked")
    await house.again()
    await house.discord.until(lambda: registered() == 2)


async def test_a_conversation_begun_here_belongs_to_the_account(house: House) -> None:
    await house.discord.say("hi")
    shown = await finished(house)
    account = await house.account()
    [view] = await conversations.listing(account.id)
    assert (view.title, view.door) == ("hi", "discord")
    found = await turns.deliveries.find("discord", BOT, dm(7), shown.id)
    assert found is not None


async def test_a_refused_token_ends_the_bot_and_nothing_else(house: House) -> None:
    house.discord.token = "another-token"
    asked = len(house.discord.calls)
    later = await house.again()
    async with asyncio.timeout(5):
        await later.bot
    assert [path for _, path, _ in house.discord.calls[asked:]] == ["/users/@me"]
