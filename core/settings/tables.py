"""Rows of the settings room."""

from __future__ import annotations

from tortoise import fields

from core.kit.orm import Table


class SettingRow(Table):
    """A setting that differs from its default."""

    key = fields.CharField(primary_key=True, max_length=80)
    value = fields.TextField()
    """JSON."""
    updated_at = fields.DatetimeField()

    class Meta:
        table = "setting"
