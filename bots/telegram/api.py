"""The Bot API through aiogram: its client, its typed methods, and raw JSON out.

Supports Bot API 10.3 (https://core.telegram.org/bots/api). Requests are aiogram's method objects, so their names and
types are checked; answers stay JSON, because decoding a reply with rich text freezes the process: aiogram 3.31 takes
about twenty times longer for each level of nesting (seconds at depth 5). Updates are decoded one by one, without their
rich blocks (see `updates.plain`), so that a block nobody knows cannot stop the poller.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, cast

import aiohttp
import orjson
from aiogram import Bot, methods
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType
from pydantic import ValidationError

CALL_S = 30.0
CONNECT_S = 10.0
KEPT_ALIVE_S = 15.0
"""Idle connections are closed before the server does it, so that a break in mid-request means what it says."""
CONNECTIONS = 64
MAX_REPLY_BYTES = 64 * 1024 * 1024
"""100 updates of the largest kind stay far below."""

Json = Any
"""What the Bot API sends: read key by key, never trusted in shape."""

METHODS: Mapping[str, type[TelegramMethod[Any]]] = {
    kind.__api_method__: kind
    for kind in vars(methods).values()
    if isinstance(kind, type) and issubclass(kind, TelegramMethod) and kind is not TelegramMethod
}
"""Every method that aiogram knows, by its name in the Bot API."""


class ApiError(Exception):
    """The server answered and said no. Nothing was done."""

    def __init__(
        self, code: int, description: str, *, retry_after_s: float | None = None, migrated_to: int | None = None
    ) -> None:
        super().__init__(f"{code} {description[:200]}")
        self.code = code
        self.description = description
        self.retry_after_s = retry_after_s
        self.migrated_to = migrated_to
        """The id of the supergroup that the group became."""


class NotSent(Exception):
    """The request never reached the server."""


class NoAnswer(Exception):
    """The request left and no answer came: it may have been carried out."""


class _RawSession(AiohttpSession):
    """aiogram's session, but it gives the `result` as JSON, reads a bounded answer, and tells three failures apart."""

    def __init__(self, root_url: str) -> None:
        super().__init__(api=TelegramAPIServer.from_base(root_url), limit=CONNECTIONS)
        self._connector_init["keepalive_timeout"] = KEPT_ALIVE_S

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        session = await self.create_session()
        name = method.__api_method__
        try:
            async with session.post(
                self.api.api_url(token=bot.token, method=name),
                data=self.build_form_data(bot=bot, method=method),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout or CALL_S, sock_connect=CONNECT_S),
            ) as answer:
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > MAX_REPLY_BYTES:
                        raise NoAnswer(f"{name}: too many bytes")
                status = answer.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSent(f"{name}: {type(error).__name__}") from None
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise NoAnswer(f"{name}: {type(error).__name__}") from None
        return cast(TelegramType, _result(name, status, bytes(body)))


class BotApi:
    """A client of one bot. Use it as an async context manager. Raises aiogram's TokenValidationError for no token."""

    def __init__(self, root_url: str, token: str) -> None:
        self.bot = Bot(token, session=_RawSession(root_url.rstrip("/")))

    async def __aenter__(self) -> BotApi:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.bot.session.close()

    async def call(self, method: str, params: Mapping[str, Json] | None = None, *, timeout_s: float = CALL_S) -> Json:
        """Call a method; None values are left out. The `result` of the answer, as JSON.

        Raises ApiError, NotSent, NoAnswer. No text of these names the token.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            request = METHODS[method](**given)
        except ValidationError as error:
            # Content that the typed method refuses is content that the server would refuse.
            raise ApiError(400, f"Bad Request: {error.error_count()} invalid fields") from error
        return await self.bot(request, request_timeout=round(timeout_s))


def _result(method: str, status: int, body: bytes) -> Json:
    try:
        answer = read_json(body)
    except ValueError:
        # A proxy's page in place of the server's answer says nothing about what the server did.
        raise NoAnswer(f"{method}: status {status} without JSON") from None
    if not isinstance(answer, dict):
        raise NoAnswer(f"{method}: status {status} with other JSON")
    if answer.get("ok") is True:
        return answer.get("result")
    found = answer.get("parameters")
    parameters = found if isinstance(found, dict) else {}
    code = answer.get("error_code")
    retry_after = parameters.get("retry_after")
    migrated = parameters.get("migrate_to_chat_id")
    raise ApiError(
        code if isinstance(code, int) else status,
        str(answer.get("description", "")),
        retry_after_s=float(retry_after) if isinstance(retry_after, int | float) else None,
        migrated_to=migrated if isinstance(migrated, int) else None,
    )


def read_json(body: bytes | str) -> Json:
    """JSON as a platform may send it: escaped lone surrogates, which orjson refuses, become question marks."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        return _whole(json.loads(text))


def _whole(value: Json) -> Json:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(one) for key, one in value.items()}
    return value
