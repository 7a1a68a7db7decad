"""Outbound HTTP: one pool a process, bounded in time and size, never redirected, blind to proxy variables.

The one place that knows the client library; everything else sees `Answer` and `TransportError`. A pool keeps one
session for each route (direct, or a proxy) and event loop: a session a request costs a handshake, one shared session
60 to 110 µs a call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace

import aiohttp

CONNECTIONS = 2_000
"""Open at once on a route; a gateway's answers are long, so this also bounds its running calls."""
KEPT_ALIVE_S = 20.0
"""How long an idle connection is kept for the next call."""
DRAIN_S = 0.05
"""How long the end of an answer that was read to its own end sign may take, so that its connection can be kept."""
USER_AGENT = "Parley"


class Trouble(StrEnum):
    """What kept an answer from coming."""

    CONNECT = "connect"
    """No connection: the name does not resolve, nobody listens, TLS failed, or the proxy refused."""
    SLOW_CONNECT = "slow_connect"
    """No connection within its time."""
    SLOW_HEADERS = "slow_headers"
    """A connection, but no status line within its time."""
    BROKEN = "broken"
    """The connection ended or spoke no HTTP."""
    TOO_LARGE = "too_large"
    """More bytes than the caller accepts."""


class TransportError(Exception):
    """No answer, or not all of it. Its text names the trouble, never the address."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each step may take; reading has no bound here: bound every wait for `Answer.read` at the caller.

    connect_s   name, socket, TLS, and a free connection of the pool
    headers_s   from the start of the request to the status line, connecting included
    """

    connect_s: float = 5.0
    headers_s: float = 60.0


class Answer:
    """A status, headers and a body that is read piece by piece. Close it in every case, also when cancelled."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        """By lower-case name."""

    async def read(self) -> bytes:
        """The next bytes as soon as there are some; empty at the end. Raises TransportError(BROKEN)."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(Trouble.BROKEN) from error

    async def whole(self, max_bytes: int) -> bytes:
        """All of the body. Raises TransportError: TOO_LARGE, BROKEN."""
        pieces: list[bytes] = []
        size = 0
        while piece := await self.read():
            size += len(piece)
            if size > max_bytes:
                raise TransportError(Trouble.TOO_LARGE)
            pieces.append(piece)
        return b"".join(pieces)

    async def finish(self) -> None:
        """Give the connection back after the last byte that matters; it is closed when more keeps coming."""
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._response.content.readany()
                if self._response.content.at_eof():
                    self._response.release()
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            # What follows the end sign concerns nobody; closing below is the remedy.
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Drop the connection at once unless the body was read to its end. Safe to repeat."""
        self._response.close()


class HttpPool:
    """Sessions by route. Open requests inside a running loop; close once at the end of the process."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[asyncio.AbstractEventLoop, str | None], aiohttp.ClientSession] = {}
        self._closed = False

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeouts: Timeouts = Timeouts(),
        proxy: str | None = None,
    ) -> AsyncIterator[Answer]:
        """An answer whose connection is closed, or given back when read to its end, with the block."""
        answer = await self.open(method, url, headers=headers, body=body, timeouts=timeouts, proxy=proxy)
        try:
            yield answer
        finally:
            answer.close()

    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeouts: Timeouts = Timeouts(),
        proxy: str | None = None,
    ) -> Answer:
        """Send a request and wait for its status line; the caller closes the answer. Raises TransportError.

        Redirects come back as they are: following one could carry a key to another host. A kept connection that the
        other side closed before it answered anything is tried once more on a fresh one.
        """
        session = self._session(proxy)
        used = SimpleNamespace(kept=False)

        async def send() -> Answer:
            try:
                async with asyncio.timeout(timeouts.headers_s):
                    response = await session.request(
                        method,
                        url,
                        headers=headers,
                        data=body,
                        proxy=proxy,
                        allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect_s),
                        trace_request_ctx=used,
                    )
            except aiohttp.ConnectionTimeoutError as error:
                raise TransportError(Trouble.SLOW_CONNECT) from error
            except TimeoutError as error:
                raise TransportError(Trouble.SLOW_HEADERS) from error
            return Answer(response)

        try:
            return await send()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            closed = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionResetError)
            if not (used.kept and closed) or isinstance(error, aiohttp.ClientConnectorError):
                raise _told(error) from error
        try:
            return await send()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _told(error) from error

    async def close(self) -> None:
        """Close every session; later requests are refused."""
        self._closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    def _session(self, proxy: str | None) -> aiohttp.ClientSession:
        if self._closed:
            raise TransportError(Trouble.CONNECT)
        key = (asyncio.get_running_loop(), proxy)
        session = self._sessions.get(key)
        if session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_kept)
            session = self._sessions[key] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Compression makes servers gather a stream before they send it, and small bodies hide large ones.
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                trust_env=False,
                trace_configs=[trace],
            )
        return session


async def _note_kept(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.kept = True


def _told(error: Exception) -> TransportError:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientProxyConnectionError | aiohttp.InvalidURL):
        return TransportError(Trouble.CONNECT)
    return TransportError(Trouble.BROKEN)
