"""Decisions about channels, pure: what their fields may be, who may use them, what is offered to the router."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from core.adapters import Vendor
from core.channels.types import Candidate, Channel
from core.kit.errors import BadInput
from core.kit.ids import ChannelKeyId
from core.kit.text import one_line

MAX_NAME = 80
MAX_URL = 500
MAX_UPSTREAM = 200
MAX_SECRET = 4_096
MAX_KEYS = 200
MAX_MODELS = 2_000
PRIORITIES = 1_000
"""From minus to plus this."""
DEMO_PRIORITY = -PRIORITIES
MAX_WEIGHT = 10_000
_ENDPOINT = "/chat/completions"


def check_name(name: str) -> str:
    """A channel's name on one line. Raises BadInput."""
    if not name.strip() or name.strip() != one_line(name, MAX_NAME):
        raise BadInput("channel_name_invalid", field="name", most=MAX_NAME)
    return name.strip()


def check_base_url(text: str | None, vendor: Vendor) -> str:
    """The address without its last slash, and without the endpoint when somebody copied it along. Raises BadInput.

    Private hosts are allowed: who may add a channel may also say where it leads.
    """
    if vendor.local:
        return (text or "").strip()
    given = (text or vendor.base_url or "").strip()
    if not given:
        raise BadInput("base_url_missing", field="base_url", vendor=vendor.name)
    given = given.rstrip("/").removesuffix(_ENDPOINT).rstrip("/")
    try:
        parts = urlsplit(given)
        fine = (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
            and parts.username is None
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        fine = False
    if not fine or len(given) > MAX_URL or not given.isascii() or any(c.isspace() for c in given):
        raise BadInput("base_url_invalid", field="base_url")
    return given


def check_keys(keys: Sequence[str], vendor: Vendor) -> list[str]:
    """Secrets fit for a header, each once. Raises BadInput, which never quotes one."""
    given = list(dict.fromkeys(key.strip() for key in keys))
    for key in given:
        if not key or len(key) > MAX_SECRET or not key.isascii() or not key.isprintable() or " " in key:
            raise BadInput("channel_key_invalid", field="key")
    if len(given) > MAX_KEYS:
        raise BadInput("channel_keys_too_many", field="key", most=MAX_KEYS)
    if not given and vendor.key_required:
        raise BadInput("channel_key_missing", field="key", vendor=vendor.name)
    return given


def check_models(models: Mapping[str, str]) -> dict[str, str]:
    """Upstream names by public names; an empty upstream name means the same. Raises BadInput."""
    given = {name.strip(): (upstream.strip() or name.strip()) for name, upstream in models.items()}
    if not given:
        raise BadInput("channel_models_missing", field="model")
    if len(given) > MAX_MODELS:
        raise BadInput("channel_models_too_many", field="model", most=MAX_MODELS)
    for upstream in given.values():
        if len(upstream) > MAX_UPSTREAM or not upstream.isprintable():
            raise BadInput("upstream_model_invalid", field="model", most=MAX_UPSTREAM)
    return given


def check_priority(priority: int) -> int:
    """A tier. Raises BadInput."""
    if not -PRIORITIES <= priority <= PRIORITIES:
        raise BadInput("priority_invalid", field="priority", least=-PRIORITIES, most=PRIORITIES)
    return priority


def check_weight(weight: int) -> int:
    """A share. Raises BadInput."""
    if not 1 <= weight <= MAX_WEIGHT:
        raise BadInput("weight_invalid", field="weight", most=MAX_WEIGHT)
    return weight


def check_groups(groups: Iterable[str]) -> tuple[str, ...]:
    """Names of groups, each once. Raises BadInput."""
    given = tuple(dict.fromkeys(group.strip() for group in groups))
    if any(not group or len(group) > 40 or not group.isprintable() for group in given):
        raise BadInput("group_invalid", field="group", most=40)
    return given


def hint_of(secret: str) -> str:
    """What tells one key from another without telling it; nothing of a short one."""
    return secret[-4:] if len(secret) >= 12 else ""


def offered(channel: Channel, secrets: Mapping[ChannelKeyId, str]) -> dict[str, list[Candidate]]:
    """The candidates of a channel by public model name; a key that does not open is left out."""
    if channel.paused:
        return {}
    opened: list[tuple[ChannelKeyId | None, str]] = [
        (key.id, secrets[key.id]) for key in channel.keys if key.id in secrets
    ]
    if not channel.keys:
        opened = [(None, "")]
    return {
        model.name: [
            Candidate(
                channel=channel.id,
                channel_name=channel.name,
                vendor=channel.vendor,
                base_url=channel.base_url,
                key=key,
                secret=secret,
                upstream_model=model.upstream,
                priority=channel.priority,
                weight=channel.weight / len(opened),
            )
            for key, secret in opened
        ]
        for model in channel.models
        if opened
    }


def admits(groups: Sequence[str], group: str) -> bool:
    """Whether an audience may use a channel with these groups."""
    return not groups or group in groups
