"""Actions: what a button means, as a value that any door can carry in 64 bytes.

Packed form: `<version><verb>:<target>`, for example `1r:turn_01jd…`. Telegram allows 64 bytes
(https://core.telegram.org/bots/api#inlinekeyboardbutton), Discord 100 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

VERSION = "1"
MAX_BYTES = 64


class Verb(StrEnum):
    """What pressing does; the value is the packed letter."""

    RETRY = "r"
    """Answer the same question again, as a sibling branch."""
    CONTINUE = "c"
    """Go on where a cut answer ended."""
    STOP = "s"
    """End a running or queued turn, keep what came."""
    SHOW = "v"
    """Show the whole text of a turn here."""
    LINK_ACCEPT = "y"
    """Agree to join two accounts."""
    LINK_REFUSE = "n"
    """Refuse to join two accounts."""
    MODEL = "m"
    """Choose a model; the target is its name (or a short hash of one too long)."""
    NEW = "w"
    """Begin a new conversation."""


@dataclass(frozen=True, slots=True)
class Action:
    """A verb and what it is done to (a turn id, a link id, a model name; empty for NEW)."""

    verb: Verb
    target: str = ""


def pack(action: Action) -> str:
    """The button's payload; raises ValueError when it would not fit."""
    packed = f"{VERSION}{action.verb.value}:{action.target}"
    if len(packed.encode()) > MAX_BYTES:
        raise ValueError(f"action does not fit into {MAX_BYTES} bytes")
    return packed


def unpack(payload: str) -> Action | None:
    """The action, or None for a payload that is not ours or of an unknown version."""
    head, colon, target = payload.partition(":")
    if not colon or len(head) != 2 or head[0] != VERSION or len(payload.encode()) > MAX_BYTES:
        return None
    try:
        return Action(Verb(head[1]), target)
    except ValueError:
        return None
