"""The queries of the channels room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from core.channels.types import Channel, ChannelKey, ChannelModel
from core.kit.ids import ChannelId, ChannelKeyId, ModelName
from core.kit.orm import Work, moment, read

# GROUPS is a keyword of both databases, so it stands in quotes.
_COLUMNS = 'id, name, vendor, base_url, priority, weight, "groups", paused, created_at'


@dataclass(frozen=True, slots=True)
class Stored:
    """Every channel, and the sealed text of every key."""

    channels: tuple[Channel, ...]
    sealed: Mapping[ChannelKeyId, str]


async def everything() -> Stored:
    """All channels by name. Three reads: a change between them is followed by another reload."""
    rows = await read(f"SELECT {_COLUMNS} FROM channel ORDER BY name")
    keys = await read("SELECT id, channel_id, sealed, hint FROM channel_key ORDER BY channel_id, position")
    models = await read("SELECT channel_id, model, upstream FROM channel_model ORDER BY channel_id, id")
    return Stored(
        tuple(
            _channel(
                row,
                [key for key in keys if key["channel_id"] == row["id"]],
                [model for model in models if model["channel_id"] == row["id"]],
            )
            for row in rows
        ),
        {ChannelKeyId(key["id"]): key["sealed"] for key in keys},
    )


async def one(work: Work, channel: ChannelId) -> Channel | None:
    """One channel as it stands inside a unit of work."""
    rows = await work.execute(f"SELECT {_COLUMNS} FROM channel WHERE id = $1", [channel])
    if not rows:
        return None
    keys = await work.execute("SELECT id, hint FROM channel_key WHERE channel_id = $1 ORDER BY position", [channel])
    models = await work.execute(
        "SELECT model, upstream FROM channel_model WHERE channel_id = $1 ORDER BY id", [channel]
    )
    return _channel(rows[0], keys, models)


async def any_channel(work: Work) -> bool:
    """Whether there is one at all."""
    return bool(await work.execute("SELECT 1 AS found FROM channel LIMIT 1"))


async def named(work: Work, name: str) -> ChannelId | None:
    """The channel of this name."""
    rows = await work.execute("SELECT id FROM channel WHERE name = $1", [name])
    return ChannelId(rows[0]["id"]) if rows else None


async def insert(work: Work, channel: Channel) -> bool:
    """Add the channel's own row; False when its name is taken."""
    added = await work.change(
        f"INSERT INTO channel ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO NOTHING",
        [*_values(channel), channel.created_at],
    )
    return added == 1


async def update(work: Work, channel: Channel) -> None:
    """Write the channel's own row."""
    await work.change(
        "UPDATE channel SET name = $2, vendor = $3, base_url = $4, priority = $5, weight = $6,"
        ' "groups" = $7, paused = $8 WHERE id = $1',
        _values(channel),
    )


async def delete(work: Work, channel: ChannelId) -> None:
    """Remove the channel with its keys and models."""
    for statement in (
        "DELETE FROM channel_key WHERE channel_id = $1",
        "DELETE FROM channel_model WHERE channel_id = $1",
        "DELETE FROM channel WHERE id = $1",
    ):
        await work.change(statement, [channel])


async def replace_keys(work: Work, channel: ChannelId, keys: Sequence[tuple[ChannelKey, str]]) -> None:
    """Keep exactly these keys, each with its sealed text."""
    await work.change("DELETE FROM channel_key WHERE channel_id = $1", [channel])
    if keys:
        await work.execute_many(
            "INSERT INTO channel_key (id, channel_id, sealed, hint, position) VALUES ($1, $2, $3, $4, $5)",
            [(key.id, channel, sealed, key.hint, place) for place, (key, sealed) in enumerate(keys)],
        )


async def replace_models(work: Work, channel: ChannelId, models: Sequence[ChannelModel]) -> None:
    """Serve exactly these models."""
    await work.change("DELETE FROM channel_model WHERE channel_id = $1", [channel])
    if models:
        await work.execute_many(
            "INSERT INTO channel_model (channel_id, model, upstream) VALUES ($1, $2, $3)",
            [(channel, model.name, model.upstream) for model in models],
        )


def _values(channel: Channel) -> list[str | int | bool | datetime]:
    return [
        channel.id,
        channel.name,
        channel.vendor,
        channel.base_url,
        channel.priority,
        channel.weight,
        orjson.dumps(channel.groups).decode(),
        channel.paused,
    ]


def _channel(row: dict[str, Any], keys: Sequence[dict[str, Any]], models: Sequence[dict[str, Any]]) -> Channel:
    return Channel(
        id=ChannelId(row["id"]),
        name=row["name"],
        vendor=row["vendor"],
        base_url=row["base_url"],
        priority=row["priority"],
        weight=row["weight"],
        groups=tuple(orjson.loads(row["groups"])),
        paused=bool(row["paused"]),
        models=tuple(ChannelModel(ModelName(each["model"]), each["upstream"]) for each in models),
        keys=tuple(ChannelKey(ChannelKeyId(each["id"]), each["hint"]) for each in keys),
        created_at=moment(row["created_at"]),
    )
