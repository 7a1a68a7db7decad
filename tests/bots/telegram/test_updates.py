"""Reading updates: what is meant for the bot and what is not, whatever the JSON holds."""

from __future__ import annotations

from typing import Any

import pytest

from bots.common.inbound import Incoming, Press
from bots.telegram.api import read_json
from bots.telegram.updates import Me, Stopped, lane, read, rich_text

ME = Me("42", "lab_bot")
US = {"id": 42, "is_bot": True, "username": "lab_bot"}
MEI = {"id": 7, "is_bot": False, "first_name": "Mei", "last_name": "Lin", "username": "mei", "language_code": "zh-hans"}


def message(text: str | None = "hello", *, group: bool = False, **more: Any) -> dict[str, Any]:
    chat = {"id": -100, "type": "supergroup"} if group else {"id": 7, "type": "private"}
    told: dict[str, Any] = {"message_id": 5, "date": 1, "chat": chat, "from": MEI, **more}
    if text is not None:
        told["text"] = text
    return {"update_id": 900, "message": told}


def incoming(update: dict[str, Any]) -> Incoming:
    found = read(update, ME)
    assert isinstance(found, Incoming)
    return found


def test_a_private_message_is_meant_for_us() -> None:
    found = incoming(message())
    assert (found.event, found.chat, found.text, found.private) == ("900", "7", "hello", True)
    assert (found.person.display, found.person.handle, found.person.language) == ("Mei Lin", "@mei", "zh-hans")
    assert found.place["reply_to"] is None


@pytest.mark.parametrize(
    ("text", "command", "words"),
    [
        ("/start", "start", ""),
        ("/model gpt-4o mini", "model", "gpt-4o mini"),
        ("/Model@Lab_Bot x", "model", "x"),
        ("/usr/bin is a folder", None, "/usr/bin is a folder"),
        ("/model@other_bot x", None, "/model@other_bot x"),
    ],
)
def test_commands_are_told_from_words(text: str, command: str | None, words: str) -> None:
    found = incoming(message(text))
    assert (found.command, found.text) == (command, words)


@pytest.mark.parametrize("text", ["@lab_bot what is this", "@Lab_Bot, what is this", "what is this @lab_bot"])
def test_a_mention_in_a_group_addresses_us_and_is_not_part_of_the_question(text: str) -> None:
    found = incoming(message(text, group=True))
    assert found.text == "what is this"
    assert found.place["reply_to"] == "5"


def test_a_mention_without_a_name_addresses_us() -> None:
    entity = {"type": "text_mention", "offset": 3, "length": 3, "user": US}
    assert incoming(message("😀 Lab hi", group=True, entities=[entity])).text == "😀  hi"


@pytest.mark.parametrize(
    "update",
    [
        message("just talk", group=True),
        message("mail me@lab_bot.org", group=True),
        message("@lab_botany is another", group=True),
        message("/unknown", group=True),
        message("/new@other_bot", group=True),
        {"update_id": 1, "message": {**message()["message"], "from": {**MEI, "is_bot": True}}},
        message(None, new_chat_members=[MEI]),
        {"update_id": 1, "message": {"message_id": 1, "chat": {"id": -1, "type": "channel"}, "text": "news"}},
        {"update_id": 1, "my_chat_member": {"chat": {"id": 7, "type": "private"}, "from": MEI}},
        {"update_id": 1, "a_kind_of_next_year": {"x": 1}},
    ],
)
def test_what_is_not_meant_for_us_is_passed_over(update: dict[str, Any]) -> None:
    assert read(update, ME) is None


def test_a_reply_to_us_addresses_us_and_names_the_message() -> None:
    replied = {"message_id": 3, "from": US, "text": "an answer", "chat": {"id": -100}}
    found = incoming(message("and why?", group=True, reply_to_message=replied))
    assert (found.reply_to, found.quote) == ("3", None)


def test_a_reply_to_another_with_a_mention_quotes_the_other() -> None:
    replied = {"message_id": 3, "from": {"id": 8, "is_bot": False}, "text": "the claim", "chat": {"id": -100}}
    found = incoming(message("@lab_bot is it true?", group=True, reply_to_message=replied))
    assert (found.reply_to, found.quote) == (None, "the claim")


def test_the_first_message_of_a_topic_is_no_reply() -> None:
    opened = {"message_id": 3, "from": US, "forum_topic_created": {"name": "x"}, "chat": {"id": -100}}
    assert (
        read(message("hi", group=True, reply_to_message=opened, message_thread_id=3, is_topic_message=True), ME) is None
    )


def test_topics_are_threads() -> None:
    found = incoming(message("@lab_bot hi", group=True, message_thread_id=9, is_topic_message=True))
    assert (found.thread, found.place["thread"]) == ("9", "9")


def test_a_picture_is_counted_with_its_caption_as_text() -> None:
    found = incoming(message(None, photo=[{"file_id": "x"}], caption="what is it?"))
    assert (found.attachments, found.text) == (1, "what is it?")


def test_an_incoming_rich_message_is_read_to_a_bounded_depth() -> None:
    nested: Any = {"type": "paragraph", "text": "deep"}
    for _ in range(500):
        nested = {"type": "block_of_next_year", "blocks": [nested]}
    rich = {"blocks": [{"type": "heading", "text": ["One ", {"type": "bold", "text": "two"}]}, nested]}
    assert rich_text(rich) == "One two"
    assert incoming(message(None, rich_message=rich)).text == "One two"


def test_a_press_and_the_message_it_is_on() -> None:
    query = {"id": "q", "from": MEI, "data": "1s:turn_x", "message": {"message_id": 5, "date": 1, "chat": {"id": -100}}}
    found = read({"update_id": 1, "callback_query": query}, ME)
    assert isinstance(found, Press)
    assert (found.payload, found.message, found.private, found.place["reply_to"]) == ("1s:turn_x", "5", False, "5")


def test_the_stop_of_a_draft() -> None:
    stopped = {"chat": {"id": 7, "type": "private", "first_name": "Mei"}, "draft_id": 12}
    found = read({"update_id": 1, "stopped_message_generation": stopped}, ME)
    assert isinstance(found, Stopped)
    assert (found.draft_id, found.incoming.person.id) == (12, "7")


def test_updates_of_one_chat_share_a_lane() -> None:
    press = {"callback_query": {"id": "q", "from": MEI, "message": {"chat": {"id": -100}}}}
    assert lane(message(group=True)) == lane({"update_id": 1, **press}) == "-100"
    assert lane({"update_id": 1, "odd": 3}) == ""


def test_json_with_half_a_surrogate_pair_is_read() -> None:
    assert read_json(b'{"text": "a\\ud83d b"}') == {"text": "a? b"}


def test_null_characters_never_reach_the_database() -> None:
    assert incoming(message("a\x00b")).text == "ab"
