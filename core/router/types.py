"""Who asks, who answers, and what was tried."""

from __future__ import annotations

from dataclasses import dataclass

from core.accounts import Account
from core.adapters import Fault
from core.kit.ids import AccountId, ChannelId, ChannelKeyId


@dataclass(frozen=True, slots=True)
class Audience:
    """Who asks, as far as routes and models depend on it."""

    account: AccountId | None
    """None: the house itself."""
    group: str
    is_admin: bool

    @classmethod
    def of(cls, account: Account) -> Audience:
        """This account, asking for itself."""
        return cls(account.id, account.group, account.is_admin)


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers. For logs and administrators; people see the public model name alone."""

    channel: ChannelId
    channel_name: str
    key: ChannelKeyId | None
    vendor: str
    upstream_model: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try and how it went; `fault` None is the one that answered."""

    route: Route
    took_s: float
    """Until the first visible delta, or until the failure."""
    fault: Fault | None = None
    status: int | None = None
    """Of the refusal, by HTTP; None where there was none."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the router waits, in seconds; from the settings."""

    connect: float
    first: float
    """For the first content while another route exists."""
    first_last: float
    """The same on the last route."""
    idle: float
    """The longest gap within a stream."""
    keepalive: float
    """The longest time with signs of life alone."""
