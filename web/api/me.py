"""The account that is logged in: who it is, what it has, what it prefers."""

from __future__ import annotations

from aiohttp import web

from core import accounts, billing, i18n, router, settings
from core.catalog import Charge
from core.kit.errors import BadInput
from core.kit.money import format_credits
from web.api.shapes import account_json
from web.bodies import read_object
from web.fields import optional_text
from web.middleware.session import logged_in

BODY_LIMIT_BYTES = 16 * 1024


async def get_me(request: web.Request) -> web.Response:
    """The account, its balance and the ways it is recognised."""
    account = logged_in(request)
    balance = await billing.balance(account.id)
    return web.json_response(
        {
            "account": account_json(account),
            "balance": {"available": balance.available, "text": format_credits(balance.available)},
            "site": {"name": settings.get(settings.SITE_NAME)},
            "identities": [
                {"provider": i.provider, "display": i.display} for i in await accounts.identities(account.id)
            ],
        }
    )


async def change_me(request: web.Request) -> web.Response:
    """Change language or default model."""
    account = logged_in(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    if locale := optional_text(body, "locale", longest=12):
        if locale not in i18n.LOCALES:
            raise BadInput("field_invalid", field="locale")
        await accounts.set_locale(account.id, locale)
    if model := optional_text(body, "default_model", longest=120):
        router.model(model, router.Audience.of(account))
        await accounts.set_default_model(account.id, model)
    return web.json_response({"account": account_json(await accounts.get(account.id))})


async def list_models(request: web.Request) -> web.Response:
    """The models this account may choose, and the one it gets without choosing."""
    account = logged_in(request)
    audience = router.Audience.of(account)
    models = router.models(audience)
    default = router.default_model(audience, account.default_model) if models else None
    return web.json_response(
        {
            "items": [{"name": m.name, "demo": m.demo, "free": m.charge is Charge.FREE} for m in models],
            "default": default.name if default else None,
        }
    )
