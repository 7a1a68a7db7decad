"""Reading updates: raw Bot API JSON → Incoming, Press or Stopped, or None for what is not meant for us.

Tolerant and bounded: unknown fields and kinds are passed over, rich blocks are walked to a fixed depth and size, and
nothing here awaits. What cannot be read raises; the inbox sets that one update aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bots.common.inbound import Incoming, Person, Press
from core import commands

KINDS = ("message", "callback_query", "my_chat_member", "stopped_message_generation")
"""The update kinds we ask for; a list once given stays with the bot, so it is always given."""

RICH_DEPTH = 20
RICH_CHARS = 40_000

_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{3,40}))?(?:\s+(.*))?", re.S)
_ATTACHED = ("photo", "document", "voice", "audio", "video", "video_note", "animation", "sticker")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Me:
    """The bot's own identity."""

    id: str
    username: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The person pressed the stop button of a draft."""

    incoming: Incoming
    draft_id: int


def plain(update: Json) -> dict[str, Any]:
    """The update without rich blocks anywhere, safe to decode into types. The original is left as it is."""
    return {name: _without_rich(value, 0) for name, value in update.items()}


def _without_rich(value: Any, depth: int) -> Any:
    if isinstance(value, dict) and depth < RICH_DEPTH:
        return {name: _without_rich(one, depth + 1) for name, one in value.items() if name != "rich_message"}
    return value


def lane(update: Json) -> str:
    """Updates of one lane are worked on in order: the chat they belong to."""
    for name, value in update.items():
        if name == "update_id" or not isinstance(value, dict):
            continue
        message = value.get("message")
        chat = value.get("chat") or (message.get("chat") if isinstance(message, dict) else None) or value.get("from")
        if isinstance(chat, dict) and "id" in chat:
            return str(chat["id"])
    return ""


def read(update: Json, me: Me) -> Incoming | Press | Stopped | None:
    """What an update asks of us."""
    event = str(update["update_id"])
    if "message" in update:
        return _message(update["message"], event, me)
    if "callback_query" in update:
        return _press(update["callback_query"], event)
    if "stopped_message_generation" in update:
        return _stopped(update["stopped_message_generation"], event)
    return None


def _message(message: Json, event: str, me: Me) -> Incoming | None:
    sender, chat = message.get("from"), message["chat"]
    if (
        not isinstance(sender, dict)
        or sender.get("is_bot")
        or chat.get("type") not in ("private", "group", "supergroup")
    ):
        return None
    private = chat["type"] == "private"
    text, entities = _text_of(message)
    attachments = sum(1 for kind in _ATTACHED if message.get(kind))
    if not text and not attachments:
        return None
    replied = message.get("reply_to_message")
    replied = replied if isinstance(replied, dict) and "forum_topic_created" not in replied else None
    to_us = replied is not None and str((replied.get("from") or {}).get("id")) == me.id
    command, words = _command_of(text, me)
    if command is None:
        words, mentioned = _without_mention(text, entities, me)
        if not (private or mentioned or to_us):
            return None
    elif not private and commands.find(command) is None and f"@{me.username.lower()}" not in text.lower():
        return None
    thread = str(message.get("message_thread_id") or 0) if message.get("is_topic_message") else "0"
    return Incoming(
        event=event,
        person=_person(sender),
        chat=str(chat["id"]),
        place=_place(chat, thread, None if private else message.get("message_id")),
        text=words.strip(),
        private=private,
        thread=thread,
        command=command,
        reply_to=str(replied["message_id"]) if replied is not None and to_us else None,
        quote=_quote_of(message, replied) if replied is not None and not to_us and command is None else None,
        attachments=attachments,
    )


def _press(query: Json, event: str) -> Press | None:
    message, payload = query.get("message"), query.get("data")
    if not isinstance(message, dict) or not isinstance(payload, str):
        return None
    chat = message["chat"]
    private = chat.get("type") == "private"
    thread = str(message.get("message_thread_id") or 0) if message.get("is_topic_message") else "0"
    gone = not message.get("date")
    return Press(
        event=event,
        person=_person(query["from"]),
        chat=str(chat["id"]),
        place=_place(chat, thread, None if private or gone else message.get("message_id")),
        payload=payload,
        private=private,
        thread=thread,
        message=None if gone else str(message["message_id"]),
    )


def _stopped(stopped: Json, event: str) -> Stopped:
    chat = stopped["chat"]
    thread = str(stopped.get("message_thread_id") or 0)
    incoming = Incoming(
        event=event,
        person=_person(chat),  # a private chat has the id and the names of its person
        chat=str(chat["id"]),
        place=_place(chat, thread, None),
        text="",
        private=True,
        thread=thread,
    )
    return Stopped(incoming, int(stopped["draft_id"]))


def _person(user: Json) -> Person:
    names = [str(user[name]) for name in ("first_name", "last_name") if user.get(name)]
    username = user.get("username")
    language = user.get("language_code")
    return Person(
        id=str(user["id"]),
        display=_clean(" ".join(names)),
        handle=f"@{username}" if username else "",
        language=str(language) if language else None,
    )


def _place(chat: Json, thread: str, reply_to: object) -> dict[str, str | int | bool | None]:
    return {"chat": str(chat["id"]), "thread": thread, "reply_to": str(reply_to) if reply_to else None}


def _text_of(message: Json) -> tuple[str, list[Json]]:
    for name, entities in (("text", "entities"), ("caption", "caption_entities")):
        text = message.get(name)
        if isinstance(text, str) and text:
            found = message.get(entities)
            return _clean(text), [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    rich = message.get("rich_message")
    return (_clean(rich_text(rich)), []) if isinstance(rich, dict) else ("", [])


def _quote_of(message: Json, replied: Json) -> str | None:
    chosen = message.get("quote")
    if isinstance(chosen, dict) and isinstance(chosen.get("text"), str):
        return _clean(chosen["text"]) or None
    return _text_of(replied)[0] or None


def _command_of(text: str, me: Me) -> tuple[str | None, str]:
    found = _COMMAND.fullmatch(text)
    if found is None or (found[2] and found[2].lower() != me.username.lower()):
        return None, text
    return found[1].lower(), found[3] or ""


def _without_mention(text: str, entities: list[Json], me: Me) -> tuple[str, bool]:
    """The text without mentions of the bot, and whether there was one."""
    name = f"@{me.username}".lower()
    for entity in entities:
        user = entity.get("user")
        if entity.get("type") == "text_mention" and isinstance(user, dict) and str(user.get("id")) == me.id:
            units = text.encode("utf-16-le")
            start, end = 2 * int(entity["offset"]), 2 * (int(entity["offset"]) + int(entity["length"]))
            return (units[:start] + units[end:]).decode("utf-16-le", "ignore"), True
    pattern = re.compile(rf"(?<![\w@]){re.escape(name)}\b", re.I)
    if not pattern.search(text):
        return text, False
    without = pattern.sub("", text, count=1)
    return re.sub(r"^[\s,:]+", "", without) if text.lower().lstrip().startswith(name) else without, True


def rich_text(rich: Json) -> str:
    """The readable text of a rich message, to a bounded depth and size."""
    found: list[str] = []
    size = 0
    stack: list[tuple[object, int]] = [(rich, 0)]
    while stack and size < RICH_CHARS:
        value, depth = stack.pop()
        if isinstance(value, str):
            found.append(value)
            size += len(value)
        elif depth >= RICH_DEPTH:
            continue
        elif isinstance(value, list):
            stack.extend((one, depth + 1) for one in reversed(value[:RICH_CHARS]))
        elif isinstance(value, dict):
            if depth and value.get("type") in {"paragraph", "heading", "pre", "list", "table", "blockquote"} and found:
                found.append("\n")
            named = ("blocks", "items", "cells", "summary", "text", "expression", "caption", "credit")
            stack.extend((value[name], depth + 1) for name in reversed(named) if name in value)
    return "".join(found)[:RICH_CHARS]


def _clean(text: str) -> str:
    return text.replace("\x00", "")
