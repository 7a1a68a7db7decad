"""Binds the process's scope to each request: aiohttp starts handlers in contexts of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from core.kit import scope

SCOPE = web.AppKey("scope", scope.Scope)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def bind_scope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: everything inside finds the scope and its database."""
    with scope.bind(request.app[SCOPE]):
        return await handler(request)
