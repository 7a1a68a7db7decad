"""Joining this account with a Telegram or Discord identity: a code, then agreement on both sides."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from core import accounts, care
from core.accounts import Account
from core.kit.errors import NotFound
from core.kit.ids import LinkId, looks_like
from web.bodies import read_object
from web.fields import text_field
from web.middleware.session import logged_in

BODY_LIMIT_BYTES = 16 * 1024


async def start_link(request: web.Request) -> web.Response:
    """A one-time code to be typed on the other side."""
    account = logged_in(request)
    link, code = await accounts.start_link(account.id, _label(account))
    return web.json_response({"link": _link_json(link, account), "code": code})


async def claim_link(request: web.Request) -> web.Response:
    """Type a code that the other side shows."""
    account = logged_in(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    link = await accounts.claim_link(text_field(body, "code", longest=32), account.id, _label(account))
    return web.json_response({"link": _link_json(link, account)})


async def get_link(request: web.Request) -> web.Response:
    """How far it is."""
    account = logged_in(request)
    return web.json_response({"link": _link_json(await accounts.get_link(_link_id(request), account.id), account)})


async def agree_link(request: web.Request) -> web.Response:
    """Agree; when both sides have, the accounts are one."""
    account = logged_in(request)
    return web.json_response({"link": _link_json(await care.agree_link(_link_id(request), account.id), account)})


async def refuse_link(request: web.Request) -> web.Response:
    """Refuse; the code is dead."""
    account = logged_in(request)
    link = await accounts.refuse_link(_link_id(request), account.id)
    return web.json_response({"link": _link_json(link, account)})


def _label(account: Account) -> str:
    return f"Web {account.name or account.display_name}"


def _link_id(request: web.Request) -> LinkId:
    text = request.match_info["link"]
    if not looks_like("lnk", text):
        raise NotFound("link_unknown")
    return LinkId(text)


def _link_json(link: accounts.Link, account: Account) -> dict[str, Any]:
    issuing = link.issuer == account.id
    return {
        "id": link.id,
        "side": "issuer" if issuing else "claimant",
        "other_label": link.claimant_label if issuing else link.issuer_label,
        "mine_agreed": link.issuer_agreed if issuing else link.claimant_agreed,
        "other_agreed": link.claimant_agreed if issuing else link.issuer_agreed,
        "state": link.state,
        "expires_at": link.expires_at.isoformat(),
    }
