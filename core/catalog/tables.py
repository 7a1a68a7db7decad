"""Rows of the catalog."""

from __future__ import annotations

from tortoise import fields

from core.kit.orm import Table


class ModelRow(Table):
    """A public name that people choose, with its profile and price."""

    name = fields.CharField(primary_key=True, max_length=120)
    enabled = fields.BooleanField(default=True)
    demo = fields.BooleanField(default=False)
    window = fields.IntField(default=32_768)
    max_output = fields.IntField(default=4_096)
    charge = fields.CharField(max_length=12, default="unpriced")
    """unpriced · free · token"""
    price_in = fields.CharField(max_length=40, null=True)
    """Decimal text per million tokens in `currency`; likewise price_out."""
    price_out = fields.CharField(max_length=40, null=True)
    currency = fields.CharField(max_length=3, default="CNY")
    price_version = fields.IntField(default=1)
    created_at = fields.DatetimeField()

    class Meta:
        table = "model"
