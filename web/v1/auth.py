"""Who calls `/v1`: the bearer key, to its account."""

from __future__ import annotations

from aiohttp import web

from core import accounts
from core.calls import Payer
from core.kit.errors import NotAllowed, Unauthenticated
from core.router import Audience


async def payer_of(request: web.Request) -> Payer:
    """The payer behind the request's API key. Raises Unauthenticated for a missing, unknown or revoked one."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("key_missing")
    found = await accounts.authenticate(secret.strip())
    if found is None:
        raise Unauthenticated("key_invalid")
    _, account = found
    if account.state != "active":
        raise NotAllowed("account_banned")
    return Payer(account=account.id, group=account.group, is_admin=account.is_admin)


def audience_of(payer: Payer) -> Audience:
    """The payer as the router sees it."""
    return Audience(payer.account, payer.group, payer.is_admin)
