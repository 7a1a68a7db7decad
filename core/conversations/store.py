"""Every query of the conversations room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.chat import Part, Role, wire
from core.conversations.types import ConversationView, MessageState, MessageView
from core.kit.ids import AccountId, ConversationId, MessageId, ModelName, TurnId
from core.kit.orm import Work, moment, read

PATH_LIMIT = 4_000
"""Messages read of one path; far more than any window holds."""

_CONVERSATION = (
    "SELECT id, account_id, title, head_id, model, door, system, created_at, updated_at, deleted_at FROM conversation"
)
_MESSAGE = (
    "SELECT message.id, message.conversation_id, message.parent_id, message.role, message.parts, message.state,"
    " message.turn_id, message.model, message.author_id, message.author_name, message.created_at FROM message"
)


async def insert_conversation(work: Work, view: ConversationView) -> None:
    await work.change(
        "INSERT INTO conversation (id, account_id, title, titled_by, head_id, model, system, door, version,"
        " created_at, updated_at) VALUES ($1, $2, $3, $4, NULL, $5, $6, $7, 0, $8, $9)",
        [
            view.id,
            view.account,
            view.title,
            "person" if view.title else "auto",
            view.model,
            view.system,
            view.door,
            view.created_at,
            view.updated_at,
        ],
    )


async def conversation(id: ConversationId) -> ConversationView | None:
    rows = await read(f"{_CONVERSATION} WHERE id = $1", [id])
    return _conversation(rows[0]) if rows else None


async def listing(account: AccountId, before: ConversationId | None, limit: int) -> list[ConversationView]:
    sql = f"{_CONVERSATION} WHERE account_id = $1 AND deleted_at IS NULL"
    params: list[Any] = [account, limit]
    if before is not None:
        sql += " AND (updated_at, id) < (SELECT updated_at, id FROM conversation WHERE id = $3)"
        params.append(before)
    return [_conversation(row) for row in await read(f"{sql} ORDER BY updated_at DESC, id DESC LIMIT $2", params)]


async def raise_version(work: Work, id: ConversationId, now: datetime | None) -> bool:
    """Lock the conversation against every other start, end and promotion; False when it is not there."""
    if now is None:
        return bool(await work.change("UPDATE conversation SET version = version + 1 WHERE id = $1", [id]))
    return bool(
        await work.change("UPDATE conversation SET version = version + 1, updated_at = $2 WHERE id = $1", [id, now])
    )


async def set_title(work: Work, id: ConversationId, title: str, *, by_person: bool) -> bool:
    """A person's title always; ours only where there is none yet."""
    if by_person:
        sql = "UPDATE conversation SET title = $2, titled_by = 'person' WHERE id = $1"
    else:
        sql = "UPDATE conversation SET title = $2 WHERE id = $1 AND title = '' AND titled_by = 'auto'"
    return bool(await work.change(sql, [id, title]))


async def set_head(work: Work, id: ConversationId, head: MessageId | None) -> None:
    await work.change("UPDATE conversation SET head_id = $2 WHERE id = $1", [id, head])


async def set_model(work: Work, id: ConversationId, model: ModelName | None) -> None:
    await work.change("UPDATE conversation SET model = $2 WHERE id = $1", [id, model])


async def mark_deleted(work: Work, id: ConversationId, now: datetime) -> None:
    await work.change("UPDATE conversation SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL", [id, now])
    await work.change("DELETE FROM binding WHERE conversation_id = $1", [id])


async def insert_message(work: Work, view: MessageView) -> None:
    await work.change(
        "INSERT INTO message (id, conversation_id, parent_id, role, parts, author_id, author_name, state, turn_id,"
        " model, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        [
            view.id,
            view.conversation,
            view.parent,
            view.role.value,
            wire.encode(wire.dump_parts(view.parts)),
            view.author,
            view.author_name,
            view.state.value,
            view.turn,
            view.model,
            view.created_at,
        ],
    )


async def write_answer(
    work: Work, id: MessageId, parts: Sequence[Part] | None, state: MessageState, model: ModelName | None = None
) -> None:
    sets, params = ["state = $2"], [id, state.value]
    if parts is not None:
        params.append(wire.encode(wire.dump_parts(parts)))
        sets.append(f"parts = ${len(params)}")
    if model is not None:
        params.append(model)
        sets.append(f"model = ${len(params)}")
    await work.change(f"UPDATE message SET {', '.join(sets)} WHERE id = $1", params)


async def message(id: MessageId) -> MessageView | None:
    rows = await read(f"{_MESSAGE} WHERE id = $1", [id])
    return _message(rows[0]) if rows else None


async def messages(conversation: ConversationId) -> list[MessageView]:
    rows = await read(f"{_MESSAGE} WHERE conversation_id = $1 ORDER BY id", [conversation])
    return [_message(row) for row in rows]


async def path(head: MessageId) -> list[MessageView]:
    """From the root to the head; the nearest PATH_LIMIT of a longer one."""
    rows = await read(
        "WITH RECURSIVE up (id, parent_id, depth) AS ("
        " SELECT id, parent_id, 0 FROM message WHERE id = $1"
        " UNION ALL"
        " SELECT message.id, message.parent_id, up.depth + 1 FROM message JOIN up ON message.id = up.parent_id"
        f" WHERE up.depth < {PATH_LIMIT - 1})"
        f" {_MESSAGE} JOIN up ON up.id = message.id ORDER BY up.depth DESC",
        [head],
    )
    return [_message(row) for row in rows]


async def bound(place: str) -> ConversationId | None:
    rows = await read(
        "SELECT binding.conversation_id FROM binding JOIN conversation ON conversation.id = binding.conversation_id"
        " WHERE binding.place = $1 AND conversation.deleted_at IS NULL",
        [place],
    )
    return ConversationId(rows[0]["conversation_id"]) if rows else None


async def bind(work: Work, place: str, conversation: ConversationId, now: datetime) -> None:
    await work.change(
        "INSERT INTO binding (place, conversation_id, updated_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (place) DO UPDATE SET conversation_id = excluded.conversation_id,"
        " updated_at = excluded.updated_at",
        [place, conversation, now],
    )


async def bind_if_free(work: Work, place: str, conversation: ConversationId, now: datetime) -> ConversationId:
    """The conversation the place is on afterwards: this one, or the one another start bound first."""
    await work.change(
        "INSERT INTO binding (place, conversation_id, updated_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (place) DO UPDATE SET conversation_id = excluded.conversation_id,"
        " updated_at = excluded.updated_at"
        " WHERE binding.conversation_id IN (SELECT id FROM conversation WHERE deleted_at IS NOT NULL)",
        [place, conversation, now],
    )
    rows = await work.execute("SELECT conversation_id FROM binding WHERE place = $1", [place])
    return ConversationId(rows[0]["conversation_id"])


async def unbind(work: Work, place: str) -> None:
    await work.change("DELETE FROM binding WHERE place = $1", [place])


def _conversation(row: Mapping[str, Any]) -> ConversationView:
    return ConversationView(
        id=ConversationId(row["id"]),
        account=AccountId(row["account_id"]),
        title=row["title"],
        head=None if row["head_id"] is None else MessageId(row["head_id"]),
        model=None if row["model"] is None else ModelName(row["model"]),
        door=row["door"],
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        deleted=row["deleted_at"] is not None,
        system=row["system"],
    )


def _message(row: Mapping[str, Any]) -> MessageView:
    return MessageView(
        id=MessageId(row["id"]),
        conversation=ConversationId(row["conversation_id"]),
        parent=None if row["parent_id"] is None else MessageId(row["parent_id"]),
        role=Role(row["role"]),
        parts=wire.load_parts(wire.decode(row["parts"])),
        state=MessageState(row["state"]),
        turn=None if row["turn_id"] is None else TurnId(row["turn_id"]),
        model=None if row["model"] is None else ModelName(row["model"]),
        author=None if row["author_id"] is None else AccountId(row["author_id"]),
        author_name=row["author_name"],
        created_at=moment(row["created_at"]),
    )
