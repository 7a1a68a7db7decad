"""The table of the browser's routes."""

from __future__ import annotations

from aiohttp import web

from core.kit.errors import NotFound
from web.api import conversations, events, links, me, turns
from web.login import password


async def unknown(request: web.Request) -> web.StreamResponse:
    """Any other path below `/api`."""
    raise NotFound("route_unknown", path=request.path[:200])


def routes() -> list[web.RouteDef]:
    """Every route under `/api`."""
    return [
        web.post("/api/login", password.log_in),
        web.post("/api/logout", password.log_out),
        web.post("/api/password", password.change_password),
        web.get("/api/me", me.get_me),
        web.patch("/api/me", me.change_me),
        web.get("/api/models", me.list_models),
        web.get("/api/conversations", conversations.list_conversations),
        web.get("/api/conversations/{conversation}", conversations.get_conversation),
        web.patch("/api/conversations/{conversation}", conversations.change_conversation),
        web.delete("/api/conversations/{conversation}", conversations.delete_conversation),
        web.post("/api/turns", turns.start_turn),
        web.post("/api/turns/{turn}/retry", turns.retry_turn),
        web.post("/api/turns/{turn}/continue", turns.continue_turn),
        web.post("/api/turns/{turn}/stop", turns.stop_turn),
        web.get("/api/turns/{turn}/events", events.turn_events, allow_head=False),
        web.post("/api/messages/{message}/edit", turns.edit_message),
        web.get("/api/events", events.account_events, allow_head=False),
        web.post("/api/links", links.start_link),
        web.post("/api/links/claim", links.claim_link),
        web.get("/api/links/{link}", links.get_link),
        web.post("/api/links/{link}/agree", links.agree_link),
        web.post("/api/links/{link}/refuse", links.refuse_link),
        web.route("*", "/api/{rest:.*}", unknown),
    ]
