"""A Discord of the test's own, on loopback: real HTTP and a real gateway, few routes, the rules our bot must not break.

Counts as Discord does where it matters: five sends and five edits in five seconds and channel with their headers,
nonces, interactions acknowledged within 3 s, whispers, tokens that die, empty and over-long messages. `messages` keeps
what stands, `calls` everything asked, `breaches` every rule broken. Faults are queued by a pattern on "METHOD /path".
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSMsgType, web

TOKEN = "discord-test-token"
BOT = "4200"
GUILD, GENERAL = "100", "101"
BUCKETS = {"POST message": (5, 5.0), "PATCH message": (5, 5.0), "typing": (5, 5.0), "webhook": (5, 2.0)}
ACK_S = 3.0
EPHEMERAL, SUPPRESS_EMBEDS, LOADING = 1 << 6, 1 << 2, 1 << 7

Json = dict[str, Any]


@dataclass
class Fault:
    """How one call goes wrong; without a status or a drop it goes right, to let a call through to the next fault."""

    status: int = 0
    code: int = 0
    drop: str = ""
    """`before` or `after`: the connection ends without an answer, and the call is not or is carried out."""


@dataclass
class Shown:
    """A message."""

    channel: str
    id: str
    author: str
    content: str = ""
    components: list[Json] = field(default_factory=list)
    flags: int = 0
    reply_to: str | None = None
    nonce: str | None = None
    token: str | None = None
    """Of the interaction it belongs to."""
    texts: list[str] = field(default_factory=list)
    """Everything it ever said."""
    allowed_mentions: Json | None = None

    @property
    def labels(self) -> list[str]:
        return [one.get("label", one["custom_id"]) for row in self.components for one in row["components"]]

    @property
    def loading(self) -> bool:
        return bool(self.flags & LOADING)

    @property
    def whispered(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    def custom_id(self, label: str) -> str:
        return next(
            str(one["custom_id"]) for row in self.components for one in row["components"] if label in one["label"]
        )


class Refusal(Exception):
    """A call that is refused."""

    def __init__(self, status: int, code: int = 0, **more: Any) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.body = status, {"message": "refused", "code": code, **more}


class FakeDiscord:
    """Start it with `async with`; `url` is the server root. One server, one channel in it, and direct messages."""

    def __init__(self) -> None:
        self.token = TOKEN
        self.url = ""
        self.calls: list[tuple[str, str, Json]] = []
        self.messages: list[Shown] = []
        self.commands: list[Json] = []
        self.breaches: list[str] = []
        self.sessions = 0
        """How many times a client identified itself."""
        self.token_s = 900.0
        self.closed: set[str] = set()
        """Channels that the bot may not use by itself."""
        self._faults: list[tuple[re.Pattern[str], Fault]] = []
        self._buckets: dict[str, tuple[float, int]] = {}
        self._ids = itertools.count(10_000)
        self._interactions: dict[str, Json] = {}
        self._socket: web.WebSocketResponse | None = None
        self._log: list[Json] = []
        self._session = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeDiscord:
        app = web.Application()
        app.router.add_get("/gateway", self._gateway)
        app.router.add_route("*", "/api/v10/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop()
        assert self._runner is not None
        await self._runner.cleanup()

    # The test's side.

    def fault(self, pattern: str, *faults: Fault) -> None:
        """The next calls that match go wrong, one each."""
        self._faults += [(re.compile(pattern), fault) for fault in faults]

    async def say(self, text: str, *, user: int = 7, channel: str | None = None, reply_to: str | None = None) -> Shown:
        """A person writes: directly, or in a channel of the server."""
        where = channel or dm(user)
        shown = Shown(where, self._id(), str(user), text, reply_to=reply_to)
        self.messages.append(shown)
        await self._emit("MESSAGE_CREATE", self._message(shown))
        return shown

    async def slash(
        self, name: str, *, user: int = 7, channel: str | None = None, outside: bool = False, **options: str
    ) -> str:
        """A person uses a slash command; the token of the interaction."""
        given = [{"name": key, "type": 3, "value": value} for key, value in options.items()]
        data = {"id": "1", "name": name, "type": 1, "options": given}
        return await self._interact(2, data, user, channel or dm(user), outside=outside)

    async def press(self, shown: Shown, custom_id: str, *, user: int = 7, value: str | None = None) -> str:
        """A person presses a button, or chooses from a menu; the token of the interaction."""
        data: Json = {"custom_id": custom_id, "component_type": 2 if value is None else 3}
        if value is not None:
            data["values"] = [value]
        return await self._interact(3, data, user, shown.channel, message=shown)

    def acknowledged(self, token: str) -> int | None:
        """The type of the first answer to an interaction."""
        kind: int | None = self._interactions[token].get("ack")
        return kind

    async def drop(self) -> None:
        """The gateway's connection breaks."""
        if self._socket is not None and not self._socket.closed:
            await self._socket.close(code=4000)

    async def send_op(self, op: int, data: object = None) -> None:
        """Op 7 asks to reconnect; op 9 ends the session, and what happens until the next one is not told."""
        assert self._socket is not None
        await self._socket.send_str(orjson.dumps({"op": op, "d": data, "s": None, "t": None}).decode())
        if op == 9:
            self._session, self._socket = "", None

    def bots(self, channel: str | None = None) -> list[Shown]:
        """What the bot says in a channel; the direct messages of user 7 by default."""
        return [one for one in self.messages if one.author == BOT and one.channel == (channel or dm(7))]

    async def until(self, condition: Any, timeout_s: float = 10.0) -> None:
        """Wait until `condition()` holds."""
        for _ in range(int(timeout_s / 0.02)):
            if condition():
                return
            await asyncio.sleep(0.02)
        said = [(one.channel, one.content[:80], one.labels) for one in self.messages if one.author == BOT]
        raise TimeoutError(f"it never came to be; the bot says {said}")

    async def connected(self) -> None:
        """Wait until the bot listens."""
        await self.until(lambda: self._session and self._socket is not None and not self._socket.closed)

    # The gateway.

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str('{"op": 10, "d": {"heartbeat_interval": 41250}, "s": null, "t": null}')
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            told = orjson.loads(frame.data)
            match told["op"]:
                case 1:
                    await socket.send_str('{"op": 11, "d": null, "s": null, "t": null}')
                case 2:
                    if told["d"]["token"] != self.token:
                        await socket.close(code=4004)
                        break
                    self.sessions += 1
                    self._socket, self._session, self._log = socket, f"session{self.sessions}", []
                    await self._greet()
                case 6 if told["d"]["session_id"] == self._session:
                    self._socket = socket
                    for missed in self._log[told["d"]["seq"] :]:
                        await socket.send_str(orjson.dumps(missed).decode())
                    await self._emit("RESUMED", {})
                case 6:
                    await socket.send_str('{"op": 9, "d": false, "s": null, "t": null}')
        return socket

    async def _greet(self) -> None:
        ready = {
            "v": 10,
            "user": _user(BOT),
            "guilds": [{"id": GUILD, "unavailable": True}],
            "session_id": self._session,
            "resume_gateway_url": self.url.replace("http", "ws") + "/gateway",
            "application": {"id": BOT, "flags": 0},
        }
        await self._emit("READY", ready)
        channel = {"id": GENERAL, "type": 0, "name": "general", "position": 0, "permission_overwrites": []}
        guild = {
            "id": GUILD,
            "name": "Lab",
            "owner_id": "7",
            "member_count": 2,
            "channels": [channel],
            "threads": [],
            "members": [],
            "roles": [{"id": GUILD, "name": "@everyone", "permissions": "0", "position": 0, "color": 0, "colors": {}}],
            "emojis": [],
            "features": [],
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "stickers": [],
        }
        await self._emit("GUILD_CREATE", guild)

    async def _emit(self, kind: str, data: Json) -> None:
        event = {"op": 0, "t": kind, "s": len(self._log) + 1, "d": data}
        self._log.append(event)
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str(orjson.dumps(event).decode())

    async def _interact(
        self, kind: int, data: Json, user: int, channel: str, *, message: Shown | None = None, outside: bool = False
    ) -> str:
        id, token = self._id(), f"token-{next(self._ids)}"
        in_guild = channel == GENERAL
        interaction: Json = {
            "id": id,
            "application_id": BOT,
            "type": kind,
            "data": data,
            "token": token,
            "version": 1,
            "locale": "en-US",
            "context": 0 if in_guild else 1,
            "attachment_size_limit": 1,
            "authorizing_integration_owners": {"1": str(user)} if outside or not in_guild else {"0": GUILD},
            "channel": _channel(channel),
            "channel_id": channel,
        }
        if in_guild:
            member = {"user": _user(str(user)), "roles": [], "joined_at": None, "flags": 0, "permissions": "0"}
            interaction |= {"guild_id": GUILD, "guild": {"id": GUILD, "features": []}, "member": member}
        else:
            interaction["user"] = _user(str(user))
        if message is not None:
            interaction["message"] = self._message(message)
        known = {"id": id, "at": time.monotonic(), "channel": channel, "type": kind, "message": message}
        self._interactions[token] = known
        await self._emit("INTERACTION_CREATE", interaction)
        return token

    # REST.

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method, path = request.method, "/" + request.match_info["path"]
        raw = await request.read()
        body = orjson.loads(raw) if raw else {}
        self.calls.append((method, path, body))
        fault = self._fault(f"{method} {path}")
        headers: dict[str, str] = {"Via": "fake"}
        try:
            if fault is not None and fault.status:
                raise Refusal(fault.status, fault.code)
            if fault is None or fault.drop == "after":
                answer = self._answer(request, method, path, body, headers)
            if fault is not None:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        except Refusal as refusal:
            return _json(refusal.body, headers, refusal.status)
        if answer is None:
            return web.Response(status=204, headers=headers)
        return _json(answer, headers)

    def _answer(self, request: web.Request, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        interaction = re.match(r"/(?:interactions|webhooks)/\d+/([^/]+)", path)
        if interaction is None and request.headers.get("Authorization") != f"Bot {self.token}":
            raise Refusal(401)
        match path.strip("/").split("/"):
            case ["users", "@me"]:
                return _user(BOT)
            case ["oauth2", "applications", "@me"]:
                return _application()
            case ["gateway"]:
                return {"url": self.url.replace("http", "ws") + "/gateway"}
            case ["applications", _, "commands"]:
                if method == "PUT":
                    self.commands = body
                return self.commands
            case ["channels", channel, "typing"]:
                self._count("typing", channel, headers)
                return None
            case ["channels", channel, "messages"] if method == "POST":
                self._open(channel)
                self._count("POST message", channel, headers)
                return self._message(self._sent(channel, body))
            case ["channels", channel, "messages"]:
                after = int(request.query.get("after", 0))
                found = [one for one in self.messages if one.channel == channel and int(one.id) > after]
                return [self._message(one) for one in reversed(found)]
            case ["channels", channel, "messages", id]:
                self._open(channel)
                self._count("PATCH message", channel, headers)
                return self._message(self._edited(self._found(channel, id, hidden=False), body))
            case ["interactions", _, token, "callback"]:
                return self._acknowledge(token, body)
            case ["webhooks", _, token, *rest]:
                self._count("webhook", token, headers)
                return self._by_interaction(method, token, rest[1] if rest else "", body)
        self.breaches.append(f"no such route: {method} {path}")
        raise Refusal(404)

    def _fault(self, call: str) -> Fault | None:
        for index, (pattern, fault) in enumerate(self._faults):
            if pattern.search(call):
                del self._faults[index]
                return fault if fault.status or fault.drop else None
        return None

    def _count(self, bucket: str, place: str, headers: dict[str, str]) -> None:
        most, span_s = BUCKETS[bucket]
        now = time.monotonic()
        begun, used = self._buckets.get(bucket + place, (now, 0))
        if now >= begun + span_s:
            begun, used = now, 0
        left_s = begun + span_s - now
        headers |= {
            "X-RateLimit-Limit": str(most),
            "X-RateLimit-Remaining": str(max(0, most - used - 1)),
            "X-RateLimit-Reset": f"{time.time() + left_s:.3f}",
            "X-RateLimit-Reset-After": f"{left_s:.3f}",
            "X-RateLimit-Bucket": bucket.replace(" ", "-"),
        }
        if used >= most:
            self.breaches.append(f"429 for {bucket} in {place}")
            raise Refusal(429, retry_after=left_s)
        self._buckets[bucket + place] = (begun, used + 1)

    def _open(self, channel: str) -> None:
        if channel in self.closed:
            raise Refusal(403, 50001)

    def _acknowledge(self, token: str, body: Json) -> None:
        known = self._interactions[token]
        if time.monotonic() - known["at"] > ACK_S:
            self.breaches.append("an interaction was acknowledged too late")
            raise Refusal(404, 10062)
        if "ack" in known:
            raise Refusal(400, 40060)
        known["ack"] = body["type"]
        if body["type"] == 5:
            flags = LOADING | ((body.get("data") or {}).get("flags", 0) & EPHEMERAL)
            known["original"] = Shown(known["channel"], self._id(), BOT, flags=flags, token=token)
            self.messages.append(known["original"])
        else:
            known["original"] = known["message"]

    def _by_interaction(self, method: str, token: str, target: str, body: Json) -> Json:
        known = self._interactions[token]
        if time.monotonic() - known["at"] > self.token_s:
            raise Refusal(401, 50027)
        if "ack" not in known:
            raise Refusal(404, 10015)
        if method == "POST":
            if "nonce" in body:
                self.breaches.append("a follow-up takes no nonce")
            return self._message(self._sent(known["channel"], body, token=token))
        shown = known["original"] if target == "@original" else self._found(known["channel"], target, hidden=True)
        if shown not in self.messages:
            raise Refusal(404, 10008)
        return self._message(self._edited(shown, body))

    def _sent(self, channel: str, body: Json, token: str | None = None) -> Shown:
        self._check(body)
        nonce = body.get("nonce")
        if nonce is not None and body.get("enforce_nonce"):
            for one in self.messages:
                if one.channel == channel and one.nonce == nonce:
                    return one
        elif token is None:
            self.breaches.append("a message was sent without a nonce")
        reply = (body.get("message_reference") or {}).get("message_id")
        flags = body.get("flags", 0)
        shown = Shown(channel, self._id(), BOT, flags=flags, reply_to=reply, nonce=nonce, token=token)
        self.messages.append(shown)
        return self._edited(shown, body)

    def _edited(self, shown: Shown, body: Json) -> Shown:
        self._check(body)
        shown.content, shown.components = body["content"].strip(), body.get("components", shown.components)
        shown.allowed_mentions = body.get("allowed_mentions")
        shown.flags = (shown.flags & EPHEMERAL) | (body.get("flags", 0) & ~LOADING)
        shown.texts.append(shown.content)
        return shown

    def _check(self, body: Json) -> None:
        content = body.get("content", "").strip()
        if len(content.encode("utf-16-le")) // 2 > 2000:
            self.breaches.append("a message of more than 2000 characters")
            raise Refusal(400, 50035)
        if not content:
            raise Refusal(400, 50006)
        if len(str(body.get("nonce", ""))) > 25:
            raise Refusal(400, 50035)
        if body.get("allowed_mentions", {}).get("parse") != []:
            self.breaches.append("a message that may ping")
        if not body.get("flags", 0) & SUPPRESS_EMBEDS:
            self.breaches.append("a message that may show previews")
        rows = body.get("components", [])
        ids = [one["custom_id"] for row in rows for one in row["components"]]
        if len(rows) > 5 or len(set(ids)) < len(ids):
            raise Refusal(400, 50035)

    def _found(self, channel: str, id: str, *, hidden: bool) -> Shown:
        for one in self.messages:
            if (one.channel, one.id) == (channel, id) and (hidden or not one.whispered):
                return one
        raise Refusal(404, 10008)

    def _message(self, shown: Shown) -> Json:
        message: Json = {
            "id": shown.id,
            "channel_id": shown.channel,
            "author": _user(shown.author),
            "content": shown.content,
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [_user(id) for id in re.findall(r"<@(\d+)>", shown.content)],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "type": 19 if shown.reply_to else 0,
            "flags": shown.flags,
            "components": shown.components,
            "nonce": shown.nonce,
        }
        if shown.channel == GENERAL:
            message["guild_id"] = GUILD
        if shown.reply_to:
            replied = next((one for one in self.messages if one.id == shown.reply_to), None)
            message["message_reference"] = {"channel_id": shown.channel, "message_id": shown.reply_to}
            message["referenced_message"] = None if replied is None else self._message(replied)
        return message

    def _id(self) -> str:
        return str(next(self._ids))


def dm(user: int) -> str:
    """The channel of a person's direct messages."""
    return str(500_000 + user)


def _json(body: Any, headers: dict[str, str], status: int = 200) -> web.Response:
    # discord.py takes anything but this very content type for plain text.
    return web.Response(status=status, body=orjson.dumps(body), headers={**headers, "Content-Type": "application/json"})


def _channel(id: str) -> Json:
    if id == GENERAL:
        return {"id": id, "type": 0, "name": "general", "position": 0, "permission_overwrites": []}
    return {"id": id, "type": 1, "recipients": [_user(str(int(id) - 500_000))]}


def _user(id: str) -> Json:
    name = "lab" if id == BOT else f"user{id}"
    return {"id": id, "username": name, "discriminator": "0", "avatar": None, "global_name": None, "bot": id == BOT}


def _application() -> Json:
    return {
        "id": BOT,
        "name": "lab",
        "icon": None,
        "description": "",
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0",
        "flags": 0,
        "team": None,
        "owner": _user("1"),
    }
