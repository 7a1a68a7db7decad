"""Who calls `/v1`: the bearer key, to its account."""

from __future__ import annotations

from aiohttp import web

from core import accounts
from core.accounts import Account
from core.kit.errors import NotAllowed, Unauthenticated


async def caller_of(request: web.Request) -> Account:
    """The account behind the request's API key. Raises Unauthenticated for a missing, unknown or revoked one."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("key_missing")
    found = await accounts.authenticate(secret.strip())
    if found is None:
        raise Unauthenticated("key_invalid")
    _, account = found
    if account.state != "active":
        raise NotAllowed("account_banned")
    return account
