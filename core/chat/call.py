"""Call: one request to a model. No money, no account, no channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.chat.message import Message
from core.kit.ids import ModelName


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `schema` is JSON Schema as given."""

    name: str
    description: str | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """Sampling and limits. None means *not sent*: the upstream's default holds."""

    max_output: int | None = None
    """Tokens, at least 1."""
    temperature: float | None = None
    """0 … 2."""
    top_p: float | None = None
    """0 … 1."""
    stop: tuple[str, ...] = ()
    """At most 4 sequences."""


@dataclass(frozen=True, slots=True)
class Raw:
    """The body as it came over the wire, for a channel of the same dialect."""

    dialect: str
    body: Mapping[str, Any]
    """The parsed JSON object; adapters copy it before they change a field."""


@dataclass(frozen=True, slots=True)
class Call:
    """Messages, options and tools for one model call, and `raw` when it came in a wire form."""

    model: ModelName
    messages: tuple[Message, ...]
    options: Options = Options()
    tools: tuple[Tool, ...] = ()
    raw: Raw | None = None
    stream: bool = True
    """Whether the caller wants frames as they come; the driver may stream either way."""
