"""The Bot API as plain JSON over HTTP: one call in, raw JSON or a typed failure out.

Supports Bot API 10.3 (https://core.telegram.org/bots/api). Calls do not go through aiogram, for two measured reasons:
its types take five seconds to import, and a restarted process must finish interrupted answers before that; and
decoding a reply with rich text freezes the process (about twenty times longer for each level of nesting). Updates do
go through it: see `handlers.py`.

A session of its own, not `core.kit.http`: that pool repeats a request whose kept connection broke, and a repeated send
would be a doubled message. Idle connections are closed before the server does it, so that a break means what it says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import aiohttp
import orjson
import structlog

log = structlog.get_logger(__name__)

CALL_S = 30.0
CONNECT_S = 10.0
KEPT_ALIVE_S = 15.0
CONNECTIONS = 64
MAX_REPLY_BYTES = 64 * 1024 * 1024
"""100 updates of the largest kind stay far below."""

Json = Any
"""What the Bot API sends: read key by key, never trusted in shape."""


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


class BotApi:
    """A client of one bot. Use it as an async context manager."""

    def __init__(self, root_url: str, token: str) -> None:
        self._base = f"{root_url.rstrip('/')}/bot{token}/"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> BotApi:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(self, method: str, params: Mapping[str, Json] | None = None, *, timeout_s: float = CALL_S) -> Json:
        """Call a method; None values are left out. The `result` of the answer.

        Raises ApiError, NotSent, NoAnswer. No text of these names the token.
        """
        assert self._session is not None, "the client is not open"
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            async with self._session.post(
                self._base + method,
                data=orjson.dumps(given),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
            ) as answer:
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > MAX_REPLY_BYTES:
                        raise NoAnswer(f"{method}: too many bytes")
                status = answer.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSent(f"{method}: {type(error).__name__}") from None
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise NoAnswer(f"{method}: {type(error).__name__}") from None
        return _result(method, status, bytes(body))


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
