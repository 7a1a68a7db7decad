"""Registering the slash commands: only when they differ from what Discord has.

Discord keeps commands for ever and limits how often they are written. What it was told last is remembered in Redis as a
hash; whether it still has them is asked for, since another program with the same token may have replaced them.
"""

from __future__ import annotations

import hashlib

import aiohttp
import discord
import orjson
import structlog
from discord.http import Route

from bots.discord import slash
from core.kit.redis import RedisError
from core.kit.scope import current

log = structlog.get_logger(__name__)

ASK_S = 20
"""Not asked again sooner: a process that is started over and over must not use up Discord's patience."""


async def register_commands(client: discord.Client) -> None:
    """Make Discord's list equal to ours; the bot also works without."""
    definitions = slash.definitions()
    digest = hashlib.sha256(orjson.dumps(definitions)).hexdigest()
    try:
        if await _known(client, digest, {str(one["name"]) for one in definitions}):
            return
        await client.http.request(_route(client, "PUT"), json=definitions)
        await _remember(client, digest)
        log.info("discord.commands_registered", count=len(definitions))
    except discord.HTTPException as error:
        log.error("discord.commands_refused", status=error.status, code=error.code)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        log.warning("discord.commands_not_registered", why=type(error).__name__)


async def _known(client: discord.Client, digest: str, names: set[str]) -> bool:
    redis = current().redis
    if redis is None:
        return False
    try:
        if await redis.get(_key(client, "digest")) != digest.encode():
            return False
        if not await redis.set(_key(client, "asked"), "1", nx=True, ex=ASK_S):
            return True
    except RedisError as error:
        log.warning("discord.commands_unknown", why=type(error).__name__)
        return False
    registered = await client.http.request(_route(client, "GET"))
    return {str(one["name"]) for one in registered} == names


async def _remember(client: discord.Client, digest: str) -> None:
    redis = current().redis
    if redis is None:
        return
    try:
        await redis.set(_key(client, "digest"), digest)
        await redis.set(_key(client, "asked"), "1", ex=ASK_S)
    except RedisError as error:
        log.warning("discord.commands_not_remembered", why=type(error).__name__)


def _key(client: discord.Client, what: str) -> str:
    return current().keys.key("discord", str(client.application_id), "commands", what)


def _route(client: discord.Client, method: str) -> Route:
    return Route(method, "/applications/{application_id}/commands", application_id=str(client.application_id))
