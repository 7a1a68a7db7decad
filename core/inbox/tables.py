"""Rows of the inbox: platform events, each stored once before it is worked on."""

from __future__ import annotations

from tortoise import fields

from core.kit.orm import Table


class InboxRow(Table):
    """One event of a platform as it came."""

    id = fields.BigIntField(primary_key=True)
    platform = fields.CharField(max_length=16)
    bot = fields.CharField(max_length=40)
    event_id = fields.CharField(max_length=64)
    payload = fields.TextField()
    """JSON as received; emptied once the event is done, for privacy."""
    state = fields.CharField(max_length=12, default="new")
    """new · done · failed"""
    tries = fields.IntField(default=0)
    error = fields.CharField(max_length=200, null=True)
    received_at = fields.DatetimeField()
    done_at = fields.DatetimeField(null=True)

    class Meta:
        table = "inbox"
        unique_together = (("platform", "bot", "event_id"),)
        indexes = (("platform", "bot", "state", "id"),)
