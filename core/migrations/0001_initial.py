"""The first schema: accounts, catalog, channels, money, words, turns, and the feeds between processes.

The partial index is raw SQL: tortoise's generator leaves it out on SQLite.
"""

from __future__ import annotations

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="AccountRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                ("name", fields.CharField(null=True, unique=True, max_length=64)),
                ("display_name", fields.CharField(default="", max_length=100)),
                ("password_hash", fields.CharField(null=True, max_length=200)),
                ("must_change_password", fields.BooleanField(default=False)),
                ("role", fields.CharField(default="user", max_length=12)),
                ("group", fields.CharField(default="default", max_length=40)),
                ("locale", fields.CharField(null=True, max_length=12)),
                ("default_model", fields.CharField(null=True, max_length=120)),
                ("state", fields.CharField(default="active", max_length=12)),
                ("merged_into", fields.CharField(null=True, max_length=40)),
                ("created_at", fields.DatetimeField()),
            ],
            options={"table": "account"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ApiKeyRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "core.AccountRow", source_field="account_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                ("name", fields.CharField(default="", max_length=100)),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                ("hint", fields.CharField(max_length=16)),
                ("created_at", fields.DatetimeField()),
                ("revoked_at", fields.DatetimeField(null=True)),
            ],
            options={"table": "api_key", "indexes": [Index(fields=["account_id"])]},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="AuditRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                ("at", fields.DatetimeField()),
                ("actor", fields.CharField(max_length=40)),
                ("action", fields.CharField(max_length=60)),
                ("subject", fields.CharField(max_length=200)),
                ("before", fields.TextField(null=True)),
                ("after", fields.TextField(null=True)),
            ],
            options={"table": "audit", "indexes": [Index(fields=["subject", "at"])]},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ChangeRow",
            fields=[
                ("number", fields.BigIntField(primary_key=True, generated=False)),
                ("kind", fields.CharField(max_length=32)),
                ("subject", fields.CharField(max_length=200)),
                ("at", fields.DatetimeField()),
            ],
            options={"table": "change"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ChangeVersionRow",
            fields=[
                ("id", fields.IntField(primary_key=True, generated=False)),
                ("number", fields.BigIntField(default=0)),
            ],
            options={"table": "change_version"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ChannelRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                ("name", fields.CharField(unique=True, max_length=80)),
                ("vendor", fields.CharField(max_length=40)),
                ("base_url", fields.CharField(default="", max_length=500)),
                ("priority", fields.IntField(default=0)),
                ("weight", fields.IntField(default=1)),
                ("groups", fields.TextField(default="[]")),
                ("paused", fields.BooleanField(default=False)),
                ("created_at", fields.DatetimeField()),
            ],
            options={"table": "channel"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ChannelKeyRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "channel",
                    fields.ForeignKeyField(
                        "core.ChannelRow", source_field="channel_id", related_name=False, on_delete=OnDelete.CASCADE
                    ),
                ),
                ("sealed", fields.TextField()),
                ("hint", fields.CharField(max_length=16)),
                ("position", fields.IntField()),
            ],
            options={"table": "channel_key", "unique_together": (("channel_id", "position"),)},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ChannelModelRow",
            fields=[
                ("id", fields.BigIntField(primary_key=True)),
                (
                    "channel",
                    fields.ForeignKeyField(
                        "core.ChannelRow", source_field="channel_id", related_name=False, on_delete=OnDelete.CASCADE
                    ),
                ),
                ("model", fields.CharField(max_length=120)),
                ("upstream", fields.CharField(max_length=200)),
            ],
            options={
                "table": "channel_model",
                "unique_together": (("channel_id", "model"),),
                "indexes": [Index(fields=["model"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ConversationRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "core.AccountRow", source_field="account_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                ("title", fields.CharField(default="", max_length=200)),
                ("titled_by", fields.CharField(default="auto", max_length=8)),
                ("head_id", fields.CharField(null=True, max_length=40)),
                ("model", fields.CharField(null=True, max_length=120)),
                ("system", fields.TextField(default="")),
                ("door", fields.CharField(max_length=12)),
                ("version", fields.IntField(default=0)),
                ("created_at", fields.DatetimeField()),
                ("updated_at", fields.DatetimeField()),
                ("deleted_at", fields.DatetimeField(null=True)),
            ],
            options={"table": "conversation", "indexes": [Index(fields=["account_id", "updated_at"])]},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="BindingRow",
            fields=[
                ("place", fields.CharField(primary_key=True, max_length=160)),
                (
                    "conversation",
                    fields.ForeignKeyField(
                        "core.ConversationRow",
                        source_field="conversation_id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("updated_at", fields.DatetimeField()),
            ],
            options={"table": "binding"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="HoldRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                ("key", fields.CharField(unique=True, max_length=200)),
                ("state", fields.CharField(max_length=12)),
                ("reason", fields.CharField(max_length=24)),
                ("owner", fields.CharField(max_length=40)),
                ("quote", fields.TextField()),
                ("created_at", fields.DatetimeField()),
                ("expires_at", fields.DatetimeField()),
                ("resolved_at", fields.DatetimeField(null=True)),
            ],
            options={
                "table": "hold",
                "indexes": [Index(fields=["state", "expires_at"]), Index(fields=["state", "owner"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="IdentityRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "core.AccountRow", source_field="account_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                ("provider", fields.CharField(max_length=16)),
                ("subject", fields.CharField(max_length=64)),
                ("display", fields.CharField(default="", max_length=100)),
                ("created_at", fields.DatetimeField()),
            ],
            options={
                "table": "identity",
                "unique_together": (("provider", "subject"),),
                "indexes": [Index(fields=["account_id"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="InboxRow",
            fields=[
                ("id", fields.BigIntField(primary_key=True)),
                ("platform", fields.CharField(max_length=16)),
                ("bot", fields.CharField(max_length=40)),
                ("event_id", fields.CharField(max_length=64)),
                ("payload", fields.TextField()),
                ("state", fields.CharField(default="new", max_length=12)),
                ("tries", fields.IntField(default=0)),
                ("error", fields.CharField(null=True, max_length=200)),
                ("received_at", fields.DatetimeField()),
                ("done_at", fields.DatetimeField(null=True)),
            ],
            options={
                "table": "inbox",
                "unique_together": (("platform", "bot", "event_id"),),
                "indexes": [Index(fields=["platform", "bot", "state", "id"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="LinkRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                ("code_hash", fields.CharField(unique=True, max_length=64)),
                (
                    "issuer",
                    fields.ForeignKeyField(
                        "core.AccountRow", source_field="issuer_id", related_name=False, on_delete=OnDelete.CASCADE
                    ),
                ),
                ("issuer_label", fields.CharField(max_length=120)),
                ("claimant_id", fields.CharField(null=True, max_length=40)),
                ("claimant_label", fields.CharField(null=True, max_length=120)),
                ("issuer_agreed", fields.BooleanField(default=False)),
                ("claimant_agreed", fields.BooleanField(default=False)),
                ("state", fields.CharField(default="open", max_length=12)),
                ("created_at", fields.DatetimeField()),
                ("expires_at", fields.DatetimeField()),
            ],
            options={"table": "link", "indexes": [Index(fields=["issuer_id"]), Index(fields=["claimant_id"])]},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="MessageRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "conversation",
                    fields.ForeignKeyField(
                        "core.ConversationRow",
                        source_field="conversation_id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("parent_id", fields.CharField(null=True, max_length=40)),
                ("role", fields.CharField(max_length=12)),
                ("parts", fields.TextField()),
                ("author_id", fields.CharField(null=True, max_length=40)),
                ("author_name", fields.CharField(null=True, max_length=100)),
                ("state", fields.CharField(default="done", max_length=12)),
                ("turn_id", fields.CharField(null=True, max_length=40)),
                ("model", fields.CharField(null=True, max_length=120)),
                ("created_at", fields.DatetimeField()),
            ],
            options={
                "table": "message",
                "indexes": [Index(fields=["conversation_id", "id"]), Index(fields=["parent_id"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="ModelRow",
            fields=[
                ("name", fields.CharField(primary_key=True, max_length=120)),
                ("enabled", fields.BooleanField(default=True)),
                ("demo", fields.BooleanField(default=False)),
                ("window", fields.IntField(default=32768)),
                ("max_output", fields.IntField(default=4096)),
                ("charge", fields.CharField(default="unpriced", max_length=12)),
                ("price_in", fields.CharField(null=True, max_length=40)),
                ("price_out", fields.CharField(null=True, max_length=40)),
                ("currency", fields.CharField(default="CNY", max_length=3)),
                ("price_version", fields.IntField(default=1)),
                ("created_at", fields.DatetimeField()),
            ],
            options={"table": "model"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="OwnerRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                ("role", fields.CharField(max_length=16)),
                ("started_at", fields.DatetimeField()),
                ("beat_at", fields.DatetimeField()),
            ],
            options={"table": "owner"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="PotRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                ("owner", fields.CharField(max_length=40)),
                ("kind", fields.CharField(max_length=16)),
                ("unit", fields.CharField(max_length=8)),
                ("balance", fields.BigIntField(default=0)),
                ("held", fields.BigIntField(default=0)),
                ("floor", fields.BigIntField(default=0)),
                ("expires_at", fields.DatetimeField(null=True)),
                ("created_at", fields.DatetimeField()),
            ],
            options={"table": "pot", "unique_together": (("owner", "kind"),)},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="EntryRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "pot",
                    fields.ForeignKeyField(
                        "core.PotRow", source_field="pot_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                ("account_id", fields.CharField(max_length=40)),
                ("amount", fields.BigIntField()),
                ("reason", fields.CharField(max_length=24)),
                ("reference", fields.CharField(default="", max_length=80)),
                ("key", fields.CharField(max_length=200)),
                ("memo", fields.TextField(default="{}")),
                ("created_at", fields.DatetimeField()),
            ],
            options={
                "table": "ledger_entry",
                "unique_together": (("key", "pot_id"),),
                "indexes": [Index(fields=["pot_id", "id"]), Index(fields=["account_id", "id"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="HoldLegRow",
            fields=[
                ("id", fields.BigIntField(primary_key=True)),
                (
                    "hold",
                    fields.ForeignKeyField(
                        "core.HoldRow", source_field="hold_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                (
                    "pot",
                    fields.ForeignKeyField(
                        "core.PotRow", source_field="pot_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                ("amount", fields.BigIntField()),
                ("spent", fields.BigIntField(default=0)),
            ],
            options={
                "table": "hold_leg",
                "unique_together": (("hold_id", "pot_id"),),
                "indexes": [Index(fields=["pot_id"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="SessionRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "core.AccountRow", source_field="account_id", related_name=False, on_delete=OnDelete.CASCADE
                    ),
                ),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                ("user_agent", fields.CharField(default="", max_length=200)),
                ("created_at", fields.DatetimeField()),
                ("seen_at", fields.DatetimeField()),
                ("expires_at", fields.DatetimeField()),
            ],
            options={"table": "web_session", "indexes": [Index(fields=["account_id"])]},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="SettingRow",
            fields=[
                ("key", fields.CharField(primary_key=True, max_length=80)),
                ("value", fields.TextField()),
                ("updated_at", fields.DatetimeField()),
            ],
            options={"table": "setting"},
            bases=["Table"],
        ),
        ops.CreateModel(
            name="TurnRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "conversation",
                    fields.ForeignKeyField(
                        "core.ConversationRow",
                        source_field="conversation_id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "account",
                    fields.ForeignKeyField(
                        "core.AccountRow", source_field="account_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                ("key", fields.CharField(unique=True, max_length=200)),
                ("door", fields.CharField(max_length=12)),
                ("state", fields.CharField(max_length=12)),
                ("request", fields.TextField()),
                ("user_message_id", fields.CharField(null=True, max_length=40)),
                ("answer_id", fields.CharField(null=True, max_length=40)),
                ("model", fields.CharField(null=True, max_length=120)),
                ("hold_id", fields.CharField(null=True, max_length=40)),
                ("lease", fields.CharField(null=True, max_length=40)),
                ("lease_until", fields.DatetimeField(null=True)),
                ("cancel_requested_at", fields.DatetimeField(null=True)),
                ("seq", fields.BigIntField(default=0)),
                ("usage", fields.TextField(null=True)),
                ("cost_micro", fields.BigIntField(default=0)),
                ("finish", fields.CharField(null=True, max_length=16)),
                ("error", fields.TextField(null=True)),
                ("notices", fields.TextField(default="[]")),
                ("created_at", fields.DatetimeField()),
                ("started_at", fields.DatetimeField(null=True)),
                ("ended_at", fields.DatetimeField(null=True)),
            ],
            options={
                "table": "turn",
                "indexes": [
                    Index(fields=["conversation_id", "state", "id"]),
                    Index(fields=["state", "lease_until"]),
                    Index(fields=["account_id", "id"]),
                ],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="DeliveryRow",
            fields=[
                ("id", fields.CharField(primary_key=True, max_length=40)),
                (
                    "turn",
                    fields.ForeignKeyField(
                        "core.TurnRow", source_field="turn_id", related_name=False, on_delete=OnDelete.RESTRICT
                    ),
                ),
                ("door", fields.CharField(max_length=12)),
                ("bot", fields.CharField(max_length=40)),
                ("place", fields.TextField()),
                ("sent", fields.TextField(default="[]")),
                ("sending", fields.IntField(null=True)),
                ("state", fields.CharField(default="open", max_length=8)),
                ("created_at", fields.DatetimeField()),
                ("ended_at", fields.DatetimeField(null=True)),
            ],
            options={
                "table": "delivery",
                "indexes": [Index(fields=["door", "bot", "state"]), Index(fields=["turn_id"])],
            },
            bases=["Table"],
        ),
        ops.CreateModel(
            name="DeliveredRow",
            fields=[
                ("id", fields.BigIntField(primary_key=True)),
                (
                    "delivery",
                    fields.ForeignKeyField(
                        "core.DeliveryRow", source_field="delivery_id", related_name=False, on_delete=OnDelete.CASCADE
                    ),
                ),
                ("door", fields.CharField(max_length=12)),
                ("bot", fields.CharField(max_length=40)),
                ("chat", fields.CharField(max_length=40)),
                ("message", fields.CharField(max_length=40)),
            ],
            options={"table": "delivered", "unique_together": (("door", "bot", "chat", "message"),)},
            bases=["Table"],
        ),
        ops.RunSQL(
            # One running turn per conversation, whatever two processes believe.
            'CREATE UNIQUE INDEX "turn_one_running" ON "turn" ("conversation_id") WHERE "state" = \'running\'',
            reverse_sql='DROP INDEX "turn_one_running"',
        ),
    ]
