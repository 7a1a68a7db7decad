"""Rows of the conversations room."""

from __future__ import annotations

from typing import Any

from tortoise import fields

from core.kit.orm import Table


class ConversationRow(Table):
    """A tree of messages with a head."""

    id = fields.CharField(primary_key=True, max_length=40)
    account: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.AccountRow", related_name=False, on_delete=fields.RESTRICT
    )
    title = fields.CharField(max_length=200, default="")
    titled_by = fields.CharField(max_length=8, default="auto")
    """auto · person: a person's title is never overwritten."""
    head_id = fields.CharField(max_length=40, null=True)
    """The leaf of the branch that is shown; null while empty."""
    model = fields.CharField(max_length=120, null=True)
    """The model chosen for it; null follows the account's and the site's default."""
    system = fields.TextField(default="")
    door = fields.CharField(max_length=12)
    """Where it began: web · telegram · discord."""
    version = fields.IntField(default=0)
    """Raised first by every unit of work that starts, ends or promotes a turn here."""
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "conversation"
        indexes = (("account_id", "updated_at"),)


class MessageRow(Table):
    """A node of the tree."""

    id = fields.CharField(primary_key=True, max_length=40)
    conversation: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.ConversationRow", related_name=False, on_delete=fields.RESTRICT
    )
    parent_id = fields.CharField(max_length=40, null=True)
    role = fields.CharField(max_length=12)
    parts = fields.TextField()
    """JSON of `core.chat.wire`."""
    author_id = fields.CharField(max_length=40, null=True)
    """The account that asked; null for answers."""
    author_name = fields.CharField(max_length=100, null=True)
    state = fields.CharField(max_length=12, default="done")
    """done · streaming · partial · failed (an answer that ended without words)"""
    turn_id = fields.CharField(max_length=40, null=True)
    model = fields.CharField(max_length=120, null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "message"
        indexes = (("conversation_id", "id"), ("parent_id",))


class BindingRow(Table):
    """Which conversation a place is on."""

    place = fields.CharField(primary_key=True, max_length=160)
    """`door:bot:chat:thread:user`, with 0 for what does not apply."""
    conversation: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.ConversationRow", related_name=False, on_delete=fields.CASCADE
    )
    updated_at = fields.DatetimeField()

    class Meta:
        table = "binding"
