"""The contract of a dialect: pure answers about bytes. The driver does all input and output.

A dialect is one file that says how our `Call` becomes a request, how its frames become `Delta`s, and what its
refusals mean. A dialect that answers by itself, without any provider, `Plays` instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from core.adapters.faults import Refusal, UpstreamError
from core.chat import Call, Delta


class Framing(StrEnum):
    """How an answer is cut into frames."""

    SSE = "sse"
    JSON_LINES = "json_lines"
    JSON = "json"
    WEBSOCKET = "websocket"
    LOCAL = "local"
    """There is no wire: the adapter plays its answer itself."""


class StreamUsage(StrEnum):
    """How a vendor reports usage in streams."""

    OPTION = "option"
    """When asked by `stream_options.include_usage`."""
    ALWAYS = "always"
    """By itself, and it refuses `stream_options`."""
    NONE = "none"
    """Never, and it refuses `stream_options`."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A known provider on a known dialect, as `vendors.toml` describes it."""

    name: str
    title: str
    dialect: str
    base_url: str | None = None
    """Ends before `/chat/completions`; None: the operator must give one."""
    local: bool = False
    """Answers by itself: has neither address nor keys."""
    key_required: bool = True
    stream_usage: StreamUsage = StreamUsage.OPTION
    max_output_field: str = "max_tokens"
    """Where the limit of the answer goes."""
    names: bool = True
    """Accepts `messages[].name`."""
    reasoning_apart: bool = False
    """`completion_tokens` leaves out the reasoning tokens, which the total includes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""
    source: str = ""
    """Where these facts are from."""
    seen: str = ""
    """When: year and month."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes."""

    vendor: Vendor
    base_url: str
    upstream_model: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as bytes."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WireReply:
    """An answer that was no success, read to a bound."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = field(repr=False)


class BadFrame(Exception):
    """A frame that is no message of the dialect; a few are skipped, since real servers send some."""


class Decoder(Protocol):
    """Reads one answer. Raises UpstreamError with an unscrubbed message when the answer tells of an error."""

    ended: bool
    """The end sign was read: nothing after it matters."""

    @property
    def complete(self) -> bool:
        """The answer is all there; at most usage and the end sign are missing."""
        ...

    def feed(self, frame: bytes) -> Iterable[Delta]:
        """The deltas of one frame of a stream. Raises BadFrame."""
        ...

    def whole(self, body: bytes) -> Iterable[Delta]:
        """The deltas of an answer that came in one piece, Finish included."""
        ...

    def finish(self) -> Iterable[Delta]:
        """What remains once the stream is over: Finish, last. Raises UpstreamError(TRUNCATED) without an end sign."""
        ...


class Adapter(Protocol):
    """A dialect on the wire."""

    name: str
    framing: Framing

    def encode(self, call: Call, target: Target) -> WireRequest:
        """The request for this call."""
        ...

    def decoder(self, call: Call, target: Target) -> Decoder:
        """A fresh reader for its answer."""
        ...

    def fault(self, reply: WireReply) -> Refusal:
        """What an answer that is no success means."""
        ...


@runtime_checkable
class Relays(Protocol):
    """A dialect whose callers may get the upstream's own frames and bodies."""

    end_sign: bytes
    """The data of the family's last frame, for streams that ended properly without it."""

    def frame(self, data: bytes, call: Call) -> bytes | None:
        """The event to pass on for one frame's data; None for what this caller did not ask for."""
        ...

    def body(self, body: bytes, call: Call) -> bytes:
        """The whole answer to pass on."""
        ...


@runtime_checkable
class Softens(Protocol):
    """A dialect that can leave out an optional field which an upstream refused."""

    def softened(self, call: Call, target: Target, refusal: Refusal) -> WireRequest | None:
        """The request to send instead, once; None when the refusal is about something else."""
        ...


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait within a played answer."""

    seconds: float


Step = Delta | Pause | UpstreamError
"""What a played answer is made of; an error ends it."""


@runtime_checkable
class Plays(Protocol):
    """A dialect that answers by itself."""

    name: str

    def play(self, call: Call, target: Target) -> Iterator[Step]:
        """The answer, step by step, Finish last."""
        ...
