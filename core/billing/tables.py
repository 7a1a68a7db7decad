"""Rows of billing: pots, holds with their legs, entries, and the processes that own holds."""

from __future__ import annotations

from typing import Any

from tortoise import fields

from core.kit.orm import Table


class PotRow(Table):
    """Something a call may draw on."""

    id = fields.CharField(primary_key=True, max_length=40)
    owner = fields.CharField(max_length=40)
    """The account, or another thing that owns a pot."""
    kind = fields.CharField(max_length=16)
    """credits (later: allowance, key_budget, group_wallet)"""
    unit = fields.CharField(max_length=8)
    """micro · count"""
    balance = fields.BigIntField(default=0)
    held = fields.BigIntField(default=0)
    floor = fields.BigIntField(default=0)
    """How far below zero a capture may take the balance, as a number ≥ 0."""
    expires_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "pot"
        unique_together = (("owner", "kind"),)


class HoldRow(Table):
    """Amounts reserved in one or more pots; opened once, resolved once."""

    id = fields.CharField(primary_key=True, max_length=40)
    key = fields.CharField(max_length=200, unique=True)
    state = fields.CharField(max_length=12)
    """open · captured · released · expired"""
    reason = fields.CharField(max_length=24)
    owner = fields.CharField(max_length=40)
    """The row that settles it: a turn id, or the process (`own_…`) that serves a `/v1` call."""
    quote = fields.TextField()
    """JSON: model, price version, prices, rate."""
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    resolved_at = fields.DatetimeField(null=True)

    class Meta:
        table = "hold"
        indexes = (("state", "expires_at"), ("state", "owner"))


class HoldLegRow(Table):
    """The part of a hold that lies in one pot."""

    id = fields.BigIntField(primary_key=True)
    hold: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.HoldRow", related_name=False, on_delete=fields.RESTRICT
    )
    pot: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.PotRow", related_name=False, on_delete=fields.RESTRICT
    )
    amount = fields.BigIntField()
    spent = fields.BigIntField(default=0)

    class Meta:
        table = "hold_leg"
        unique_together = (("hold_id", "pot_id"),)
        indexes = (("pot_id",),)


class EntryRow(Table):
    """One pot's immutable line."""

    id = fields.CharField(primary_key=True, max_length=40)
    pot: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.PotRow", related_name=False, on_delete=fields.RESTRICT
    )
    account_id = fields.CharField(max_length=40)
    amount = fields.BigIntField()
    """Signed, in the pot's unit."""
    reason = fields.CharField(max_length=24)
    reference = fields.CharField(max_length=80, default="")
    key = fields.CharField(max_length=200)
    memo = fields.TextField(default="{}")
    """JSON for people and reports: model, tokens, door, note. Never message content."""
    created_at = fields.DatetimeField()

    class Meta:
        table = "ledger_entry"
        unique_together = (("key", "pot_id"),)
        indexes = (("pot_id", "id"), ("account_id", "id"))


class OwnerRow(Table):
    """A living process that owns holds; its heartbeat says so."""

    id = fields.CharField(primary_key=True, max_length=40)
    role = fields.CharField(max_length=16)
    started_at = fields.DatetimeField()
    beat_at = fields.DatetimeField()

    class Meta:
        table = "owner"
