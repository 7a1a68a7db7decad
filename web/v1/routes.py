"""The table of `/v1` routes and the wrapping that all of them share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from core.kit.errors import AppError, NotFound
from core.kit.ids import RequestId, new_id
from web.begun import instead
from web.keys import REQUEST_ID
from web.v1.chat import chat_completions
from web.v1.errors import error_response
from web.v1.models import get_model, list_models

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def unknown(request: web.Request) -> web.StreamResponse:
    """Any other path below `/v1`."""
    raise NotFound("route_unknown", path=request.path[:200])


def routes() -> list[web.RouteDef]:
    """Every route of the lane."""
    return [
        web.get("/v1/models", spoken(list_models), allow_head=False),
        web.get("/v1/models/{model:.+}", spoken(get_model), allow_head=False),
        web.post("/v1/chat/completions", spoken(chat_completions)),
        web.route("*", "/v1/{rest:.*}", spoken(unknown)),
    ]


def spoken(handler: Handler) -> Handler:
    """Give each request its id, and speak every error in the callers' dialect."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request_id = RequestId(new_id("req"))
        request[REQUEST_ID] = request_id
        structlog.contextvars.bind_contextvars(request=request_id)
        try:
            response = await handler(request)
        except AppError as error:
            log.info("call.refused", code=error.code, status=error.status)
            return instead(request, error_response(error, request_id))
        except Exception:
            log.exception("call.crashed")
            return instead(request, error_response(AppError("internal"), request_id))
        finally:
            structlog.contextvars.unbind_contextvars("request")
        if not response.prepared:
            response.headers.setdefault("X-Request-Id", request_id)
        return response

    return handle
