"""Rows of the channels room."""

from __future__ import annotations

from tortoise import fields

from core.kit.orm import Table


class ChannelRow(Table):
    """A configured route to a provider."""

    id = fields.CharField(primary_key=True, max_length=40)
    name = fields.CharField(max_length=80, unique=True)
    vendor = fields.CharField(max_length=40)
    base_url = fields.CharField(max_length=500, default="")
    priority = fields.IntField(default=0)
    """Higher tiers are tried first."""
    weight = fields.IntField(default=1)
    groups = fields.TextField(default="[]")
    """JSON list of group names; empty means every group."""
    paused = fields.BooleanField(default=False)
    created_at = fields.DatetimeField()

    class Meta:
        table = "channel"


class ChannelKeyRow(Table):
    """One sealed secret of a channel."""

    id = fields.CharField(primary_key=True, max_length=40)
    channel: fields.ForeignKeyRelation[ChannelRow] = fields.ForeignKeyField(
        "core.ChannelRow", related_name=False, on_delete=fields.CASCADE
    )
    sealed = fields.TextField()
    hint = fields.CharField(max_length=16)
    position = fields.IntField()

    class Meta:
        table = "channel_key"
        unique_together = (("channel_id", "position"),)


class ChannelModelRow(Table):
    """A model that a channel serves, and the name the upstream knows it by."""

    id = fields.BigIntField(primary_key=True)
    channel: fields.ForeignKeyRelation[ChannelRow] = fields.ForeignKeyField(
        "core.ChannelRow", related_name=False, on_delete=fields.CASCADE
    )
    model = fields.CharField(max_length=120)
    upstream = fields.CharField(max_length=200)

    class Meta:
        table = "channel_model"
        unique_together = (("channel_id", "model"),)
        indexes = (("model",),)
