"""An answer that has begun cannot become another one: a second head would be read as part of the first one's body."""

from __future__ import annotations

from aiohttp import web

from web.keys import BEGUN


async def note_begun(request: web.Request, _response: web.StreamResponse) -> None:
    """A signal of the application: the head of this response goes out now."""
    request[BEGUN] = True


def instead(request: web.Request, response: web.Response) -> web.Response:
    """What an error answers: the response; or, where a stream has begun, its cut, which every reader notices."""
    if request.get(BEGUN) and request.transport is not None:
        request.transport.close()
    return response
