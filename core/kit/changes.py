"""The change feed: numbered facts "this changed", by which every process drops what it has cached.

The number comes from the version row inside the changing transaction, so numbers follow commits; a serial would
let a reader skip a number whose transaction commits late.
"""

from __future__ import annotations

from tortoise import fields

from core.kit.orm import Table


class ChangeVersionRow(Table):
    """One row, id 1: the newest number."""

    id = fields.IntField(primary_key=True, generated=False)
    number = fields.BigIntField(default=0)

    class Meta:
        table = "change_version"


class ChangeRow(Table):
    """One change: what kind of thing, and which."""

    number = fields.BigIntField(primary_key=True, generated=False)
    kind = fields.CharField(max_length=32)
    subject = fields.CharField(max_length=200)
    at = fields.DatetimeField()

    class Meta:
        table = "change"
