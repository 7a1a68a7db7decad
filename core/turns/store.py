"""Every query of the turns room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.chat import FinishReason, Notice, Usage, wire
from core.kit.ids import AccountId, ConversationId, DeliveryId, HoldId, MessageId, ModelName, TurnId
from core.kit.orm import Work, moment, read
from core.turns.types import Ask, Delivery, DeliveryTarget, Kind, Orphan, Turn, TurnError, TurnState

_TURN = (
    "SELECT turn.id, turn.conversation_id, turn.account_id, conversation.account_id AS owner_id, turn.door,"
    " turn.state, turn.user_message_id, turn.answer_id, turn.model, turn.seq, turn.usage, turn.cost_micro,"
    " turn.finish, turn.error, turn.notices, turn.created_at,"
    " (SELECT MAX(delivery.id) FROM delivery WHERE delivery.turn_id = turn.id) AS delivery_id,"
    " (SELECT COUNT(*) FROM turn AS ahead WHERE ahead.conversation_id = turn.conversation_id"
    " AND ahead.state = 'queued' AND ahead.id <= turn.id) AS position"
    " FROM turn JOIN conversation ON conversation.id = turn.conversation_id"
)
_ORPHAN = (
    "SELECT id, conversation_id, account_id, answer_id, lease, hold_id, seq, cancel_requested_at FROM turn"
    " WHERE state = 'running'"
)


async def turn(id: TurnId) -> Turn | None:
    rows = await read(f"{_TURN} WHERE turn.id = $1", [id])
    return _turn(rows[0]) if rows else None


async def by_key(key: str) -> Turn | None:
    rows = await read(f"{_TURN} WHERE turn.key = $1", [key])
    return _turn(rows[0]) if rows else None


async def at_work(conversation: ConversationId) -> list[Turn]:
    """Running first, then queued in order."""
    rows = await read(
        f"{_TURN} WHERE turn.conversation_id = $1 AND turn.state IN ('running', 'queued')"
        " ORDER BY CASE turn.state WHEN 'running' THEN 0 ELSE 1 END, turn.id",
        [conversation],
    )
    return [_turn(row) for row in rows]


async def ended_in(conversation: ConversationId) -> list[Turn]:
    """Oldest first."""
    rows = await read(
        f"{_TURN} WHERE turn.conversation_id = $1 AND turn.state NOT IN ('running', 'queued') ORDER BY turn.id",
        [conversation],
    )
    return [_turn(row) for row in rows]


async def busy_among(conversations: Sequence[ConversationId]) -> set[ConversationId]:
    """Those with a running or queued turn."""
    if not conversations:
        return set()
    marks = ", ".join(f"${place}" for place in range(1, len(conversations) + 1))
    rows = await read(
        f"SELECT DISTINCT conversation_id FROM turn WHERE state IN ('running', 'queued')"
        f" AND conversation_id IN ({marks})",
        conversations,
    )
    return {ConversationId(row["conversation_id"]) for row in rows}


async def newest(conversation: ConversationId) -> TurnId | None:
    rows = await read("SELECT MAX(id) AS id FROM turn WHERE conversation_id = $1", [conversation])
    return None if rows[0]["id"] is None else TurnId(rows[0]["id"])


async def running_of(account: AccountId) -> int:
    rows = await read("SELECT COUNT(*) AS number FROM turn WHERE account_id = $1 AND state = 'running'", [account])
    return int(rows[0]["number"])


async def lock_account(work: Work, account: AccountId) -> None:
    """One start of an account at a time, so that its limit holds; SQLite has one writer anyway."""
    if work.dialect == "postgres":
        await work.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [f"turns:{account}"])


async def insert(
    work: Work,
    *,
    id: TurnId,
    conversation: ConversationId,
    account: AccountId,
    key: str,
    door: str,
    ask: Ask,
    now: datetime,
) -> bool:
    """A queued turn; False when the key is taken."""
    return bool(
        await work.change(
            "INSERT INTO turn (id, conversation_id, account_id, key, door, state, request, seq, cost_micro, notices,"
            " created_at) VALUES ($1, $2, $3, $4, $5, 'queued', $6, 0, 0, '[]', $7) ON CONFLICT (key) DO NOTHING",
            [id, conversation, account, key, door, dump_ask(ask), now],
        )
    )


async def begin(
    work: Work,
    id: TurnId,
    *,
    question: MessageId,
    answer: MessageId,
    model: ModelName,
    lease: str,
    lease_until: datetime,
    notices: Sequence[Notice],
    now: datetime,
) -> bool:
    """From queued to running; False when it is queued no more."""
    return bool(
        await work.change(
            "UPDATE turn SET state = 'running', user_message_id = $2, answer_id = $3, model = $4, lease = $5,"
            " lease_until = $6, notices = $7, started_at = $8 WHERE id = $1 AND state = 'queued'",
            [id, question, answer, model, lease, lease_until, _dump_notices(notices), now],
        )
    )


async def set_hold(work: Work, id: TurnId, hold: HoldId) -> None:
    await work.change("UPDATE turn SET hold_id = $2 WHERE id = $1", [id, hold])


async def renew(work: Work, id: TurnId, lease: str, until: datetime, seq: int) -> bool:
    """Keep the lease and note which event the stored text reflects; False when the lease is lost."""
    return bool(
        await work.change(
            "UPDATE turn SET lease_until = $3, seq = $4 WHERE id = $1 AND lease = $2 AND state = 'running'",
            [id, lease, until, seq],
        )
    )


async def give_up(work: Work, id: TurnId, lease: str, now: datetime) -> None:
    """Leave a turn to the sweep at once."""
    await work.change("UPDATE turn SET lease_until = $3 WHERE id = $1 AND lease = $2", [id, lease, now])


async def stop_asked(id: TurnId) -> bool:
    rows = await read("SELECT cancel_requested_at FROM turn WHERE id = $1", [id])
    return bool(rows) and rows[0]["cancel_requested_at"] is not None


async def lease_of(id: TurnId) -> str | None:
    rows = await read("SELECT lease FROM turn WHERE id = $1 AND state = 'running'", [id])
    return rows[0]["lease"] if rows else None


async def ask_to_stop(work: Work, id: TurnId, now: datetime) -> bool:
    return bool(
        await work.change(
            "UPDATE turn SET cancel_requested_at = $2 WHERE id = $1 AND state = 'running'"
            " AND cancel_requested_at IS NULL",
            [id, now],
        )
    )


async def end(
    work: Work,
    id: TurnId,
    lease: str,
    state: TurnState,
    *,
    finish: FinishReason | None,
    error: TurnError | None,
    seq: int,
    now: datetime,
    expired: bool = False,
) -> bool:
    """From running to its end, for who knows the lease; `expired`: only if nobody has renewed it."""
    return bool(
        await work.change(
            "UPDATE turn SET state = $3, finish = $4, error = $5, seq = $6, ended_at = $7, lease = NULL,"
            " lease_until = NULL WHERE id = $1 AND lease = $2 AND state = 'running'"
            + (" AND lease_until < $7" if expired else ""),
            [id, lease, state.value, None if finish is None else finish.value, _dump_error(error), seq, now],
        )
    )


async def end_queued(work: Work, id: TurnId, state: TurnState, error: TurnError | None, now: datetime) -> bool:
    """From queued to its end; False when it is queued no more."""
    return bool(
        await work.change(
            "UPDATE turn SET state = $2, error = $3, ended_at = $4 WHERE id = $1 AND state = 'queued'",
            [id, state.value, _dump_error(error), now],
        )
    )


async def set_messages(work: Work, id: TurnId, question: MessageId, answer: MessageId) -> None:
    await work.change("UPDATE turn SET user_message_id = $2, answer_id = $3 WHERE id = $1", [id, question, answer])


async def set_bill(work: Work, id: TurnId, usage: Usage, cost_micro: int) -> None:
    await work.change(
        "UPDATE turn SET usage = $2, cost_micro = $3 WHERE id = $1",
        [id, wire.encode(wire.dump_usage(usage)), cost_micro],
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued turn as the one who promotes it needs it."""

    id: TurnId
    account: AccountId
    door: str
    ask: Ask


async def next_waiting(conversation: ConversationId) -> Waiting | None:
    """The queued turn that is next, when nothing runs there."""
    rows = await read(
        "SELECT id, account_id, door, request FROM turn WHERE conversation_id = $1 AND state = 'queued'"
        " AND NOT EXISTS (SELECT 1 FROM turn AS busy WHERE busy.conversation_id = $1 AND busy.state = 'running')"
        " ORDER BY id LIMIT 1",
        [conversation],
    )
    if not rows:
        return None
    row = rows[0]
    return Waiting(TurnId(row["id"]), AccountId(row["account_id"]), row["door"], load_ask(row["request"]))


async def ask_of(id: TurnId) -> Ask:
    rows = await read("SELECT request FROM turn WHERE id = $1", [id])
    return load_ask(rows[0]["request"])


async def stalled(limit: int) -> list[ConversationId]:
    """Conversations where something waits and nothing runs."""
    rows = await read(
        "SELECT DISTINCT conversation_id FROM turn WHERE state = 'queued' AND NOT EXISTS (SELECT 1 FROM turn AS busy"
        " WHERE busy.conversation_id = turn.conversation_id AND busy.state = 'running') LIMIT $1",
        [limit],
    )
    return [ConversationId(row["conversation_id"]) for row in rows]


async def orphans(now: datetime | None, limit: int) -> list[Orphan]:
    """Running turns whose lease is over; with None every running turn."""
    if now is None:
        rows = await read(f"{_ORPHAN} ORDER BY id LIMIT $1", [limit])
    else:
        rows = await read(f"{_ORPHAN} AND lease_until < $2 ORDER BY id LIMIT $1", [limit, now])
    return [
        Orphan(
            TurnId(row["id"]),
            ConversationId(row["conversation_id"]),
            AccountId(row["account_id"]),
            MessageId(row["answer_id"]),
            row["lease"],
            None if row["hold_id"] is None else HoldId(row["hold_id"]),
            row["seq"],
            row["cancel_requested_at"] is not None,
        )
        for row in rows
    ]


async def ended_between(after: datetime, before: datetime, limit: int) -> list[Turn]:
    rows = await read(
        f"{_TURN} WHERE turn.state IN ('done', 'failed', 'stopped') AND turn.ended_at > $1 AND turn.ended_at < $2"
        " ORDER BY turn.id LIMIT $3",
        [after, before, limit],
    )
    return [_turn(row) for row in rows]


async def insert_delivery(work: Work, id: DeliveryId, turn: TurnId, target: DeliveryTarget, now: datetime) -> None:
    await work.change(
        "INSERT INTO delivery (id, turn_id, door, bot, place, sent, state, created_at)"
        " VALUES ($1, $2, $3, $4, $5, '[]', 'open', $6)",
        [id, turn, target.door, target.bot, wire.encode(dict(target.place)), now],
    )


async def open_deliveries(door: str, bot: str) -> list[Delivery]:
    rows = await read(
        "SELECT id, turn_id, place, sent, sending FROM delivery WHERE door = $1 AND bot = $2 AND state = 'open'"
        " ORDER BY id",
        [door, bot],
    )
    return [_delivery(row) for row in rows]


async def delivery_sent(id: DeliveryId) -> tuple[str, str, list[str]] | None:
    """Door, bot and the message ids so far."""
    rows = await read("SELECT door, bot, sent FROM delivery WHERE id = $1", [id])
    return (rows[0]["door"], rows[0]["bot"], wire.decode(rows[0]["sent"])) if rows else None


async def set_sending(work: Work, id: DeliveryId, page: int | None) -> None:
    await work.change("UPDATE delivery SET sending = $2 WHERE id = $1", [id, page])


async def set_sent(work: Work, id: DeliveryId, sent: Sequence[str]) -> None:
    await work.change("UPDATE delivery SET sent = $2, sending = NULL WHERE id = $1", [id, wire.encode(list(sent))])


async def insert_delivered(work: Work, id: DeliveryId, *, door: str, bot: str, chat: str, message: str) -> None:
    await work.change(
        "INSERT INTO delivered (delivery_id, door, bot, chat, message) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (door, bot, chat, message) DO UPDATE SET delivery_id = excluded.delivery_id",
        [id, door, bot, chat, message],
    )


async def end_delivery(work: Work, id: DeliveryId, state: str, now: datetime) -> None:
    await work.change(
        "UPDATE delivery SET state = $2, sending = NULL, ended_at = $3 WHERE id = $1 AND state = 'open'",
        [id, state, now],
    )


async def delivered(door: str, bot: str, chat: str, message: str) -> tuple[TurnId, MessageId | None] | None:
    rows = await read(
        "SELECT turn.id, turn.answer_id FROM delivered JOIN delivery ON delivery.id = delivered.delivery_id"
        " JOIN turn ON turn.id = delivery.turn_id"
        " WHERE delivered.door = $1 AND delivered.bot = $2 AND delivered.chat = $3 AND delivered.message = $4",
        [door, bot, chat, message],
    )
    if not rows:
        return None
    return TurnId(rows[0]["id"]), None if rows[0]["answer_id"] is None else MessageId(rows[0]["answer_id"])


def until(now: datetime, seconds: float) -> datetime:
    """A moment this many seconds later."""
    return now + timedelta(seconds=seconds)


def dump_ask(ask: Ask) -> str:
    """JSON of what a queued turn still needs."""
    return wire.encode(
        {
            "kind": ask.kind.value,
            "parts": wire.dump_parts(ask.parts),
            "at_head": ask.at_head,
            "parent": ask.parent,
            "question": ask.question,
            "model": ask.model,
            "wish": ask.wish,
            "speaker": ask.speaker,
        }
    )


def load_ask(text: str) -> Ask:
    """The reverse of `dump_ask`."""
    fields = wire.decode(text)
    return Ask(
        kind=Kind(fields["kind"]),
        parts=wire.load_parts(fields["parts"]),
        at_head=fields["at_head"],
        parent=fields["parent"],
        question=fields["question"],
        model=fields["model"],
        wish=fields["wish"],
        speaker=fields["speaker"],
    )


def _turn(row: Mapping[str, Any]) -> Turn:
    state = TurnState(row["state"])
    return Turn(
        id=TurnId(row["id"]),
        conversation=ConversationId(row["conversation_id"]),
        account=AccountId(row["account_id"]),
        owner=AccountId(row["owner_id"]),
        door=row["door"],
        state=state,
        position=int(row["position"]) if state is TurnState.QUEUED else None,
        model=None if row["model"] is None else ModelName(row["model"]),
        user_message=None if row["user_message_id"] is None else MessageId(row["user_message_id"]),
        answer=None if row["answer_id"] is None else MessageId(row["answer_id"]),
        delivery=None if row["delivery_id"] is None else DeliveryId(row["delivery_id"]),
        finish=None if row["finish"] is None else FinishReason(row["finish"]),
        error=_load_error(row["error"]),
        notices=_load_notices(row["notices"]),
        usage=Usage() if row["usage"] is None else wire.load_usage(wire.decode(row["usage"])),
        cost_micro=row["cost_micro"],
        created_at=moment(row["created_at"]),
        seq=row["seq"],
    )


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(
        id=DeliveryId(row["id"]),
        turn=TurnId(row["turn_id"]),
        place=wire.decode(row["place"]),
        sent=tuple(wire.decode(row["sent"])),
        sending=row["sending"],
    )


def _dump_error(error: TurnError | None) -> str | None:
    return None if error is None else wire.encode({"code": error.code, "params": dict(error.params)})


def _load_error(text: str | None) -> TurnError | None:
    if text is None:
        return None
    fields = wire.decode(text)
    return TurnError(fields["code"], wire.load_params(fields["params"]))


def _dump_notices(notices: Sequence[Notice]) -> str:
    return wire.encode([{"code": notice.code, "params": dict(notice.params)} for notice in notices])


def _load_notices(text: str) -> tuple[Notice, ...]:
    return tuple(Notice(each["code"], wire.load_params(each["params"])) for each in wire.decode(text))
