"""How our views look in the browser's JSON. The only place that decides field names."""

from __future__ import annotations

from typing import Any

from core import i18n
from core.accounts import Account
from core.chat import wire
from core.conversations import ConversationView, MessageView
from core.kit.money import format_credits
from core.turns import Turn


def account_json(account: Account) -> dict[str, Any]:
    """The account as its owner sees it."""
    return {
        "id": account.id,
        "name": account.name,
        "display_name": account.display_name,
        "role": account.role,
        "locale": account.locale,
        "must_change_password": account.must_change_password,
        "default_model": account.default_model,
    }


def conversation_json(view: ConversationView, *, running: bool = False) -> dict[str, Any]:
    """A line of the list, or the head of the page."""
    return {
        "id": view.id,
        "title": view.title,
        "door": view.door,
        "model": view.model,
        "head": view.head,
        "updated_at": view.updated_at.isoformat(),
        "running": running,
    }


def message_json(view: MessageView) -> dict[str, Any]:
    """A node of the tree."""
    return {
        "id": view.id,
        "parent": view.parent,
        "role": view.role,
        "parts": [wire.dump_part(part) for part in view.parts],
        "state": view.state,
        "turn": view.turn,
        "model": view.model,
        "author_name": view.author_name,
        "created_at": view.created_at.isoformat(),
    }


def turn_json(turn: Turn) -> dict[str, Any]:
    """What a page needs to follow a turn."""
    return {
        "id": turn.id,
        "conversation": turn.conversation,
        "state": turn.state,
        "position": turn.position,
        "user_message": turn.user_message,
        "answer": turn.answer,
    }


def ended_json(turn: Turn, locale: str) -> dict[str, Any]:
    """How a turn ended, below its answer."""
    error = None
    if turn.error is not None:
        error = {
            "code": turn.error.code,
            "params": dict(turn.error.params),
            "message": i18n.explain_code(turn.error.code, turn.error.params, locale),
        }
    return {
        "state": turn.state,
        "finish": turn.finish,
        "error": error,
        "cost_text": format_credits(turn.cost_micro),
        "usage": {"input": turn.usage.input, "output": turn.usage.output, "estimated": turn.usage.estimated},
        "notices": [{"code": n.code, "message": i18n.t(f"notice.{n.code}", locale, **n.params)} for n in turn.notices],
    }
