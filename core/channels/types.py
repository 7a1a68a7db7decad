"""Channels, their keys and models, and the candidates that a call may be sent to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.adapters import DEMO_VENDOR, Fault, Target, vendor
from core.kit.ids import ChannelId, ChannelKeyId, ModelName


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """One secret of a channel, as people may see it."""

    id: ChannelKeyId
    hint: str
    """Its last characters."""


@dataclass(frozen=True, slots=True)
class ChannelModel:
    """A model that the channel serves."""

    name: ModelName
    """What people ask for."""
    upstream: str
    """What the provider calls it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A configured route. Holds no secret."""

    id: ChannelId
    name: str
    vendor: str
    base_url: str
    """Ends before `/chat/completions`; empty where the vendor is local."""
    priority: int
    """Higher tiers are tried first."""
    weight: int
    """Its share within its tier."""
    groups: tuple[str, ...]
    """Who may use it; empty means everybody."""
    paused: bool
    models: tuple[ChannelModel, ...]
    keys: tuple[ChannelKey, ...]
    created_at: datetime

    @property
    def demo(self) -> bool:
        """Whether it answers by itself."""
        return self.vendor == DEMO_VENDOR


@dataclass(frozen=True, slots=True)
class Candidate:
    """A (channel, key, upstream model) that could serve a call now."""

    channel: ChannelId
    channel_name: str
    vendor: str
    base_url: str
    key: ChannelKeyId | None
    """None where the channel has no keys."""
    secret: str = field(repr=False)
    upstream_model: str
    priority: int
    weight: float
    """The channel's weight shared among its keys, so that many keys do not draw more calls."""

    @property
    def target(self) -> Target:
        """Where an adapter sends the call."""
        return Target(vendor(self.vendor), self.base_url, self.upstream_model, self.secret)


@dataclass(frozen=True, slots=True)
class TestResult:
    """How a tiny request through a channel went; the first failure, when it has several keys."""

    __test__ = False  # its name makes pytest curious

    ok: bool
    model: ModelName
    key_hint: str
    """Of the key that failed, or of the last one; empty without keys."""
    seconds: float
    """Until the first words, or until the failure."""
    fault: Fault | None = None
    status: int | None = None
    message: str = ""
    """What the provider said, without address and key."""
