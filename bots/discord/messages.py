"""A message as it waits in the inbox: JSON of an Incoming; pure."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from bots.common.inbound import Incoming, Person


def dump(incoming: Incoming) -> str:
    """The stored form."""
    return orjson.dumps(asdict(incoming)).decode()


def load(payload: str) -> Incoming:
    """Read it back. Raises ValueError, KeyError or TypeError for what another version stored."""
    fields = orjson.loads(payload)
    return Incoming(**{**fields, "person": Person(**fields["person"])})
