"""Logging in by name and password, throttled by name and by address; logging out; changing the password."""

from __future__ import annotations

from aiohttp import web

from core import accounts, limits
from core.kit.errors import BadInput
from web.api.shapes import account_json
from web.bodies import read_object
from web.fields import text_field
from web.keys import SESSION_TOKEN
from web.middleware.session import clear_session, logged_in, set_session

BODY_LIMIT_BYTES = 16 * 1024
TRIES_BY_NAME = 10
TRIES_BY_ADDRESS = 50
TRIES_PER_S = 600


async def log_in(request: web.Request) -> web.Response:
    """Open a session. One answer for an unknown name and a wrong password; guessing waits."""
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    name = text_field(body, "username", longest=64).strip().lower()
    password = text_field(body, "password", longest=256)
    await limits.guess("login.name", name, TRIES_BY_NAME, TRIES_PER_S)
    await limits.guess("login.address", request.remote or "unknown", TRIES_BY_ADDRESS, TRIES_PER_S)
    account = await accounts.check_password(name, password)
    await limits.forget("login.name", name)
    if old := request.get(SESSION_TOKEN):
        await accounts.close_session(old)
    token = await accounts.open_session(account.id, request.headers.get("User-Agent", "")[:200])
    response = web.json_response({"account": account_json(account)})
    set_session(response, token)
    return response


async def log_out(request: web.Request) -> web.Response:
    """End the session; harmless without one."""
    if token := request.get(SESSION_TOKEN):
        await accounts.close_session(token)
    response = web.json_response({})
    clear_session(response)
    return response


async def change_password(request: web.Request) -> web.Response:
    """Replace the password; every other session of the account ends."""
    account = logged_in(request)
    body = await read_object(request, limit_bytes=BODY_LIMIT_BYTES)
    current_password = text_field(body, "current", longest=256)
    new_password = text_field(body, "new", longest=256)
    if new_password == current_password:
        raise BadInput("password_same", field="new")
    await limits.guess("password.change", account.id, TRIES_BY_NAME, TRIES_PER_S)
    await accounts.change_password(account.id, current_password, new_password)
    await accounts.close_sessions(account.id, except_token=request[SESSION_TOKEN])
    return web.json_response({})
