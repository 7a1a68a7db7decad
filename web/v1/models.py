"""`GET /v1/models`: what this key may ask for."""

from __future__ import annotations

from aiohttp import web

from core import router
from core.kit.errors import NotFound
from web.v1.auth import caller_of
from web.v1.codecs.openai_chat import model_object


async def list_models(request: web.Request) -> web.Response:
    """Every model the account may use, in OpenAI's list form."""
    account = await caller_of(request)
    models = router.models(router.Audience.of(account))
    return web.json_response({"object": "list", "data": [model_object(m.name) for m in models]})


async def get_model(request: web.Request) -> web.Response:
    """One of them."""
    account = await caller_of(request)
    name = request.match_info["model"]
    if all(model.name != name for model in router.models(router.Audience.of(account))):
        raise NotFound("model_unknown", model=name[:120])
    return web.json_response(model_object(name))
