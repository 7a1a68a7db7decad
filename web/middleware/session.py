"""The session cookie, and the wall against forged requests.

A state-changing request of the browser's API must carry `X-Parley` (no foreign page can set it without our consent),
say `Content-Type: application/json`, and come from our own origin by `Sec-Fetch-Site` or `Origin`.
"""

from __future__ import annotations

from aiohttp import web

from core import accounts
from core.accounts import Account
from core.kit.errors import NotAllowed, Unauthenticated
from core.kit.scope import current
from web.keys import ACCOUNT, SESSION_TOKEN
from web.middleware.scope import Handler

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE_AGE_S = 90 * 24 * 3600
BEFORE_PASSWORD_CHANGE = frozenset({"/api/me", "/api/password", "/api/logout"})


@web.middleware
async def sessions(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the account of the session into the request; refuse forged requests."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    if request.method not in SAFE_METHODS:
        _refuse_forgery(request)
    token = request.cookies.get(cookie_name())
    account = await accounts.session(token) if token else None
    request[SESSION_TOKEN] = token if account is not None else None
    request[ACCOUNT] = account
    if account is not None and account.must_change_password and request.path not in BEFORE_PASSWORD_CHANGE:
        raise NotAllowed("password_change_required")
    response = await handler(request)
    if not response.prepared:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def logged_in(request: web.Request) -> Account:
    """The account behind the session. Raises Unauthenticated."""
    account: Account | None = request.get(ACCOUNT)
    if account is None:
        raise Unauthenticated("login_required")
    return account


async def still_in(request: web.Request) -> bool:
    """Whether the session of this request has not ended since."""
    token = request.get(SESSION_TOKEN)
    return token is not None and await accounts.session(token) is not None


def cookie_name() -> str:
    """`__Host-` demands https, so the name follows the scheme of the public address."""
    return "__Host-session" if _secure() else "parley_session"


def set_session(response: web.Response, token: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        cookie_name(), token, max_age=COOKIE_AGE_S, path="/", secure=_secure(), httponly=True, samesite="Lax"
    )


def clear_session(response: web.Response) -> None:
    """Take it back."""
    response.del_cookie(cookie_name(), path="/", secure=_secure(), httponly=True, samesite="Lax")


def _secure() -> bool:
    return current().config.public_url.startswith("https://")


def _refuse_forgery(request: web.Request) -> None:
    if request.headers.get("X-Parley") != "1":
        raise NotAllowed("forged_request")
    if request.content_type not in {"application/json", "multipart/form-data"}:
        raise NotAllowed("forged_request")
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site != "same-origin":
            raise NotAllowed("forged_request")
    elif (origin := request.headers.get("Origin")) is not None:
        _, _, host = origin.partition("://")
        if host != request.host and origin != current().config.public_url.rstrip("/"):
            raise NotAllowed("forged_request")
