"""Conversations: list, read, rename, choose a branch, delete."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from core import conversations, router, turns
from core.kit.errors import BadInput, NotFound
from core.kit.ids import ConversationId, MessageId, ModelName, looks_like
from web.api.shapes import conversation_json, ended_json, message_json
from web.bodies import read_object
from web.fields import optional_text
from web.middleware.locale import locale_of
from web.middleware.session import logged_in

BODY_LIMIT_BYTES = 2 * 1024 * 1024
PAGE = 50


async def list_conversations(request: web.Request) -> web.Response:
    """A page of the list, newest first; `next` is the cursor of the page after it."""
    account = logged_in(request)
    before = request.query.get("before")
    if before is not None and not looks_like("conv", before):
        raise BadInput("field_invalid", field="before")
    views = await conversations.listing(account.id, before=ConversationId(before) if before else None, limit=PAGE)
    busy = await turns.busy(view.id for view in views)
    return web.json_response(
        {
            "items": [conversation_json(view, running=view.id in busy) for view in views],
            "next": views[-1].id if len(views) == PAGE else None,
        }
    )


async def get_conversation(request: web.Request) -> web.Response:
    """The whole tree, the turns that run or wait in it, and how the others ended."""
    account = logged_in(request)
    view = await conversations.get(conversation_id(request), account.id)
    live = await turns.running(view.id)
    ended = await turns.ended(view.id)
    messages = await conversations.messages(view.id)
    locale = locale_of(request)
    waiting: list[dict[str, Any]] = [
        {
            "id": turn.id,
            "state": turn.state,
            "position": turn.position,
            "user_message": turn.user_message,
            "answer": turn.answer,
            "text": await turns.waiting_text(turn.id) if turn.user_message is None else None,
            "epoch": "",
            "seq": turn.seq,
        }
        for turn in live
    ]
    return web.json_response(
        {
            "conversation": conversation_json(view, running=bool(live)),
            "messages": [message_json(m) for m in messages],
            "turns": waiting,
            "ended": {turn.id: ended_json(turn, locale) for turn in ended},
        }
    )


async def change_conversation(request: web.Request) -> web.Response:
    """Change title, shown branch or model."""
    account = logged_in(request)
    identity = conversation_id(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    if title := optional_text(body, "title", longest=200):
        await conversations.rename(identity, account.id, title)
    if head := optional_text(body, "head", longest=40):
        await conversations.set_head(identity, account.id, MessageId(head))
    if model := optional_text(body, "model", longest=120):
        router.model(model, router.Audience.of(account))
        await conversations.set_model(identity, account.id, ModelName(model))
    return web.json_response({"conversation": conversation_json(await conversations.get(identity, account.id))})


async def delete_conversation(request: web.Request) -> web.Response:
    """Stop what runs in it, then put it away."""
    await turns.delete_conversation(conversation_id(request), by=logged_in(request).id)
    return web.json_response({})


def conversation_id(request: web.Request) -> ConversationId:
    """The id in the path, or NotFound for what cannot be one."""
    text = request.match_info["conversation"]
    if not looks_like("conv", text):
        raise NotFound("conversation_unknown")
    return ConversationId(text)
