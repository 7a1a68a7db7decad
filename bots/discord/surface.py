"""A place in Discord where one answer appears: messages of a channel, or of an interaction.

Supports: messages with nonces, deferred responses, whispers, user-installed use. Not yet: pictures, threads of our own,
more than five follow-ups where the bot is no member (Discord's limit there). Never: a mention that pings, a preview.

Every send says whom it may ping: nobody. A send to a channel carries a nonce, so that a repeated one is one message.
discord.py and `throttle.py` wait out the limits; `Flooded` is never raised here.

An interaction's token lives 15 minutes (https://docs.discord.com/developers/interactions/receiving-and-responding).
While it lives, the first page becomes the deferred response and whispers are possible; afterwards, and for every later
page where the bot is a member, messages go to the channel.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Any

import aiohttp
import discord
import structlog
from discord.http import HTTPClient, Route

from bots.common import pacing
from bots.common.pager import Measure, PageLimits, pages
from bots.common.surface import (
    Missing,
    Page,
    Place,
    Refused,
    Sent,
    SurfaceLimits,
    Uncertain,
    Unreachable,
    Unsent,
)
from bots.discord.components import components, custom_ids

log = structlog.get_logger(__name__)

MOST_CHARS = 2_000
PAGE = PageLimits(1_900, measure=Measure.UTF16)
"""Discord takes 2,000 characters; the rest is for a footer."""
LIVE_S = 1.3
"""Between two live edits of one answer; several answers in a channel take turns."""
EDITS = pacing.Rate(per_s=0.77, burst=4.0, live_s=LIVE_S, live_max_s=LIVE_S)
"""Edits of one channel, see throttle.py: live ones never wait there, since final ones would wait behind them."""
TOKEN_S = 14 * 60
"""An interaction's token is used this long; it dies after 15 minutes."""
REMEMBERED = 4_096
"""Channels and interactions of which something is remembered."""

NO_PINGS = {"parse": [], "replied_user": False}
_SUPPRESS_EMBEDS = 1 << 2
_EPHEMERAL = 1 << 6
_UNKNOWN_MESSAGE = 10008
_DEAD_TOKEN = frozenset({10015, 50027})
_FOLLOW_UPS_USED_UP = 40094
_FAULTS = (TimeoutError, aiohttp.ClientError, OSError)


class Traffic:
    """What all surfaces of a bot share: each channel's pace, and which interactions have had their response."""

    def __init__(self) -> None:
        self._paces: OrderedDict[str, pacing.Pace] = OrderedDict()
        self._streams: dict[str, int] = {}
        self._answered: OrderedDict[str, str] = OrderedDict()

    def stream(self, channel: str, change: int) -> None:
        """One answer more, or one less, streams in this channel."""
        self._streams[channel] = self._streams.get(channel, 0) + change
        if self._streams[channel] <= 0:
            del self._streams[channel]

    def streams(self, channel: str) -> int:
        """How many answers stream in this channel."""
        return self._streams.get(channel, 0)

    def edit_wait(self, channel: str) -> float:
        """Seconds until this channel has room for another edit."""
        return pacing.final_wait(self._pace(channel), time.monotonic())

    def edited(self, channel: str) -> None:
        """An edit is being made."""
        self._paces[channel] = pacing.spent(self._pace(channel), time.monotonic())
        self._paces.move_to_end(channel)
        if len(self._paces) > REMEMBERED:
            self._paces.popitem(last=False)

    def answered(self, token: str, message: str) -> None:
        """The deferred response of this interaction has become this message."""
        self._answered[token] = message
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def response(self, token: str) -> str | None:
        """The message that the deferred response became; None when it still waits, as far as this process knows."""
        return self._answered.get(token)

    def _pace(self, channel: str) -> pacing.Pace:
        return self._paces.get(channel) or pacing.fresh(EDITS, time.monotonic())


class _DeadToken(Unreachable):
    """The interaction is over."""


class DiscordSurface:
    """One answer's place, described by `place`.

    `chat` the channel, `reply` the message replied to; of an interaction also `app`, `token`, `until` (when the token
    dies), `original` (the deferred response waits to become the first message), `origin` (the message whose button was
    pressed), `outside` (the bot is no member: only the interaction may write) and `quiet` (for the asker's eyes only).
    """

    def __init__(self, http: HTTPClient, traffic: Traffic, place: Place) -> None:
        self._http = http
        self._traffic = traffic
        self._channel = str(place["chat"])
        self._reply = place.get("reply")
        self._app, self._token = str(place.get("app") or ""), str(place.get("token") or "")
        self._until = float(place.get("until") or 0)
        self._deferred = bool(place.get("original"))
        self._origin = place.get("origin")
        self._quiet = bool(place.get("quiet"))
        self._outside = bool(place.get("outside"))
        self._parts: dict[str, list[str]] = {}
        self._begun = self._streaming = False
        self._live_at = float("-inf")
        self.limits = SurfaceLimits(
            page=PAGE,
            spare=MOST_CHARS - PAGE.chars,
            drafts=False,
            first_chars=40,
            first_s=1.0,
            step_chars=40,
            hint_s=8.0,
            repeatable=not (self._outside or self._quiet),  # follow-ups take no nonce
        )

    # Waiting.

    def live_wait(self, *, draft: bool) -> float:
        """See Surface. What is not shown yet is sent, not edited, and need not wait for others' edits."""
        if not self._begun:
            return 0.0
        interval = LIVE_S * max(1, self._traffic.streams(self._channel))
        return max(0.0, self._live_at + interval - time.monotonic(), self._traffic.edit_wait(self._channel))

    async def hint(self) -> None:
        """See Surface. A deferred response says "thinking…" by itself."""
        if self._outside or self._quiet or (self._token_lives and self._waits_for_response):
            return
        try:
            await self._http.request(Route("POST", "/channels/{channel_id}/typing", channel_id=self._channel))
        except (discord.DiscordException, *_FAULTS) as error:
            log.debug("discord.hint_failed", why=type(error).__name__)

    async def draft(self, page: Page) -> None:
        """See Surface."""
        raise AssertionError("Discord has no drafts; `limits.drafts` says so")

    def close(self) -> None:
        """See Surface."""
        if self._streaming:
            self._streaming = False
            self._traffic.stream(self._channel, -1)

    # Messages.

    async def post(self, page: Page, key: str) -> Sent:
        """See Surface. A page that outgrew one message becomes several; a repeat goes on behind those that arrived."""
        self._begun = True
        opens = key.rpartition(".")[2] in ("0", key)  # the first page of an answer, or a reply
        texts = _fitted(page.text)
        done = self._parts.setdefault(key, [])
        for index in range(len(done), len(texts)):
            part = _part(page, texts, index)
            nonce = key if index == 0 else f"{key}{_MARKS[index]}"
            done.append(await self._send(part, nonce, opens=opens and index == 0))
        del self._parts[key]
        return Sent(self._channel, done[0], tuple(done[1:]))

    async def edit(self, sent: Sent, page: Page, *, live: bool = False) -> Sent:
        """See Surface."""
        self._begun = True
        if live:
            self._live_at = time.monotonic()
            self._traffic.stream(self._channel, 0 if self._streaming else +1)
            self._streaming = True
        texts = _fitted(page.text)
        more = self._parts.setdefault(sent.message, list(sent.more))
        for index in range(len(texts)):
            part = _part(page, texts, index)
            if index == 0:
                await self._change(sent.message, part)
            elif index <= len(more):
                await self._change(more[index - 1], part)
            else:
                more.append(await self._send(part, f"{sent.message[-20:]}{_MARKS[index]}", opens=False))
        return Sent(self._channel, sent.message, tuple(more))

    async def remove(self, sent: Sent) -> None:
        """See Surface."""
        for message in (sent.message, *sent.more):
            try:
                await self._http.delete_message(int(self._channel), int(message))
            except (discord.DiscordException, *_FAULTS) as error:
                log.debug("discord.remove_failed", why=type(error).__name__)

    async def _send(self, page: Page, nonce: str, *, opens: bool) -> str:
        if opens and self._token_lives and self._waits_for_response:
            try:
                return await self._respond(page)
            except (Missing, Unreachable):  # dismissed by its reader, or over: an ordinary message instead
                self._deferred = False
        quiet = self._quiet or page.whisper
        if not (quiet or self._outside):
            try:
                return await self._send_to_channel(page, nonce, opens=opens)
            except Unreachable:
                if not self._token_lives:
                    raise
                self._outside = True  # commands work where the bot may not write by itself
        if not self._token_lives:
            raise _DeadToken("the interaction is over")
        flags = _SUPPRESS_EMBEDS | (_EPHEMERAL if quiet else 0)
        route = self._webhook("POST", "")
        answer = await self._request(route, {**self._body(page), "flags": flags}, params={"wait": "true"})
        return str(answer["id"])

    async def _respond(self, page: Page) -> str:
        """The first page becomes the deferred response; doing it twice is doing it once."""
        try:
            answer = await self._request(self._webhook("PATCH", "/messages/@original"), self._body(page))
        except Uncertain as unknown:
            raise Unsent(str(unknown)) from unknown
        message = str(answer["id"])
        self._traffic.answered(self._token, message)
        return message

    async def _send_to_channel(self, page: Page, nonce: str, *, opens: bool) -> str:
        body = {**self._body(page), "nonce": nonce, "enforce_nonce": True}
        if opens and self._reply is not None:
            body["message_reference"] = {"message_id": str(self._reply), "fail_if_not_exists": False}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=self._channel)
        answer = await self._request(route, body)
        message = str(answer["id"])
        if _shown(answer) != _shown(body):  # the nonce was known: an earlier try had arrived, with what was new then
            try:
                await self._change(message, page)
            except Missing as gone:
                raise Unsent(str(gone)) from gone
        return message

    async def _change(self, message: str, page: Page) -> None:
        self._traffic.edited(self._channel)
        if not (self._outside or self._quiet or page.whisper):
            route = Route(
                "PATCH",
                "/channels/{channel_id}/messages/{message_id}",
                channel_id=self._channel,
                message_id=message,
            )
            try:
                await self._request(route, self._body(page))
                return
            except Unreachable:
                if not self._token_lives:
                    raise
                self._outside = True
        if not self._token_lives:
            raise _DeadToken("the interaction is over")
        if message in (self._origin, self._traffic.response(self._token)):
            route = self._webhook("PATCH", "/messages/@original")
        else:
            route = self._webhook("PATCH", "/messages/{message_id}", message_id=message)
        await self._request(route, self._body(page))

    # Asking.

    @property
    def _token_lives(self) -> bool:
        return bool(self._token) and time.time() < self._until

    @property
    def _waits_for_response(self) -> bool:
        return self._deferred and self._traffic.response(self._token) is None

    def _webhook(self, method: str, rest: str, **parameters: str) -> Route:
        path = "/webhooks/{webhook_id}/{webhook_token}" + rest
        return Route(method, path, webhook_id=self._app, webhook_token=self._token, **parameters)

    @staticmethod
    def _body(page: Page) -> dict[str, Any]:
        return {
            "content": page.text if page.text.strip() else "…",
            "components": components(page.rows),
            "allowed_mentions": NO_PINGS,
            "flags": _SUPPRESS_EMBEDS,
        }

    async def _request(self, route: Route, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await self._http.request(route, json=body, **more)
            return answer
        except discord.HTTPException as error:
            raise self._told(error) from error
        except aiohttp.ClientConnectorError as error:
            raise Unsent(type(error).__name__) from error
        except _FAULTS as error:
            raise Uncertain(type(error).__name__) from error

    def _told(self, error: discord.HTTPException) -> Exception:
        """A refusal in the words of Surface. discord.py has repeated a 5xx by itself before it gives up."""
        why = f"{error.status} {error.code}"
        if error.code in _DEAD_TOKEN:
            self._until = 0.0
            return _DeadToken(why)
        if error.code == _UNKNOWN_MESSAGE:
            return Missing(why)
        if error.status >= 500:
            return Uncertain(why)
        if error.status in (401, 429):  # a token being changed; a limit nobody could foresee
            return Unsent(why)
        if error.status in (403, 404) or error.code == _FOLLOW_UPS_USED_UP:
            return Unreachable(why)
        return Refused(why)


_MARKS = "0abcdefghijklmnopqrstuvwxyz"
"""What a nonce ends with for the second, third … message of one page. No page or reply comes near so many."""


def _fitted(text: str) -> list[str]:
    if Measure.UTF16.of(text) <= MOST_CHARS:
        return [text]
    return [piece.text for piece in pages(text, PAGE)][: len(_MARKS)]


def _part(page: Page, texts: list[str], index: int) -> Page:
    return Page(texts[index], page.rows if index == len(texts) - 1 else (), whisper=page.whisper)


def _shown(message: dict[str, Any]) -> tuple[str, list[str]]:
    """What a message says and offers, without the white space that Discord may trim."""
    return "".join(str(message.get("content", "")).split()), custom_ids(message.get("components") or [])


async def whisper(surface: DiscordSurface, text: str) -> None:
    """Tell the presser alone; best effort, for the press itself goes on."""
    try:
        async with asyncio.timeout(10):
            await surface.post(Page(text, whisper=True), "whisper")
    except (Unsent, Uncertain, Unreachable, Refused, Missing, TimeoutError) as error:
        log.info("discord.whisper_failed", why=str(error))
    finally:
        surface.close()
