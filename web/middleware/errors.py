"""Errors of the browser's API, explained in the reader's language."""

from __future__ import annotations

import orjson
import structlog
from aiohttp import web

from core import i18n
from core.kit.errors import AppError
from web.begun import instead
from web.middleware.locale import locale_of
from web.middleware.scope import Handler

log = structlog.get_logger()


@web.middleware
async def explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn an AppError into `{"error": …}`; anything else is our bug: logged whole, told as `internal`."""
    try:
        return await handler(request)
    except AppError as error:
        return instead(request, error_response(error, request))
    except web.HTTPException:
        raise
    except Exception:
        log.exception("web.crashed", path=request.path)
        return instead(request, error_response(AppError("internal"), request))


def error_response(error: AppError, request: web.Request) -> web.Response:
    """The JSON of an error: stable code, text in the reader's language, the field at fault."""
    body = {
        "error": {
            "code": error.code,
            "message": i18n.explain(error, locale_of(request)),
            "field": error.field,
            "params": dict(error.params),
        }
    }
    headers = {} if error.retry_after_s is None else {"Retry-After": str(max(1, round(error.retry_after_s)))}
    return web.Response(status=error.status, body=orjson.dumps(body), content_type="application/json", headers=headers)
