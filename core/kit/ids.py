"""Every id of the house: time-ordered text with a prefix that says what it names.

An id is `<prefix>_` and 26 characters of lower-case Crockford base 32: 48 bits of Unix milliseconds, then 80 random
bits (the layout of https://github.com/ulid/spec). The same text stands in the database, the API, the logs and in
talk, so nothing has to be translated. Ids made later sort later, up to one millisecond.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import NewType

AccountId = NewType("AccountId", str)
IdentityId = NewType("IdentityId", str)
SessionId = NewType("SessionId", str)
ApiKeyId = NewType("ApiKeyId", str)
LinkId = NewType("LinkId", str)
ChannelId = NewType("ChannelId", str)
ChannelKeyId = NewType("ChannelKeyId", str)
PotId = NewType("PotId", str)
HoldId = NewType("HoldId", str)
EntryId = NewType("EntryId", str)
ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)
TurnId = NewType("TurnId", str)
DeliveryId = NewType("DeliveryId", str)
RequestId = NewType("RequestId", str)
OwnerId = NewType("OwnerId", str)
ModelName = NewType("ModelName", str)

PREFIXES = {
    "acc": "account",
    "idn": "identity",
    "ses": "web session",
    "key": "API key",
    "lnk": "link request",
    "ch": "channel",
    "chk": "channel key",
    "pot": "pot",
    "hold": "hold",
    "ent": "ledger entry",
    "conv": "conversation",
    "msg": "message",
    "turn": "turn",
    "dlv": "delivery",
    "req": "request",
    "own": "owner process",
    "aud": "audit entry",
}
"""Every prefix in use and what it names; `new_id` accepts no other."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SHAPE = re.compile(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}")


def new_id(prefix: str) -> str:
    """A fresh id; wrap it in its NewType at the call: `TurnId(new_id("turn"))`."""
    if prefix not in PREFIXES:
        raise ValueError(f"unknown id prefix {prefix!r}")
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def looks_like(prefix: str, text: object) -> bool:
    """Whether outside text has the shape of an id of this kind; says nothing about its existence."""
    return isinstance(text, str) and text.startswith(f"{prefix}_") and _SHAPE.fullmatch(text) is not None
