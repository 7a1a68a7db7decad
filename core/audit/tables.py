"""Rows of the audit room."""

from __future__ import annotations

from tortoise import fields

from core.kit.orm import Table


class AuditRow(Table):
    """Who changed what, before and after; never a secret."""

    id = fields.CharField(primary_key=True, max_length=40)
    at = fields.DatetimeField()
    actor = fields.CharField(max_length=40)
    """An account id, `cli` or `system`."""
    action = fields.CharField(max_length=60)
    """A verb in the past with its noun, such as `channel.added`."""
    subject = fields.CharField(max_length=200)
    before = fields.TextField(null=True)
    after = fields.TextField(null=True)

    class Meta:
        table = "audit"
        indexes = (("subject", "at"),)
