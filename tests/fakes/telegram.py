"""A Bot API server of the test's own, on loopback: real HTTP, a few methods, the rules our bot must not break.

Answers as the server does where it matters: floods by token buckets, refuses drafts in groups, edits without a change,
messages too long. `calls` keeps everything asked, `messages` what stands in the chats, `breaches` every rule broken.
Faults are queued by method: `fault("sendRichMessage", Fault(429, retry_after=1))`, `Fault(drop="after")`.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

TOKEN = "42:TEST"
ME = {"id": 42, "is_bot": True, "first_name": "Lab", "username": "lab_bot"}


@dataclass
class Fault:
    """How one call goes wrong; without a code or a drop it goes right, to let a call through to the next fault."""

    code: int = 0
    description: str = "Fault"
    retry_after: int | None = None
    drop: str = ""
    """`before` or `after`: the connection ends without an answer, and the call is not or is carried out."""
    html: bool = False


@dataclass
class Shown:
    """A message of the bot."""

    chat: str
    id: int
    text: str
    rich: bool
    entities: list[dict[str, Any]]
    keyboard: list[list[dict[str, Any]]]
    edits: int = 0
    reply_to: int | None = None

    def data(self, label: str) -> str:
        """The payload of the button whose label contains `label`."""
        return str(next(b["callback_data"] for row in self.keyboard for b in row if label in b["text"]))


class Refusal(Exception):
    """A call that the server refuses."""

    def __init__(self, code: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code, self.description, self.retry_after = code, description, retry_after


@dataclass
class Bucket:
    rate: float
    burst: float
    level: float = field(default=-1.0)
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        if self.level < 0:
            self.level = self.burst
        now = time.monotonic()
        self.level, self.at = min(self.burst, self.level + (now - self.at) * self.rate), now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class FakeTelegram:
    """Start it with `async with`; `url` is the server root."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.messages: list[Shown] = []
        self.drafts: list[tuple[str, int, str]] = []
        self.breaches: list[str] = []
        self.answers: dict[str, str | None] = {}
        self.refuse_rich = ""
        """When not empty, rich messages are refused with this description."""
        self.limit_text = 4096
        self.url = ""
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self._buckets: dict[str, Bucket] = {}
        self._ended_drafts: set[tuple[str, int]] = set()
        self._last_draft: dict[str, int] = {}
        self._updates: list[dict[str, Any]] = []
        self._next_update = 1000
        self._next_message = 100
        self._news = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeTelegram:
        app = web.Application()
        app.router.add_post("/bot{token}/{method}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._news.set()
        assert self._runner is not None
        await self._runner.cleanup()

    # The test's side.

    def fault(self, method: str, *faults: Fault) -> None:
        """The next calls of `method` go wrong, one each."""
        self._faults[method] += faults

    def update(self, **content: Any) -> int:
        """Queue a raw update."""
        self._next_update += 1
        self._updates.append({"update_id": self._next_update, **content})
        self._news.set()
        return self._next_update

    def say(self, text: str, *, user: int = 7, chat: int | None = None, language: str = "en", **more: Any) -> int:
        """A person writes; the message's id."""
        self._next_message += 1
        where = {"id": chat, "type": "supergroup", "title": "Group"} if chat else {"id": user, "type": "private"}
        sender = {"id": user, "is_bot": False, "first_name": f"User{user}", "language_code": language}
        message = {"message_id": self._next_message, "date": 1, "chat": where, "from": sender, "text": text, **more}
        self.update(message=message)
        return self._next_message

    def press(self, shown: Shown, data: str, *, user: int = 7) -> str:
        """A person presses a button; the query's id."""
        query = f"q{self._next_update}"
        sender = {"id": user, "is_bot": False, "first_name": f"User{user}", "language_code": "en"}
        message = {"message_id": shown.id, "date": 1, "chat": _chat(shown.chat), "from": ME}
        pressed = {"id": query, "from": sender, "message": message, "data": data, "chat_instance": "1"}
        self.update(callback_query=pressed)
        return query

    def replied(self, shown: Shown) -> dict[str, Any]:
        """`reply_to_message` for a reply to one of the bot's messages."""
        return {"message_id": shown.id, "date": 1, "chat": _chat(shown.chat), "from": ME, "text": shown.text}

    def texts(self, chat: int = 7) -> list[str]:
        return [one.text for one in self.messages if one.chat == str(chat)]

    async def until(self, condition: Any, timeout_s: float = 10.0) -> None:
        """Wait until `condition()` holds."""
        for _ in range(int(timeout_s / 0.02)):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"it never came to be; the chats hold {[shown.text[:80] for shown in self.messages]}")

    # The server's side.

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        body = await request.read()
        params: dict[str, Any] = orjson.loads(body) if body else {}
        if request.match_info["token"] != TOKEN:
            return _told(Refusal(401, "Unauthorized"))
        if method != "getUpdates":
            self.calls.append((method, params))
        fault = self._faults[method].pop(0) if self._faults[method] else None
        if fault is not None and not fault.code and not fault.drop:
            fault = None
        if fault is not None and fault.drop != "after":
            if fault.drop:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            if fault.html:
                return web.Response(status=fault.code, text="<html>no</html>", content_type="text/html")
            return _told(Refusal(fault.code, fault.description, fault.retry_after))
        try:
            result = await self._run(method, params)
        except Refusal as refusal:
            return _told(refusal)
        if fault is not None:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"ok": True, "result": result})

    async def _run(self, method: str, params: dict[str, Any]) -> Any:
        match method:
            case "getMe":
                return ME
            case "getUpdates":
                return await self._poll(params)
            case "sendMessage" | "sendRichMessage":
                return self._send(method, params)
            case "editMessageText":
                return self._edit(params)
            case "sendMessageDraft" | "sendRichMessageDraft":
                return self._draft(method, params)
            case "answerCallbackQuery":
                self.answers[params["callback_query_id"]] = params.get("text")
                return True
            case "deleteMessage":
                where = (str(params["chat_id"]), params["message_id"])
                self.messages = [one for one in self.messages if (one.chat, one.id) != where]
                return True
            case "setMyCommands" | "sendChatAction" | "deleteWebhook":
                return True
        raise Refusal(404, "Not Found: method not found")

    async def _poll(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        offset = params.get("offset", 0)
        self._updates = [one for one in self._updates if one["update_id"] >= offset]
        if not self._updates:
            self._news.clear()
            try:
                async with asyncio.timeout(min(2.0, params.get("timeout", 0))):
                    await self._news.wait()
            except TimeoutError:
                return []
        return self._updates[: params.get("limit", 100)]

    def _flood(self, chat: str) -> None:
        rate, burst = (20 / 60, 20.0) if chat.startswith("-") else (1.0, 5.0)
        if not self._buckets.setdefault(chat, Bucket(rate, burst)).take():
            self.breaches.append(f"flood in {chat}")
            raise Refusal(429, "Too Many Requests: retry after 3", 3)

    def _content(self, method: str, params: dict[str, Any]) -> tuple[str, bool]:
        if "rich_message" in params:
            if self.refuse_rich:
                raise Refusal(400, f"Bad Request: {self.refuse_rich}")
            text = params["rich_message"]["markdown"]
            if len(text) > 8000:
                self.breaches.append("rich message of more than 8000 characters")
            return text, True
        text = params["text"]
        if not text.strip():
            raise Refusal(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > self.limit_text:
            raise Refusal(400, "Bad Request: message is too long")
        return text, False

    def _send(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        chat = str(params["chat_id"])
        text, rich = self._content(method, params)
        self._flood(chat)
        self._next_message += 1
        if chat in self._last_draft:
            self._ended_drafts.add((chat, self._last_draft.pop(chat)))
        reply = params.get("reply_parameters") or {}
        markup = params.get("reply_markup") or {}
        self.messages.append(
            Shown(
                chat,
                self._next_message,
                text,
                rich,
                params.get("entities", []),
                markup.get("inline_keyboard", []),
                reply_to=reply.get("message_id"),
            )
        )
        return {"message_id": self._next_message, "chat": {"id": int(chat)}, "date": 1}

    def _edit(self, params: dict[str, Any]) -> dict[str, Any]:
        chat = str(params["chat_id"])
        found = next((m for m in self.messages if m.chat == chat and m.id == params["message_id"]), None)
        if found is None:
            raise Refusal(400, "Bad Request: message to edit not found")
        text, rich = self._content("editMessageText", params)
        self._flood(chat)
        keyboard = (params.get("reply_markup") or {}).get("inline_keyboard", [])
        if (found.text, found.rich, found.keyboard) == (text, rich, keyboard):
            raise Refusal(400, "Bad Request: message is not modified: same content")
        found.text, found.rich, found.keyboard, found.edits = text, rich, keyboard, found.edits + 1
        return {"message_id": found.id, "chat": {"id": int(chat)}, "date": 1}

    def _draft(self, method: str, params: dict[str, Any]) -> bool:
        chat, draft = str(params["chat_id"]), params["draft_id"]
        if chat.startswith("-"):
            raise Refusal(400, "Bad Request: TEXTDRAFT_PEER_INVALID")
        if (chat, draft) in self._ended_drafts:
            self.breaches.append("a draft was written after the message that ended it")
        text, _ = self._content(method, params)
        self._last_draft[chat] = draft
        self.drafts.append((chat, draft, text))
        return True


def _chat(id: str) -> dict[str, Any]:
    return {"id": int(id), "type": "supergroup" if id.startswith("-") else "private"}


def _told(refusal: Refusal) -> web.Response:
    parameters = {} if refusal.retry_after is None else {"parameters": {"retry_after": refusal.retry_after}}
    body = {"ok": False, "error_code": refusal.code, "description": refusal.description, **parameters}
    return web.json_response(body, status=refusal.code)
