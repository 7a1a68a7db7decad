"""The Discord bot's process: logs in, receives, works, shows, and resumes what a former one left.

Supports: direct messages, mentions, replies, slash commands, use by people who installed the bot for themselves. Not
yet: pictures, threads of our own, shards. Never: answering in a server when not addressed.

Interactions are acknowledged before anything else, because Discord waits 3 s for that; then commands, as messages, are
stored before they are worked on. Presses of buttons are not stored: one that is lost is pressed again.

Importing this file imports discord.py, which takes a second: it is done only with a token, in a thread.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections import OrderedDict
from typing import Any

import aiohttp
import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bots.common import lease
from bots.common.dispatch import Desk
from bots.common.feed import Feed
from bots.common.inbound import Incoming
from bots.common.surface import Place
from bots.discord import reading
from bots.discord.messages import dump, load
from bots.discord.registering import register_commands
from bots.discord.surface import DiscordSurface, Traffic, whisper
from bots.discord.throttle import Throttle
from core.kit.errors import AppError
from core.kit.redis import RedisError
from core.kit.scope import Scope, current

log = structlog.get_logger(__name__)

Interaction = discord.Interaction[Any]

BATCH = 100
HEARD = 100
"""Channels that are caught up after a gap."""
CAUGHT_UP = 50
"""Messages read in each."""
PAUSE_MOST_S = 60.0
ACKNOWLEDGE_S = 2.8
"""Discord waits 3 s."""
CLOSE_S = 3.0
IDENTIFY_S = 5.0
DRAINING_POLL_S = 0.2
_REFUSED_BY_GATEWAY = 4004
_ACKNOWLEDGED = 40060
_THINKING, _UPDATING = 5, 6
_EPHEMERAL = 1 << 6
_AWAY = (discord.HTTPException, discord.GatewayNotFound, aiohttp.ClientError, OSError, TimeoutError)


class DiscordPlatform:
    """What the shared code asks of Discord."""

    name = "discord"
    whispers = True

    def __init__(self, client: discord.Client) -> None:
        assert client.user is not None, "the client has logged in"
        self.bot = str(client.user.id)
        self._http = client.http
        self._traffic = Traffic()

    def surface(self, place: Place) -> DiscordSurface:
        """See Platform."""
        return DiscordSurface(self._http, self._traffic, place)


class ParleyClient(discord.Client):
    """discord.py's client, keeping no more of Discord than it must; `receiver` is set before it connects."""

    receiver: Receiver

    def __init__(self) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True, guild_messages=True, dm_messages=True),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            allowed_mentions=discord.AllowedMentions.none(),
            http_trace=Throttle().trace(),
        )

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait for our turn to begin a session; after a lost one Discord asks for some patience besides."""
        if not initial:
            await asyncio.sleep(random.uniform(1.0, IDENTIFY_S))
        await identify_turn(str(self.application_id))

    async def on_ready(self) -> None:
        """A new session; what an old one missed is not repeated by Discord."""
        log.info("discord.ready", bot=self.user.name if self.user else "", servers=len(self.guilds))
        await self.receiver.catch_up()

    async def on_resumed(self) -> None:
        """The old session goes on; Discord has repeated what was missed."""
        log.info("discord.resumed")

    async def on_message(self, message: discord.Message) -> None:
        """See Receiver."""
        self.receiver.message(message)

    async def on_interaction(self, interaction: Interaction) -> None:
        """See Receiver."""
        await self.receiver.interaction(interaction)

    async def on_error(self, event_method: str, /, *args: object, **kwargs: object) -> None:
        """One bad event never stops the rest."""
        log.exception("discord.event_failed", kind=event_method)


class Receiver:
    """Takes events as they come: acknowledges, stores in order, hands presses to the desk.

    A message may come twice, by the gateway and by `catch_up`; the inbox knows it by its id.
    """

    def __init__(self, me: int, platform: DiscordPlatform, desk: Desk, feed: Feed) -> None:
        self._me = me
        self._platform, self._desk, self._feed = platform, desk, feed
        self._arrived: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._batch: list[tuple[str, str]] = []
        self._heard: OrderedDict[int, discord.Message] = OrderedDict()
        """The last message of each channel that was meant for us."""

    def message(self, message: discord.Message) -> None:
        """Keep what is meant for us."""
        incoming = reading.incoming_of(message, self._me)
        if incoming is None:
            return
        self._keep(incoming)
        self._heard[message.channel.id] = message
        self._heard.move_to_end(message.channel.id)
        if len(self._heard) > HEARD:
            self._heard.popitem(last=False)

    async def catch_up(self) -> None:
        """After a gap between two sessions: read what was said meanwhile where people have lately talked to us."""
        for last in list(self._heard.values()):
            try:
                async for message in last.channel.history(limit=CAUGHT_UP, after=last, oldest_first=True):
                    self.message(message)
            except _AWAY as error:
                log.info("discord.not_caught_up", why=type(error).__name__)

    async def interaction(self, interaction: Interaction) -> None:
        """Acknowledge, then work; one that cannot be acknowledged does not exist for its person either."""
        kind = interaction.type
        if kind is discord.InteractionType.application_command:
            incoming = reading.command_of(interaction)
            if await acknowledged(interaction, quiet=reading.is_quiet(interaction)):
                self._keep(incoming)
        elif kind is discord.InteractionType.component:
            press = reading.press_of(interaction)
            if await acknowledged(interaction):
                answer = functools.partial(self._whisper, press.place)
                current().supervisor.spawn(f"press {interaction.id}", self._desk.press(press, answer))
        else:
            log.info("discord.interaction_ignored", kind=str(kind))

    async def store(self) -> None:
        """A service: put what arrived into the inbox, in the order it came."""
        while True:
            if not self._batch:
                self._batch.append(await self._arrived.get())
            while len(self._batch) < BATCH and not self._arrived.empty():
                self._batch.append(self._arrived.get_nowait())
            await self._feed.store(self._batch)
            for _ in self._batch:
                self._arrived.task_done()
            self._batch = []

    async def emptied(self) -> None:
        """Wait until everything that arrived is stored, but not for long."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._arrived.join()
        except TimeoutError:
            log.warning("discord.not_stored", count=self._arrived.qsize() + len(self._batch))

    def _keep(self, incoming: Incoming) -> None:
        self._arrived.put_nowait((incoming.event, dump(incoming)))

    async def _whisper(self, place: Place, text: str) -> None:
        if text:
            await whisper(self._platform.surface(place), text)


async def identify_turn(application: str) -> None:
    """Wait until no process of this deployment has begun a session in the last IDENTIFY_S; the next begins now.

    Discord allows one in five seconds (https://docs.discord.com/developers/events/gateway#identifying), also to a
    process that is started again and again.
    """
    redis, key = current().redis, current().keys.key("discord", application, "identified")
    try:
        async with asyncio.timeout(IDENTIFY_S + 1.0):
            while True:
                if redis is None or await redis.set(key, "1", nx=True, px=int(IDENTIFY_S * 1000) + 100):
                    return
                await asyncio.sleep(0.1)
    except (RedisError, TimeoutError) as error:
        log.info("discord.identifies_out_of_turn", why=type(error).__name__)


async def acknowledged(interaction: Interaction, *, quiet: bool = False) -> bool:
    """Tell Discord that we heard; False when it was too late.

    Not by `interaction.response.defer`: that reads the answer's body, and what it cannot read is an error though the
    acknowledgement arrived.
    """
    is_command = interaction.type is discord.InteractionType.application_command
    body: dict[str, Any] = {"type": _THINKING if is_command else _UPDATING}
    if quiet:
        body["data"] = {"flags": _EPHEMERAL}
    route = Route(
        "POST",
        "/interactions/{webhook_id}/{webhook_token}/callback",
        webhook_id=str(interaction.id),
        webhook_token=interaction.token,
    )
    try:
        async with asyncio.timeout(ACKNOWLEDGE_S):
            while True:
                try:
                    await interaction.client.http.request(route, json=body)
                    return True
                except discord.HTTPException as error:
                    if error.code == _ACKNOWLEDGED:
                        return True
                    log.warning("discord.not_acknowledged", status=error.status, code=error.code)
                    return False
                except (aiohttp.ClientError, OSError) as error:  # it may have arrived: the second try is told so
                    log.info("discord.acknowledging_again", why=type(error).__name__)
                    await asyncio.sleep(0.1)
    except TimeoutError:
        log.warning("discord.not_acknowledged", status=None, code=None)
        return False


async def run(scope: Scope) -> None:
    """Be the bot until the process drains or the task is cancelled. Returns at once without an accepted token."""
    token = scope.config.discord_token
    if token is None:
        return
    # It says each reconnect with a traceback; `discord.resumed` and `discord.ready` say the same.
    logging.getLogger("discord.client").setLevel(logging.CRITICAL)
    Route.BASE = f"{scope.config.discord_api_url.rstrip('/')}/api/v10"
    client = await _logged_in(token)
    if client is None:
        return
    try:
        async with lease.held(scope, f"discord:{client.application_id}"):
            await _serve(scope, client)
    finally:
        await _closed(client)


async def _serve(scope: Scope, client: ParleyClient) -> None:
    told = await client.http.request(Route("GET", "/gateway"))
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(str(told["url"]))
    platform = DiscordPlatform(client)
    desk = Desk(platform)
    feed = Feed(
        platform.name,
        platform.bot,
        lambda payload: desk.message(load(payload)),
        lambda payload: load(payload).chat,
        give_up=functools.partial(_given_up, desk),
    )
    receiver = client.receiver = Receiver(int(platform.bot), platform, desk, feed)
    supervisor = scope.supervisor
    storing = supervisor.keep("discord store", receiver.store)
    services = [
        supervisor.keep("discord feed", feed.run),
        supervisor.keep("discord resume", desk.resume_now_and_then),
        supervisor.spawn("discord commands", register_commands(client)),
    ]
    connected = asyncio.create_task(_connected(client), name="discord gateway")
    draining = asyncio.create_task(_drains(scope), name="discord draining")
    try:
        await asyncio.wait({connected, draining}, return_when=asyncio.FIRST_COMPLETED)
        if not connected.done():
            # What is being shown has the drain's time, and can be stopped; what arrives is stored for the next process.
            for service in services:
                service.cancel()
            await desk.finished()
            await receiver.emptied()
        else:
            connected.result()
    finally:
        for task in (*services, storing, connected, draining):
            task.cancel()
        await asyncio.wait({connected, draining})


async def _connected(client: discord.Client) -> None:
    """Be connected; discord.py reconnects by itself. Returns when the gateway refuses the token."""
    try:
        await client.connect(reconnect=True)
    except discord.ConnectionClosed as closed:
        if closed.code != _REFUSED_BY_GATEWAY:
            raise
        _say_refused()


async def _drains(scope: Scope) -> None:
    while not scope.draining:  # noqa: ASYNC110 - a flag of the scope, not an event
        await asyncio.sleep(DRAINING_POLL_S)


async def _logged_in(token: str) -> ParleyClient | None:
    """A client that knows itself; None when the token is wrong. Waits as long as Discord is away."""
    pause_s = 1.0
    while True:
        client = ParleyClient()
        try:
            await client.login(token)
            return client
        except discord.LoginFailure:
            _say_refused()
            await _closed(client)
            return None
        except _AWAY as error:
            log.warning("discord.away", why=str(error) or type(error).__name__)
            await _closed(client)
        except BaseException:
            await _closed(client)
            raise
        await asyncio.sleep(pause_s)
        pause_s = min(PAUSE_MOST_S, pause_s * 2)


def _say_refused() -> None:
    log.error("discord.token_refused", hint="check PARLEY_DISCORD_TOKEN and PARLEY_DISCORD_API_URL")


async def _closed(client: discord.Client) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await client.close()
    except TimeoutError:
        log.info("discord.closed_rudely")


async def _given_up(desk: Desk, payload: str, error: AppError) -> None:
    await desk.explain(load(payload), error)
