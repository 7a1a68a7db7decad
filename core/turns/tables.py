"""Rows of the turns room."""

from __future__ import annotations

from typing import Any

from tortoise import fields

from core.kit.orm import Table


class TurnRow(Table):
    """One question and the answer to it.

    A partial unique index (in the migration) allows one running turn in a conversation.
    """

    id = fields.CharField(primary_key=True, max_length=40)
    conversation: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.ConversationRow", related_name=False, on_delete=fields.RESTRICT
    )
    account: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.AccountRow", related_name=False, on_delete=fields.RESTRICT
    )
    """Who asked and pays; may differ from the conversation's owner in groups."""
    key = fields.CharField(max_length=200, unique=True)
    """Idempotency key of the door: the platform's event id, the browser's own."""
    door = fields.CharField(max_length=12)
    state = fields.CharField(max_length=12)
    """queued · running · done · failed · stopped"""
    request = fields.TextField()
    """JSON of the TurnRequest; what a queued turn still needs."""
    user_message_id = fields.CharField(max_length=40, null=True)
    answer_id = fields.CharField(max_length=40, null=True)
    model = fields.CharField(max_length=120, null=True)
    hold_id = fields.CharField(max_length=40, null=True)
    lease = fields.CharField(max_length=40, null=True)
    lease_until = fields.DatetimeField(null=True)
    cancel_requested_at = fields.DatetimeField(null=True)
    seq = fields.BigIntField(default=0)
    """The last event number that the checkpointed text reflects."""
    usage = fields.TextField(null=True)
    cost_micro = fields.BigIntField(default=0)
    finish = fields.CharField(max_length=16, null=True)
    error = fields.TextField(null=True)
    """JSON {code, params} of a failure."""
    notices = fields.TextField(default="[]")
    """JSON list of {code, params}."""
    created_at = fields.DatetimeField()
    started_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "turn"
        indexes = (("conversation_id", "state", "id"), ("state", "lease_until"), ("account_id", "id"))


class DeliveryRow(Table):
    """Where a turn's answer is being shown."""

    id = fields.CharField(primary_key=True, max_length=40)
    turn: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.TurnRow", related_name=False, on_delete=fields.RESTRICT
    )
    door = fields.CharField(max_length=12)
    bot = fields.CharField(max_length=40)
    place = fields.TextField()
    """JSON, the door's own: chat, thread, message replied to, locale."""
    sent = fields.TextField(default="[]")
    """JSON list of platform message ids, in page order."""
    sending = fields.IntField(null=True)
    """Index of the page whose send began and is not yet known to have arrived."""
    state = fields.CharField(max_length=8, default="open")
    """open · done · failed"""
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "delivery"
        indexes = (("door", "bot", "state"), ("turn_id",))


class DeliveredRow(Table):
    """One platform message of a delivery: finds the turn of a message someone replies to."""

    id = fields.BigIntField(primary_key=True)
    delivery: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.DeliveryRow", related_name=False, on_delete=fields.CASCADE
    )
    door = fields.CharField(max_length=12)
    bot = fields.CharField(max_length=40)
    chat = fields.CharField(max_length=40)
    message = fields.CharField(max_length=40)

    class Meta:
        table = "delivered"
        unique_together = (("door", "bot", "chat", "message"),)
