"""The driver: sends a call through its dialect and hands out what arrives. The only input and output in this room.

It knows no time limits but those of connecting: whoever waits for `next` bounds the wait, because only the router
knows whether another route exists and what has been shown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from core.adapters import registry
from core.adapters.base import Adapter, BadFrame, Decoder, Pause, Plays, Relays, Softens, Step, Target, WireReply
from core.adapters.faults import Fault, UpstreamError, scrubbed
from core.chat import Call, Delta, Finish
from core.kit import sse
from core.kit.http import Answer, HttpPool, Timeouts, TransportError, Trouble

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of a whole answer; pictures travel inside."""
MAX_STREAM_BYTES = 256 * 1024 * 1024
MAX_REFUSAL_BYTES = 64 * 1024
REFUSAL_S = 5.0
"""For the body of a refusal; its status alone says enough."""
MAX_BAD_FRAMES = 20
"""Frames that are no JSON and are skipped; more make the stream garbage."""

_SPACE = b" \t\r\n\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one wait brought. Neither deltas nor data: a sign of life."""

    deltas: tuple[Delta, ...] = ()
    data: bytes | None = None
    """The frame as it came, for callers of the same dialect."""


ALIVE = Arrival()


class Exchange(Protocol):
    """One call under way. Close it in every case."""

    whole: bool | None
    """The answer comes in one piece, not as a stream; None before the first byte."""
    body: bytes | None
    """The answer that came in one piece, once it is there."""

    @property
    def complete(self) -> bool:
        """The answer is all there; at most usage and the end sign are missing."""
        ...

    async def next(self) -> Arrival | None:
        """What comes next; None after the end. May be cancelled and called again. Raises UpstreamError."""
        ...

    def conclude(self) -> Arrival:
        """The end of a `complete` answer whose server will not say so."""
        ...

    def frame(self, arrival: Arrival) -> bytes | None:
        """The event to pass on to a caller of the same dialect; None for nothing."""
        ...

    def relayed_body(self) -> bytes:
        """The whole answer to pass on to a caller of the same dialect."""
        ...

    async def close(self) -> None:
        """Cut the connection, or give it back when everything was read."""
        ...


async def send(call: Call, target: Target, *, http: HttpPool, connect_s: float, first_s: float) -> Exchange:
    """Send the call; return once the upstream has accepted it. Raises UpstreamError, its message scrubbed."""
    adapter = registry.adapter(target.vendor.dialect)
    if isinstance(adapter, Plays):
        return _Played(adapter.play(call, target))
    request = adapter.encode(call, target)
    timeouts = Timeouts(connect_s, first_s)
    softened = False
    while True:
        try:
            answer = await http.open(
                request.method, request.url, headers=request.headers, body=request.body, timeouts=timeouts
            )
        except TransportError as error:
            raise _told(error) from error
        if answer.status == 200:
            return _Sent(adapter, call, target, answer)
        reply = await _refused(answer)
        refusal = adapter.fault(reply)
        if not softened and isinstance(adapter, Softens):
            softened = True
            if (other := adapter.softened(call, target, refusal)) is not None:
                request = other
                continue
        raise UpstreamError(
            refusal.fault,
            reply.status,
            retry_after_s=refusal.retry_after_s,
            message=scrubbed(refusal.message, base_url=target.base_url, secret=target.secret),
        )


class _Sent:
    """An exchange on the wire."""

    def __init__(self, adapter: Adapter, call: Call, target: Target, answer: Answer) -> None:
        self._adapter = adapter
        self._call = call
        self._target = target
        self._answer = answer
        self._decoder: Decoder = adapter.decoder(call, target)
        self._parser = sse.Parser()
        self._ready: deque[Arrival] = deque()
        self._failure: UpstreamError | None = None
        self._over = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._bad_frames = 0
        self.whole: bool | None = None
        self.body: bytes | None = None

    @property
    def complete(self) -> bool:
        return self._decoder.complete

    async def next(self) -> Arrival | None:
        if self._ready:
            return self._ready.popleft()
        if self._failure is not None:
            raise self._failure
        if self._over:
            return None
        try:
            chunk = await self._answer.read()
        except TransportError as error:
            if not self.complete:
                raise self._scrubbed(_told(error)) from error
            chunk = b""
        try:
            self._take(chunk)
        except UpstreamError as error:
            # What came before it in the same chunk is told first.
            self._failure = self._scrubbed(error)
        if self._ready:
            return self._ready.popleft()
        if self._failure is not None:
            raise self._failure
        return None if self._over else ALIVE

    def conclude(self) -> Arrival:
        self._end()
        # The deltas are the decoder's last; the end sign follows as an arrival of its own.
        return self._ready.popleft() if self._ready else ALIVE

    def frame(self, arrival: Arrival) -> bytes | None:
        if arrival.data is None or not isinstance(self._adapter, Relays):
            return None
        return self._adapter.frame(arrival.data, self._call)

    def relayed_body(self) -> bytes:
        assert self.body is not None, "the answer did not come in one piece"
        return self._adapter.body(self.body, self._call) if isinstance(self._adapter, Relays) else self.body

    async def close(self) -> None:
        if self._over and self._failure is None:
            await self._answer.finish()
        else:
            self._answer.close()

    def _take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > (MAX_STREAM_BYTES if self.whole is False else MAX_BODY_BYTES):
            raise UpstreamError(Fault.PROTOCOL)
        if self.whole is None:
            chunk = self._decide(chunk)
        if self.whole is False:
            self._take_stream(chunk)
        elif self.whole:
            self._pieces.append(chunk)
            if not chunk:
                self.body = b"".join(self._pieces)
                self._over = True
                self._ready.append(Arrival(tuple(self._decoder.whole(self.body))))

    def _decide(self, chunk: bytes) -> bytes:
        """Which form it is, by its first byte: headers lie in both directions. The bytes so far."""
        self._pieces.append(chunk)
        begun = b"".join(self._pieces)
        first = begun.lstrip(_SPACE)[:1]
        if first == b"<" or (not chunk and not first):
            raise UpstreamError(Fault.PROTOCOL)
        if not first:
            # Blank lines before a late answer are some providers' sign of life.
            return b""
        self.whole = first in {b"{", b"["}
        self._pieces.clear()
        return begun

    def _take_stream(self, chunk: bytes) -> None:
        try:
            events = self._parser.feed(chunk) if chunk else self._parser.finish()
        except sse.LineTooLong as error:
            raise UpstreamError(Fault.PROTOCOL) from error
        for event in events:
            if event.data is None or not event.data.strip():
                # Comments, and empty data, which some servers send for the same purpose: signs of life.
                continue
            try:
                self._ready.append(Arrival(tuple(self._decoder.feed(event.data)), event.data))
            except BadFrame as error:
                self._bad_frames += 1
                if self._bad_frames > MAX_BAD_FRAMES:
                    raise UpstreamError(Fault.PROTOCOL) from error
            if event.kind == "error":
                refusal = self._adapter.fault(WireReply(200, {}, event.data))
                raise UpstreamError(refusal.fault, message=refusal.message)
            if self._decoder.ended:
                break
        if not chunk or self._decoder.ended:
            self._end()

    def _end(self) -> None:
        signed = self._decoder.ended
        last = Arrival(tuple(self._decoder.finish()))
        self._over = True
        # Deltas before the frame of the end sign: who relays must know how it ended when the last event is out.
        place = len(self._ready) - 1 if signed and self._ready else len(self._ready)
        self._ready.insert(place, last)
        if not signed and isinstance(self._adapter, Relays):
            self._ready.append(Arrival(data=self._adapter.end_sign))

    def _scrubbed(self, error: UpstreamError) -> UpstreamError:
        return UpstreamError(
            error.fault,
            error.status,
            retry_after_s=error.retry_after_s,
            message=scrubbed(error.message, base_url=self._target.base_url, secret=self._target.secret),
        )


class _Played:
    """An exchange without a wire."""

    whole: bool | None = False
    body: bytes | None = None

    def __init__(self, steps: Iterator[Step]) -> None:
        self._steps = steps
        self._waited: Pause | None = None
        self.complete = False

    async def next(self) -> Arrival | None:
        while True:
            if self._waited is not None:
                await asyncio.sleep(self._waited.seconds)
                self._waited = None
            step = next(self._steps, None)
            match step:
                case None:
                    if not self.complete:
                        raise UpstreamError(Fault.TRUNCATED)
                    return None
                case Pause():
                    self._waited = step
                case UpstreamError():
                    raise step
                case _:
                    self.complete = self.complete or isinstance(step, Finish)
                    return Arrival((step,))

    def conclude(self) -> Arrival:
        return ALIVE

    def frame(self, arrival: Arrival) -> bytes | None:
        return None

    def relayed_body(self) -> bytes:
        raise AssertionError("a played answer has no body")

    async def close(self) -> None:
        self._steps = iter(())


async def _refused(answer: Answer) -> WireReply:
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(REFUSAL_S):
            while size < MAX_REFUSAL_BYTES and (piece := await answer.read()):
                pieces.append(piece)
                size += len(piece)
    except (TransportError, TimeoutError):
        # The status and what came of the body are enough to judge by.
        pass
    finally:
        answer.close()
    return WireReply(answer.status, answer.headers, b"".join(pieces)[:MAX_REFUSAL_BYTES])


def _told(error: TransportError) -> UpstreamError:
    match error.trouble:
        case Trouble.SLOW_CONNECT | Trouble.SLOW_HEADERS:
            return UpstreamError(Fault.TIMEOUT)
        case Trouble.CONNECT | Trouble.BROKEN:
            return UpstreamError(Fault.NETWORK)
        case Trouble.TOO_LARGE:
            return UpstreamError(Fault.PROTOCOL)
