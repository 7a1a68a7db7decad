"""The nouns of the accounts room: Account, Identity, ApiKey, Link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from core.kit.ids import AccountId, ApiKeyId, IdentityId, LinkId, SessionId

Role = Literal["user", "admin", "root"]
State = Literal["active", "banned", "merged"]


@dataclass(frozen=True, slots=True)
class Account:
    """The payer and owner; not a log-in."""

    id: AccountId
    name: str | None
    """Log-in name, lower case; None for people who come by a bot alone."""
    display_name: str
    role: Role
    group: str
    """Decides which models are visible and which channels may serve."""
    locale: str | None
    """None follows what the door knows of the person."""
    default_model: str | None
    """None follows the site."""
    state: State
    must_change_password: bool
    created_at: datetime
    merged_into: AccountId | None = None

    @property
    def is_admin(self) -> bool:
        """Whether it may administer, and use models without a price."""
        return self.role != "user"


@dataclass(frozen=True, slots=True)
class Identity:
    """A way to be recognised; unique by provider and subject."""

    id: IdentityId
    account: AccountId
    provider: str
    """`telegram` or `discord`."""
    subject: str
    """The platform's own number of the person."""
    display: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer secret of an account; the secret itself is known only to its holder."""

    id: ApiKeyId
    account: AccountId
    name: str
    hint: str
    """How the secret begins."""
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in on the web."""

    id: SessionId
    account: Account
    seen_at: datetime
    expires_at: datetime
    """The absolute end; idling ends it earlier."""


class LinkState(StrEnum):
    """How far a request to join two accounts is."""

    OPEN = "open"
    """The code waits for someone to type it."""
    CLAIMED = "claimed"
    """Someone did; both sides are asked to agree."""
    DONE = "done"
    """The accounts are one."""
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Link:
    """A request to join two accounts."""

    id: LinkId
    issuer: AccountId
    issuer_label: str
    """How the other side sees the issuer, such as `Telegram @mei`."""
    claimant: AccountId | None
    claimant_label: str | None
    issuer_agreed: bool
    claimant_agreed: bool
    state: LinkState
    expires_at: datetime

    @property
    def agreed(self) -> bool:
        """Whether both sides said yes."""
        return self.issuer_agreed and self.claimant_agreed
