"""What the middlewares put into a request."""

from __future__ import annotations

from aiohttp import web

from core.accounts import Account
from core.kit.ids import RequestId

REQUEST_ID = web.RequestKey[RequestId]("request_id")
"""Of a `/v1` call; it is in every answer's header."""
BEGUN = web.RequestKey[bool]("begun")
"""Set once the head of an answer has gone out."""
ACCOUNT = web.RequestKey[Account | None]("account")
"""Who is logged in; None for nobody."""
SESSION_TOKEN = web.RequestKey[str | None]("session_token")
"""The token of the session behind ACCOUNT."""
