"""The Telegram surface: drafts in private chats, paced edits elsewhere; one writer a chat, which obeys every 429.

Supports: rich messages with two fallbacks, native drafts with their stop button, topics, groups that became
supergroups. Not yet: pictures, effects, reactions. Never: resending a message whose first sending may have arrived.

Facts: edits count as sends (about 1/s in a private chat, 20/min in a group, 30/s in all); a draft lives 30 s and ends
with the bot's next message in the chat, after which its id must not be used again; a draft is private only.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import structlog

from bots.common import pacing
from bots.common.pager import PageLimits
from bots.common.surface import (
    Flooded,
    Missing,
    Page,
    Place,
    Refused,
    Sent,
    SurfaceError,
    SurfaceLimits,
    Uncertain,
    Unreachable,
    Unsent,
)
from bots.telegram.api import ApiError, BotApi, Json, NoAnswer, NotSent
from bots.telegram.entities import Text, as_entities, as_plain, rich_markdown
from bots.telegram.keyboards import keyboard
from core.chat import Verb, pack

log = structlog.get_logger(__name__)

PRIVATE = pacing.Rate(per_s=0.95, burst=4, live_s=1.5, live_max_s=8.0, reserve=2)
GROUP = pacing.Rate(per_s=0.3, burst=15, live_s=4.3, live_max_s=20.0, reserve=6)
DRAFT = pacing.Rate(per_s=2.0, burst=8, live_s=1.0, live_max_s=5.0)
EVERYWHERE = pacing.Rate(per_s=25, burst=25, live_s=0.0, live_max_s=1.0, reserve=10)
FRESH_LEVEL = {PRIVATE: 3.0, GROUP: 9.0}
"""What a chat has to start with: a former process may have written there a moment ago."""
GROUP_STREAMS = 4
"""More answers than these at once in a group show only their ends."""
CHATS = 4_096
"""Chats whose pace is remembered."""
SOON_S = 0.2
DRAFT_S = 5.0
"""A draft that takes longer is given up: it holds the chat's writer, and the next one overtakes it."""

PAGE = PageLimits(7_500, blocks=400)
"""The server takes 32,768 characters and 500 blocks; clients were seen to render only 10,000 to 15,000 characters."""
SPARE = 400


class Level(IntEnum):
    """How a message is formatted: the first that the server takes, decided for each message."""

    RICH = 0
    ENTITIES = 1
    PLAIN = 2


class Chat:
    """What this process knows of one chat: its writer's lock, its pace, its drafts."""

    def __init__(self, id: str, now: float) -> None:
        self.id = id
        self.private = not id.startswith("-")
        rate = PRIVATE if self.private else GROUP
        self.pace = pacing.fresh(rate, now, level=FRESH_LEVEL[rate])
        self.drafts = pacing.fresh(DRAFT, now)
        self.quiet_until = float("-inf")
        """No typing hint before; set by the server's own answer to one."""
        self.lock = asyncio.Lock()
        self.streams = 0
        self.drafter: TelegramSurface | None = None
        """The one answer that shows as a draft: a second one would replace it at each frame."""
        self.draft_id = secrets.randbelow(2**30) + 1
        self.stops: OrderedDict[int, str] = OrderedDict()
        """Packed stop action by draft id."""

    def message_posted(self) -> None:
        """Any message of ours ends the draft; its id is used up."""
        self.draft_id += 1


class Chats:
    """The chats of one bot, and what they share."""

    def __init__(self, api: BotApi) -> None:
        self.api = api
        self._chats: OrderedDict[str, Chat] = OrderedDict()
        self._moved: dict[str, str] = {}
        self.everywhere = pacing.fresh(EVERYWHERE, asyncio.get_running_loop().time())

    def chat(self, id: str) -> Chat:
        """The chat of this id, or the supergroup it became."""
        id = self._moved.get(id, id)
        chat = self._chats.get(id)
        if chat is None:
            chat = self._chats[id] = Chat(id, asyncio.get_running_loop().time())
            for other in itertools.islice(list(self._chats), max(0, len(self._chats) - CHATS)):
                if not self._chats[other].lock.locked() and not self._chats[other].streams:
                    del self._chats[other]
        self._chats.move_to_end(id)
        return chat

    def moved(self, old: str, new: str) -> None:
        """The group became a supergroup."""
        self._moved[old] = new

    def surface(self, place: Place) -> TelegramSurface:
        """The place that these JSON values name."""
        return TelegramSurface(self, place)


class TelegramSurface:
    """One answer's place in a chat."""

    def __init__(self, chats: Chats, place: Place) -> None:
        self._chats = chats
        self._chat_id = str(place["chat"])
        self._thread = str(place.get("thread") or "0")
        self._reply_to = place.get("reply_to")
        chat = self.chat
        self.limits = SurfaceLimits(
            page=PAGE,
            spare=SPARE,
            drafts=chat.private,
            first_chars=40,
            first_s=1.5,
            step_chars=40 if chat.private else 80,
            hint_s=4.5,
            keep_s=20.0 if chat.private else None,
        )
        self._levels: dict[str, Level] = {}
        self._parts: dict[str, list[str]] = {}
        self._streaming = False
        self._closed = False
        self.halted = False
        """The person stopped the draft: it must not be written again."""

    @property
    def chat(self) -> Chat:
        return self._chats.chat(self._chat_id)

    # Waiting.

    def live_wait(self, *, draft: bool) -> float:
        """See Surface."""
        chat, now = self.chat, _now()
        if not self._streaming and not self._closed:
            self._streaming = True
            chat.streams += 1
        if self.halted:
            return float("inf")
        soon = SOON_S if chat.lock.locked() else 0.0
        shared = pacing.live_wait(self._chats.everywhere, now)
        if draft:
            if chat.drafter not in (None, self):
                return float("inf")
            return max(soon, shared, pacing.live_wait(chat.drafts, now), chat.pace.blocked_until - now)
        if chat.streams > GROUP_STREAMS and not chat.private:
            return float("inf")
        return max(soon, shared, pacing.live_wait(chat.pace, now, streams=chat.streams))

    async def hint(self) -> None:
        """See Surface."""
        chat, now = self.chat, _now()
        if now < max(chat.quiet_until, chat.pace.blocked_until):
            return
        chat.quiet_until = now + 2.0  # several answers in one chat share the sign
        params = {"chat_id": chat.id, "action": "typing", **self._topic()}
        try:
            await self._chats.api.call("sendChatAction", params)
        except ApiError as error:
            if error.retry_after_s is not None:
                chat.quiet_until = now + error.retry_after_s + pacing.MARGIN_S
        except (NotSent, NoAnswer) as error:
            log.info("telegram.hint_lost", why=str(error))

    # Drafts.

    async def draft(self, page: Page) -> None:
        """See Surface."""
        chat = self.chat
        if self.halted or chat.drafter not in (None, self) or chat.lock.locked():
            raise Flooded(SOON_S)
        async with chat.lock:
            chat.drafter = self
            now = _now()
            chat.drafts = pacing.spent(chat.drafts, now, live=True)
            params = {"chat_id": chat.id, "draft_id": chat.draft_id, "can_stop": True, **self._topic()}
            self._remember_stop(chat, page)
            try:
                await self._draft_call(params, page)
            except ApiError as error:
                if error.retry_after_s is not None:
                    chat.drafts = pacing.flooded(chat.drafts, now, error.retry_after_s)
                    chat.pace = pacing.flooded(chat.pace, now, error.retry_after_s)
                raise self._told(error) from error
            except (NotSent, NoAnswer) as error:
                raise Unsent(str(error)) from error

    async def _draft_call(self, params: Mapping[str, Json], page: Page) -> None:
        markdown = f"<tg-thinking>{page.text}</tg-thinking>" if page.thinking else rich_markdown(page.text)
        level = self._levels.get("draft", Level.RICH)
        if level is Level.RICH:
            try:
                shown = {**params, "rich_message": {"markdown": markdown}}
                await self._chats.api.call("sendRichMessageDraft", shown, timeout_s=DRAFT_S)
                return
            except ApiError as error:
                if not _about_content(error):
                    raise
                self._levels["draft"] = Level.ENTITIES
        text = as_entities(page.text or "…")[-1]
        shown = {**params, "text": text.text, "entities": list(text.entities)}
        await self._chats.api.call("sendMessageDraft", shown, timeout_s=DRAFT_S)

    def _remember_stop(self, chat: Chat, page: Page) -> None:
        for row in page.rows:
            for button in row:
                if button.action.verb is Verb.STOP:
                    chat.stops[chat.draft_id] = pack(button.action)
        while len(chat.stops) > 16:
            chat.stops.popitem(last=False)

    # Messages.

    async def post(self, page: Page, key: str) -> Sent:
        """See Surface."""
        chat = self.chat
        async with chat.lock:
            for level in list(Level)[self._levels.get(key, Level.RICH) :]:
                self._levels[key] = level
                try:
                    if level is Level.RICH:
                        messages = [await self._send(chat, "sendRichMessage", self._rich(page), page, first=True)]
                    else:
                        messages = await self._send_texts(chat, _texts(page.text, level), page, key)
                except _Unformatted as refused:
                    log.info("telegram.fell_back", level=level.name, why=str(refused))
                    if level is Level.PLAIN:
                        raise Refused(str(refused)) from refused
                    continue
                self._parts.pop(key, None)
                del self._levels[key]
                self._levels[messages[0]] = level
                return Sent(chat.id, messages[0], tuple(messages[1:]))
        raise AssertionError("every level either returned or raised")

    async def _send_texts(self, chat: Chat, texts: list[Text], page: Page, key: str) -> list[str]:
        """Several messages for one page; a repeat with the same key goes on behind those that arrived."""
        done = self._parts.setdefault(key, [])
        for index in range(len(done), len(texts)):
            last = index == len(texts) - 1
            shown = page if last else Page(page.text)
            try:
                done.append(await self._send(chat, "sendMessage", _text(texts[index]), shown, first=not done))
            except SurfaceError as error:
                error.partly = bool(done)
                raise
        return done

    async def _send(self, chat: Chat, method: str, content: Mapping[str, Json], page: Page, *, first: bool) -> str:
        params: dict[str, Json] = {"chat_id": chat.id, **content, "reply_markup": keyboard(page.rows), **self._topic()}
        if first and self._reply_to:
            reply = {"message_id": int(str(self._reply_to)), "allow_sending_without_reply": True}
            params["reply_parameters"] = reply
        result = await self._call(chat, method, params)
        chat.message_posted()
        message = result.get("message_id") if isinstance(result, dict) else None
        if not isinstance(message, int):
            raise Uncertain("an answer without a message id")
        return str(message)

    async def edit(self, sent: Sent, page: Page, *, live: bool = False) -> Sent:
        """See Surface."""
        chat = self.chat
        if live and chat.lock.locked():
            raise Flooded(SOON_S)
        async with chat.lock:
            for level in list(Level)[self._levels.get(sent.message, Level.RICH) :]:
                try:
                    if level is Level.RICH:
                        await self._edit(chat, sent.message, self._rich(page), page, live=live)
                        more = list(sent.more)
                    else:
                        more = await self._edit_texts(chat, sent, _texts(page.text, level), page, live=live)
                except _Unformatted as refused:
                    log.info("telegram.fell_back", level=level.name, why=str(refused))
                    if level is Level.PLAIN:
                        raise Refused(str(refused)) from refused
                    continue
                self._levels[sent.message] = level
                return Sent(chat.id, sent.message, tuple(more))
        raise AssertionError("every level either returned or raised")

    async def _edit_texts(self, chat: Chat, sent: Sent, texts: list[Text], page: Page, *, live: bool) -> list[str]:
        """The first text into the message that stands, the others into the messages behind it."""
        if live:
            texts = texts[:1]
        more = self._parts.setdefault(sent.message, list(sent.more))
        for index, text in enumerate(texts):
            shown = page if index == len(texts) - 1 else Page(page.text)
            if index == 0:
                await self._edit(chat, sent.message, _text(text), shown, live=live)
            elif index <= len(more):
                await self._edit(chat, more[index - 1], _text(text), shown, live=live)
            else:
                more.append(await self._send(chat, "sendMessage", _text(text), shown, first=False))
        return more

    async def _edit(self, chat: Chat, message: str, content: Mapping[str, Json], page: Page, *, live: bool) -> None:
        params = {"chat_id": chat.id, "message_id": int(message), **content, "reply_markup": keyboard(page.rows)}
        await self._call(chat, "editMessageText", params, live=live)

    async def remove(self, sent: Sent) -> None:
        """See Surface."""
        for message in (sent.message, *sent.more):
            try:
                await self._chats.api.call("deleteMessage", {"chat_id": sent.chat, "message_id": int(message)})
            except (ApiError, NotSent, NoAnswer) as error:
                log.info("telegram.not_removed", why=str(error))

    def close(self) -> None:
        """See Surface."""
        chat = self.chat
        if self._streaming and not self._closed:
            chat.streams -= 1
        self._closed = True
        if chat.drafter is self:
            chat.drafter = None

    # Calling.

    async def _call(self, chat: Chat, method: str, params: dict[str, Json], *, live: bool = False) -> Json:
        """One write, when its time has come; the caller holds the chat's lock."""
        if not live:
            await self._turn_to_write(chat)
        elif _wait(chat.pace) > 0:
            raise Flooded(_wait(chat.pace))
        now = _now()
        chat.pace = pacing.spent(chat.pace, now, live=live)
        self._chats.everywhere = pacing.spent(self._chats.everywhere, now)
        try:
            return await self._chats.api.call(method, params)
        except ApiError as error:
            if error.migrated_to is not None:
                self._chats.moved(chat.id, str(error.migrated_to))
                return await self._chats.api.call(method, {**params, "chat_id": str(error.migrated_to)})
            if "message is not modified" in error.description:
                return {"message_id": params.get("message_id")}
            if "message thread not found" in error.description and "message_thread_id" in params:
                self._thread = "0"
                return await self._call(chat, method, {**params, "message_thread_id": None}, live=live)
            if error.retry_after_s is not None:
                chat.pace = pacing.flooded(chat.pace, _now(), error.retry_after_s)
            raise self._told(error) from error
        except NotSent as error:
            raise Unsent(str(error)) from error
        except NoAnswer as error:
            raise Uncertain(str(error)) from error

    async def ready(self) -> None:
        """See Waits."""
        await self._turn_to_write(self.chat)

    async def _turn_to_write(self, chat: Chat) -> None:
        wait = max(_wait(chat.pace), _wait(self._chats.everywhere))
        while wait > 0:  # other chats may have spent the common share meanwhile
            await asyncio.sleep(wait)
            wait = max(_wait(chat.pace), _wait(self._chats.everywhere))

    @staticmethod
    def _told(error: ApiError) -> Exception:
        """A refusal in the words of Surface."""
        text = error.description.lower()
        if error.code == 429:
            return Flooded((error.retry_after_s or 1.0) + pacing.MARGIN_S)
        if "method not found" in text:
            return _Unformatted(str(error))
        if error.code in (401, 403, 404) or any(words in text for words in _CLOSED):
            return Unreachable(str(error))
        if any(words in text for words in _GONE):
            return Missing(str(error))
        if error.code >= 500:
            return Unsent(str(error))
        return _Unformatted(str(error))

    def _topic(self) -> dict[str, Json]:
        return {"message_thread_id": int(self._thread)} if self._thread != "0" else {}

    @staticmethod
    def _rich(page: Page) -> dict[str, Json]:
        return {"rich_message": {"markdown": rich_markdown(page.text)}}


class _Unformatted(Refused):
    """The server does not take this content in this form."""


_CLOSED = (
    "chat not found",
    "user is deactivated",
    "not enough rights",
    "chat_write_forbidden",
    "topic_closed",
    "bot was kicked",
    "have no rights to send",
)
_GONE = ("message to edit not found", "message_id_invalid", "message can't be edited", "no text in the message to edit")


def _about_content(error: ApiError) -> bool:
    return isinstance(TelegramSurface._told(error), _Unformatted)


def _texts(markdown: str, level: Level) -> list[Text]:
    return as_entities(markdown) if level is Level.ENTITIES else as_plain(markdown)


def _text(text: Text) -> dict[str, Any]:
    return {
        "text": text.text,
        "entities": list(text.entities),
        "link_preview_options": {"is_disabled": True},
    }


def _wait(pace: pacing.Pace) -> float:
    return pacing.final_wait(pace, _now())


def _now() -> float:
    return asyncio.get_running_loop().time()
