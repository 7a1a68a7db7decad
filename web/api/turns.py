"""Turns: ask, ask again, edit, go on, stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from core import turns
from core.accounts import Account
from core.chat import Action, TextPart, Verb
from core.kit.errors import BadInput, NotFound
from core.kit.ids import ConversationId, MessageId, ModelName, TurnId, looks_like
from web.api.shapes import turn_json
from web.bodies import read_object
from web.fields import optional_text, text_field
from web.middleware.session import logged_in

BODY_LIMIT_BYTES = 2 * 1024 * 1024
TEXT_LIMIT = 1_000_000
KEY_LIMIT = 80


async def start_turn(request: web.Request) -> web.Response:
    """Ask in a conversation, or in a new one."""
    account = logged_in(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    conversation = optional_text(body, "conversation", longest=40)
    parent = optional_text(body, "parent", longest=40)
    if conversation is not None and not looks_like("conv", conversation):
        raise NotFound("conversation_unknown")
    turn = await turns.start(
        turns.TurnRequest(
            account=account.id,
            door="web",
            key=_key(account, body),
            parts=(TextPart(_text(body)),),
            conversation=ConversationId(conversation) if conversation else None,
            parent=MessageId(parent) if parent else None,
            model=_model(body),
        )
    )
    return web.json_response({"turn": turn_json(turn)})


async def retry_turn(request: web.Request) -> web.Response:
    """Answer the same question again, beside the first answer."""
    account = logged_in(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    turn = await turns.retry(turn_id(request), by=account.id, key=_key(account, body), model=_model(body))
    return web.json_response({"turn": turn_json(turn)})


async def continue_turn(request: web.Request) -> web.Response:
    """Go on where a cut answer ended."""
    account = logged_in(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    action = Action(Verb.CONTINUE, turn_id(request))
    turn = await turns.act(action, by=account.id, key=_key(account, body))
    return web.json_response({"turn": turn_json(turn)})


async def stop_turn(request: web.Request) -> web.Response:
    """Stop it, in whatever process it runs; stopping twice is harmless."""
    account = logged_in(request)
    await turns.cancel(turn_id(request), by=account.id)
    return web.json_response({})


async def edit_message(request: web.Request) -> web.Response:
    """Ask a question differently: a sibling of it, with its own answer."""
    account = logged_in(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    message = request.match_info["message"]
    if not looks_like("msg", message):
        raise NotFound("message_unknown")
    turn = await turns.edit(MessageId(message), (TextPart(_text(body)),), by=account.id, key=_key(account, body))
    return web.json_response({"turn": turn_json(turn)})


def turn_id(request: web.Request) -> TurnId:
    """The id in the path, or NotFound for what cannot be one."""
    text = request.match_info["turn"]
    if not looks_like("turn", text):
        raise NotFound("turn_unknown")
    return TurnId(text)


def _key(account: Account, body: Mapping[str, Any]) -> str:
    return f"web:{account.id}:{text_field(body, 'key', longest=KEY_LIMIT)}"


def _model(body: Mapping[str, Any]) -> ModelName | None:
    name = optional_text(body, "model", longest=120)
    return None if name is None else ModelName(name)


def _text(body: Mapping[str, Any]) -> str:
    text = body.get("text")
    if isinstance(text, str) and not text.strip():
        raise BadInput("message_empty", field="text")
    return text_field(body, "text", longest=TEXT_LIMIT)
