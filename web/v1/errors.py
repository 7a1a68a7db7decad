"""Our errors as OpenAI's error object, with the headers that SDKs obey.

Source: https://platform.openai.com/docs/guides/error-codes (seen 2026-11). `x-should-retry: false` stops the official
SDK from repeating a request that cannot succeed (openai-python: `_base_client.py`, `_should_retry`).
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from core import i18n
from core.kit.errors import (
    AppError,
    CallerError,
    Conflict,
    NotAffordable,
    NotAllowed,
    NotFound,
    TooMany,
    Unauthenticated,
)


def error_object(error: AppError) -> dict[str, Any]:
    """The body `{"error": …}`; English, since programs read it. No host, key or upstream brand is in it."""
    kind, code = _kind_and_code(error)
    return {"error": {"message": i18n.explain(error, "en"), "type": kind, "param": error.field, "code": code}}


def _kind_and_code(error: AppError) -> tuple[str, str]:
    match error:
        case Unauthenticated():
            return "invalid_request_error", "invalid_api_key"
        case NotAffordable():
            return "insufficient_quota", "insufficient_quota"
        case NotFound() if error.code == "model_unknown":
            return "invalid_request_error", "model_not_found"
        case TooMany():
            return "rate_limit_error", "rate_limit_exceeded"
        case CallerError() | NotFound() | Conflict():
            return "invalid_request_error", error.code
        case NotAllowed():
            return "permission_error", error.code
        case _ if error.status == 429:
            return "rate_limit_error", error.code
        case _ if error.status < 500:
            return "invalid_request_error", error.code
        case _:
            return "server_error", error.code


def error_response(error: AppError, request_id: str) -> web.Response:
    """The whole answer to a refused request."""
    headers = {"X-Request-Id": request_id}
    if isinstance(error, NotAffordable | Conflict):
        headers["x-should-retry"] = "false"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return web.Response(
        status=error.status, body=orjson.dumps(error_object(error)), content_type="application/json", headers=headers
    )
