"""`/healthz`: the process lives. `/readyz`: it can serve, or says why not."""

from __future__ import annotations

from aiohttp import web

from core import runtime


async def healthz(_request: web.Request) -> web.Response:
    """Always 200 while the loop turns."""
    return web.json_response({"status": "alive"})


async def readyz(_request: web.Request) -> web.Response:
    """200 when database, Redis and migrations are ready and the process is not draining; else 503 with the reason."""
    reason = await runtime.not_ready_because()
    if reason is None:
        return web.json_response({"status": "ready"})
    return web.json_response({"status": "not ready", "reason": reason}, status=503)
