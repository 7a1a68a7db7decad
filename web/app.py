"""The web server: routes, middleware, and the life of its listening socket."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from core import runtime
from core.kit.errors import Unavailable
from core.kit.scope import Scope
from web import health, page
from web.api.routes import routes as api_routes
from web.begun import note_begun
from web.middleware.errors import explain_errors
from web.middleware.headers import add_headers
from web.middleware.scope import SCOPE, Handler, bind_scope
from web.middleware.session import sessions
from web.sse import close_followers
from web.v1.errors import error_response
from web.v1.routes import routes as v1_routes

log = structlog.get_logger()

SHUTDOWN_S = 5.0


class PortTaken(Exception):
    """Nobody can listen there, or somebody else does; the text is the sentence to print."""


def build_app(scope: Scope) -> web.Application:
    """The application of this process. The body limit is each route's own, read as the body arrives."""
    app = web.Application(
        middlewares=[bind_scope, require_ready, explain_errors, sessions], client_max_size=34 * 1024 * 1024
    )
    app[SCOPE] = scope
    app.on_response_prepare.extend((add_headers, note_begun))
    app.router.add_routes([web.get("/healthz", health.healthz), web.get("/readyz", health.readyz)])
    app.router.add_routes(v1_routes())
    app.router.add_routes(api_routes())
    app.router.add_routes(page.routes())
    return app


@web.middleware
async def require_ready(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Until the database is migrated and the rooms are loaded, every door of this process answers 503."""
    if request.path in {"/healthz", "/readyz"} or runtime.is_open():
        return await handler(request)
    error = Unavailable("not_ready", retry_after_s=5)
    if request.path.startswith("/v1/"):
        return error_response(error, "")
    raise web.HTTPServiceUnavailable(text="Parley is starting: the database is not ready yet.\n")


@asynccontextmanager
async def serving(scope: Scope) -> AsyncIterator[str]:
    """Listen on the configured address for the length of the block; gives the address. Raises PortTaken."""
    logging.getLogger("aiohttp.server").addFilter(_worth_a_line)
    runner = web.AppRunner(
        build_app(scope), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=75
    )
    await runner.setup()
    host, port = scope.config.host, scope.config.port
    try:
        try:
            sock = _listen(host, port)
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise PortTaken(
                    f"PARLEY_HOST: {host} is no address of this machine ({error.strerror}); "
                    "it should be one, such as 127.0.0.1, or 0.0.0.0 for all of them."
                ) from error
            raise PortTaken(
                f"Port {port} on {host} is taken or not allowed ({error.strerror}); "
                "set PARLEY_PORT to a free one, or stop what listens there."
            ) from error
        await web.SockSite(runner, sock).start()
        bound = sock.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{bound}"
        close_followers()
    finally:
        await runner.cleanup()


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Not what is no HTTP: it is answered 400, and a line would quote a header of it, perhaps with a cookie."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
