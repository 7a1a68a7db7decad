"""Routing: which models somebody may ask for, and one call's way to the channel that answers it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self

import structlog

from core import adapters, catalog, channels, settings
from core.adapters import Arrival, Exchange, Fault, UpstreamError
from core.catalog import Model
from core.channels import Candidate
from core.chat import Call, Delta, Finish, FinishReason, Usage, is_visible
from core.chat.assemble import Assembler
from core.kit.errors import NotFound, Unavailable
from core.kit.http import TransportError
from core.kit.ids import ModelName, RequestId
from core.kit.scope import current
from core.kit.sse import format_comment
from core.router import policy
from core.router.types import Attempt, Audience, Route, Waits

DELTAS_ONLY = "deltas"
"""The dialect of an answer in another form than was asked for: frames or body of it would be no answer to the call."""
MAX_BUFFERED = 10_000
"""Arrivals without anything visible that are kept until something is."""
KEEP_ALIVE = format_comment("keep-alive")

log = structlog.get_logger(__name__)


def models(audience: Audience) -> list[Model]:
    """The models somebody may choose from, by name and demos last: usable, and served by a channel in service."""
    return catalog.visible(audience.is_admin, channels.served(audience.group))


def model(name: ModelName | str, audience: Audience) -> Model:
    """The model of this name. Raises NotFound("model_unknown") when there is none that the audience may use.

    A model that no channel serves now is found: asking it then fails with `no_route`, which tells more. One that is
    served to other groups only is not.
    """
    found = catalog.find(name)
    if (
        found is None
        or not catalog.usable(found, is_admin=audience.is_admin)
        or channels.withheld(found.name, audience.group)
    ):
        raise NotFound("model_unknown", field="model", model=name[:120])
    return found


def default_model(audience: Audience, preferred: ModelName | str | None) -> Model:
    """The preferred model if it can be used, else the site's default, else the first visible one, demos last.

    Raises Unavailable("no_model") when there is none at all.
    """
    visible = {each.name: each for each in models(audience)}
    for wish in (preferred, settings.get(settings.CHAT_DEFAULT_MODEL)):
        if wish and (found := visible.get(ModelName(wish))) is not None:
            return found
    if not visible:
        raise Unavailable("no_model")
    return next(iter(visible.values()))


def stream(call: Call, *, audience: Audience, request_id: RequestId, deadline_s: float) -> RoutedStream:
    """One call's way. Enter the block, `open`, then read `deltas`, `frames` or `body`; leaving it cuts the upstream.

    `deadline_s` bounds all of it, waiting and reading.
    """
    line = policy.order(channels.candidates(call.model, audience.group), random.random)
    return RoutedStream(call, line, request_id=request_id, deadline_s=deadline_s)


class RoutedStream:
    """An answer on its way. After `open` the channel never changes: a cut raises UpstreamError out of the reading."""

    def __init__(self, call: Call, line: Sequence[Candidate], *, request_id: RequestId, deadline_s: float) -> None:
        self._call = call
        self._line = list(line)
        self._request_id = request_id
        self._deadline_s = deadline_s
        self._deadline = 0.0
        self._waits = _waits()
        self._exchange: Exchange | None = None
        self._buffered: list[Arrival] = []
        self._heard = Assembler()
        self._route: Route | None = None
        self._dialect = DELTAS_ONLY
        self.attempts: list[Attempt] = []
        """What was tried, in order; the last one answers once `open` has returned."""

    async def __aenter__(self) -> Self:
        self._deadline = asyncio.get_running_loop().time() + self._deadline_s
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._exchange is not None:
            await self._exchange.close()

    async def open(self) -> None:
        """Wait for the first visible delta, or for the whole of an answer without one; fail over until then.

        Raises UpstreamFailed, told by the last failure; Unavailable("no_route") when nobody serves the model.
        """
        assert self._exchange is None, "a routed stream opens once"
        failed: UpstreamError | None = None
        most = settings.get(settings.ROUTER_ATTEMPTS)
        loop = asyncio.get_running_loop()
        while self._line and len(self.attempts) < most and loop.time() < self._deadline:
            candidate = self._line.pop(0)
            route = _route_of(candidate)
            others = bool(self._line) and len(self.attempts) + 1 < most
            started = loop.time()
            try:
                await self._try(candidate, others=others)
            except UpstreamError as error:
                failed = error
                took_s = loop.time() - started
                self.attempts.append(Attempt(route, took_s, error.fault, error.status))
                self._line = policy.remaining(self._line, candidate, error.fault)
                log.warning(
                    "call.attempt_failed",
                    request=self._request_id,
                    channel=route.channel,
                    key=route.key,
                    fault=error.fault.value,
                    status=error.status,
                    trouble=str(error.__cause__) if isinstance(error.__cause__, TransportError) else None,
                    took_s=round(took_s, 3),
                )
            else:
                self.attempts.append(Attempt(route, loop.time() - started))
                self._route = route
                return
        if failed is None and not self._line:
            raise Unavailable("no_route", model=self._call.model)
        failed = failed or UpstreamError(Fault.TIMEOUT)
        # Every attempt is in the log already; a chain of tracebacks down to the socket would say it again.
        raise policy.failure(failed) from None

    @property
    def dialect(self) -> str:
        """What `frames` and `body` speak; another word (`deltas`) where the answer is to be had by `deltas` alone."""
        return self._dialect

    @property
    def route(self) -> Route:
        """Who answers; after `open`."""
        assert self._route is not None, "open the stream first"
        return self._route

    @property
    def usage(self) -> Usage | None:
        """What the upstream reported so far; None when nothing, or nothing that can be true."""
        return self._heard.usage

    @property
    def finish(self) -> FinishReason | None:
        """Why the answer ended; None until then, and for ever when it was cut."""
        return self._heard.finish

    @property
    def produced(self) -> str:
        """All text handed out so far: answer, thinking and arguments of tools."""
        return self._heard.produced()

    @property
    def visible(self) -> bool:
        """Whether anything a person could see was handed out so far: text, thinking, a tool call or a picture."""
        return not self._heard.is_empty

    @property
    def visible_text(self) -> int:
        """Code points of answer text handed out so far."""
        return self._heard.text_length

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """The answer from its beginning, Finish last. Raises UpstreamError when it is cut."""
        async with contextlib.aclosing(self._arrivals()) as arrivals:
            async for arrival in arrivals:
                for delta in arrival.deltas:
                    yield delta

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The answer as whole events in the channel's dialect, from its beginning to its end sign.

        The model carries its public name, and usage that only we asked for is left out. Keep-alives are comments.
        Raises UpstreamError when it is cut; the end sign is then missing.
        """
        exchange = self._exchange
        assert exchange is not None, "open the stream first"
        async with contextlib.aclosing(self._arrivals()) as arrivals:
            async for arrival in arrivals:
                frame = exchange.frame(arrival)
                if frame is not None:
                    yield frame
                elif arrival.data is None and not arrival.deltas:
                    yield KEEP_ALIVE

    def body(self) -> bytes:
        """The whole JSON answer of a call that asked for no stream, in the channel's dialect; it is there by `open`."""
        assert self._exchange is not None, "open the stream first"
        for arrival in self._buffered:
            self._hear(arrival)
        self._buffered = []
        return self._exchange.relayed_body()

    async def _try(self, candidate: Candidate, *, others: bool) -> None:
        """One attempt up to its commit point; whatever it buffers is kept only then."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        first_s = policy.first_content_s(
            self._waits, others=others, whole=not self._call.stream, max_output=self._call.options.max_output
        )
        until = min(started + first_s, self._deadline)
        target = candidate.target
        exchange: Exchange | None = None
        committed = False
        try:
            async with asyncio.timeout_at(until):
                exchange = await adapters.send(
                    self._call, target, http=current().http, connect_s=self._waits.connect, first_s=first_s
                )
            buffered: list[Arrival] = []
            while True:
                async with asyncio.timeout_at(until):
                    arrival = await exchange.next()
                if arrival is None:
                    break
                if arrival.deltas or arrival.data is not None:
                    buffered.append(arrival)
                if any(is_visible(delta) or isinstance(delta, Finish) for delta in arrival.deltas):
                    break
                if len(buffered) > MAX_BUFFERED:
                    raise UpstreamError(Fault.PROTOCOL)
                if not others:
                    # Somebody is at work there and nobody else could be: signs of life buy time.
                    alive_until = min(loop.time() + self._waits.idle, started + self._waits.keepalive, self._deadline)
                    until = max(until, alive_until)
            committed = True
        except TimeoutError as error:
            raise UpstreamError(Fault.TIMEOUT) from error
        finally:
            if exchange is not None and not committed:
                await exchange.close()
        self._exchange, self._buffered = exchange, buffered
        asked_whole = not self._call.stream
        self._dialect = target.vendor.dialect if exchange.whole is asked_whole else DELTAS_ONLY

    async def _arrivals(self) -> AsyncGenerator[Arrival, None]:
        exchange = self._exchange
        assert exchange is not None, "open the stream first"
        while self._buffered:
            arrival = self._buffered.pop(0)
            self._hear(arrival)
            yield arrival
        loop = asyncio.get_running_loop()
        content_at = loop.time()
        concluded = False
        while True:
            waits_s = policy.GRACE_S if exchange.complete else self._waits.idle
            until = min(loop.time() + waits_s, content_at + self._waits.keepalive, self._deadline)
            try:
                async with asyncio.timeout_at(until):
                    following = await exchange.next()
            except TimeoutError as error:
                if not exchange.complete or concluded:
                    raise UpstreamError(Fault.TIMEOUT) from error
                concluded = True
                following = exchange.conclude()
            if following is None:
                return
            if following.deltas:
                content_at = loop.time()
            self._hear(following)
            yield following

    def _hear(self, arrival: Arrival) -> None:
        for delta in arrival.deltas:
            self._heard.feed(delta)


def _waits() -> Waits:
    return Waits(
        connect=float(settings.get(settings.ROUTER_CONNECT_S)),
        first=float(settings.get(settings.ROUTER_FIRST_S)),
        first_last=float(settings.get(settings.ROUTER_FIRST_LAST_S)),
        idle=float(settings.get(settings.ROUTER_IDLE_S)),
        keepalive=float(settings.get(settings.ROUTER_KEEPALIVE_S)),
    )


def _route_of(candidate: Candidate) -> Route:
    return Route(
        channel=candidate.channel,
        channel_name=candidate.channel_name,
        key=candidate.key,
        vendor=candidate.vendor,
        upstream_model=candidate.upstream_model,
    )
