"""Reading request bodies: bounded, then parsed once."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError

from core.kit.errors import BadInput, TooLarge


async def read_json(request: web.Request, *, limit_bytes: int) -> Any:
    """The parsed body. Raises TooLarge as soon as the limit is known to be passed, BadInput for what is not JSON."""
    if request.content_length is not None and request.content_length > limit_bytes:
        raise TooLarge("body_too_large", limit=limit_bytes)
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.content.iter_any():
            size += len(piece)
            if size > limit_bytes:
                raise TooLarge("body_too_large", limit=limit_bytes)
            pieces.append(piece)
        return orjson.loads(b"".join(pieces))
    except (orjson.JSONDecodeError, web.RequestPayloadError, PayloadEncodingError, ConnectionError) as error:
        # Also a body that is not compressed or cut into chunks as its headers say, or whose sender went away.
        raise BadInput("body_not_json") from error


async def read_object(request: web.Request, *, limit_bytes: int) -> dict[str, Any]:
    """As `read_json`, and the body must be an object."""
    body = await read_json(request, limit_bytes=limit_bytes)
    if not isinstance(body, dict):
        raise BadInput("body_not_object")
    return body
