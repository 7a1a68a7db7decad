"""Rows of the accounts room."""

from __future__ import annotations

from typing import Any

from tortoise import fields

from core.kit.orm import Table


class AccountRow(Table):
    """The payer and owner."""

    id = fields.CharField(primary_key=True, max_length=40)
    name = fields.CharField(max_length=64, null=True, unique=True)
    """Log-in name, lower case; null for accounts that never set a password."""
    display_name = fields.CharField(max_length=100, default="")
    password_hash = fields.CharField(max_length=200, null=True)
    must_change_password = fields.BooleanField(default=False)
    role = fields.CharField(max_length=12, default="user")
    """user · admin · root"""
    group = fields.CharField(max_length=40, default="default")
    locale = fields.CharField(max_length=12, null=True)
    default_model = fields.CharField(max_length=120, null=True)
    state = fields.CharField(max_length=12, default="active")
    """active · banned · merged"""
    merged_into = fields.CharField(max_length=40, null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "account"


class IdentityRow(Table):
    """A way to be recognised."""

    id = fields.CharField(primary_key=True, max_length=40)
    account: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.AccountRow", related_name=False, on_delete=fields.RESTRICT
    )
    provider = fields.CharField(max_length=16)
    """telegram · discord"""
    subject = fields.CharField(max_length=64)
    display = fields.CharField(max_length=100, default="")
    created_at = fields.DatetimeField()

    class Meta:
        table = "identity"
        unique_together = (("provider", "subject"),)
        indexes = (("account_id",),)


class SessionRow(Table):
    """A web log-in; the cookie holds the token, we hold its hash."""

    id = fields.CharField(primary_key=True, max_length=40)
    account: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.AccountRow", related_name=False, on_delete=fields.CASCADE
    )
    token_hash = fields.CharField(max_length=64, unique=True)
    user_agent = fields.CharField(max_length=200, default="")
    created_at = fields.DatetimeField()
    seen_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    """Absolute end; idling ends it earlier."""

    class Meta:
        table = "web_session"
        indexes = (("account_id",),)


class ApiKeyRow(Table):
    """A hashed bearer secret for `/v1`."""

    id = fields.CharField(primary_key=True, max_length=40)
    account: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.AccountRow", related_name=False, on_delete=fields.RESTRICT
    )
    name = fields.CharField(max_length=100, default="")
    token_hash = fields.CharField(max_length=64, unique=True)
    hint = fields.CharField(max_length=16)
    """The visible beginning, to tell keys apart."""
    created_at = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = "api_key"
        indexes = (("account_id",),)


class LinkRow(Table):
    """A request to join two identities' accounts: a one-time code, then two agreements."""

    id = fields.CharField(primary_key=True, max_length=40)
    code_hash = fields.CharField(max_length=64, unique=True)
    issuer: fields.ForeignKeyRelation[Any] = fields.ForeignKeyField(
        "core.AccountRow", related_name=False, on_delete=fields.CASCADE
    )
    issuer_label = fields.CharField(max_length=120)
    """How the other side sees the issuer, such as `Telegram @mei`."""
    claimant_id = fields.CharField(max_length=40, null=True)
    claimant_label = fields.CharField(max_length=120, null=True)
    issuer_agreed = fields.BooleanField(default=False)
    claimant_agreed = fields.BooleanField(default=False)
    state = fields.CharField(max_length=12, default="open")
    """open · claimed · done · refused"""
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "link"
        indexes = (("issuer_id",), ("claimant_id",))
