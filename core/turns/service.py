"""The use cases of turns: start, retry, edit, act, cancel, look, delete a conversation.

Every unit of work here begins by raising the conversation's version, so that starts, ends and promotions of one
conversation decide one after another; without it, a question queued while another ends would be forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from core import accounts, conversations, i18n, live, settings
from core.chat import (
    Action,
    Finished,
    FinishReason,
    ImagePart,
    Part,
    Role,
    TextPart,
    TurnEnded,
    TurnStarted,
    Usage,
    Verb,
    wire,
)
from core.conversations import ConversationView, MessageView
from core.kit.errors import BadInput, Conflict, NotFound
from core.kit.ids import AccountId, ConversationId, DeliveryId, MessageId, ModelName, TurnId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current
from core.turns import beginning, store, telling
from core.turns.beginning import Prepared
from core.turns.errors import (
    Moved,
    draining,
    message_empty,
    parallel_limit,
    queue_limit,
    turn_running,
    turn_unknown,
)
from core.turns.order import new_id_after
from core.turns.types import Ask, DeliveryTarget, Kind, Turn, TurnRequest, TurnState

START_TRIES = 10
"""Times a start prepares again because its conversation moved on."""
MAX_KEY = 160
"""The column holds this and the account; a longer key is hashed."""


@dataclass(frozen=True, slots=True)
class _Submission:
    account: AccountId
    door: str
    key: str
    ask: Ask
    conversation: ConversationId | None
    place: str | None
    delivery: DeliveryTarget | None


class _Replayed(Exception):
    """The key is taken: nothing was written."""


async def start(request: TurnRequest) -> Turn:
    """Ask. The turn runs at once, or waits while another one runs in its conversation.

    Idempotent by the key within the account: the same key gives the same turn, whatever became of it. Refused before
    anything is written: BadInput `message_empty`; NotFound for a conversation, message or model the asker may not
    know; NotAffordable `no_credits`; TooMany `turns_parallel` or `turns_queued`; NotAllowed `account_banned`;
    Unavailable while draining or without a route.
    """
    parts = _clean(request.parts)
    conversation, at_head = request.conversation, request.parent is None
    if request.parent is not None:
        parent = await conversations.message(request.parent)
        if conversation not in (None, parent.conversation):
            raise NotFound("message_unknown")
        conversation = parent.conversation
    if conversation is not None:
        # A bot speaks where people already see the conversation; elsewhere it is its owner's alone.
        shared = request.place is not None or request.delivery is not None
        await _allowed(conversation, request.account, shared=shared)
    ask = Ask(Kind.ASK, parts, at_head, request.parent, model=request.model, speaker=request.speaker)
    return await _submit(
        _Submission(request.account, request.door, request.key, ask, conversation, request.place, request.delivery)
    )


async def retry(
    turn_id: TurnId,
    *,
    by: AccountId,
    key: str,
    model: ModelName | None = None,
    delivery: DeliveryTarget | None = None,
    door: str | None = None,
) -> Turn:
    """Answer the same question again, as a sibling branch, by the same model unless another is named.

    For the asker and the conversation's owner; who retries pays. Raises like `start`, Conflict `turn_running`.
    """
    turn = await get(turn_id, by=by)
    if not turn.state.ended:
        raise turn_running()
    if turn.user_message is None:
        before = await store.ask_of(turn.id)
        ask = Ask(before.kind, before.parts, before.at_head, before.parent, before.question, model, before.model, None)
    else:
        ask = Ask(Kind.RETRY, question=turn.user_message, at_head=False, model=model, wish=turn.model)
    return await _submit(_Submission(by, door or turn.door, key, ask, turn.conversation, None, delivery))


async def edit(
    message_id: MessageId,
    parts: Sequence[Part],
    *,
    by: AccountId,
    key: str,
    delivery: DeliveryTarget | None = None,
    door: str | None = None,
) -> Turn:
    """Ask differently in place of an earlier question: a sibling branch; the old one stays.

    For the one who asked and the conversation's owner. Raises like `start`.
    """
    message = await conversations.message(message_id)
    view = await conversations.find(message.conversation)
    if view is None or view.deleted or by not in (message.author, view.account):
        raise NotFound("message_unknown")
    if message.role is not Role.USER:
        raise BadInput("message_not_yours", field="message")
    ask = Ask(Kind.ASK, _clean(parts), at_head=False, parent=message.parent, speaker=message.author_name)
    return await _submit(_Submission(by, door or view.door, key, ask, view.id, None, delivery))


async def act(
    action: Action, *, by: AccountId, key: str, delivery: DeliveryTarget | None = None, door: str | None = None
) -> Turn:
    """Do what a button of a turn means: RETRY, CONTINUE (a question that asks to go on), STOP.

    Raises BadInput `action_unknown` for other verbs, and whatever the use case behind it raises.
    """
    target = TurnId(action.target)
    match action.verb:
        case Verb.RETRY:
            return await retry(target, by=by, key=key, delivery=delivery, door=door)
        case Verb.STOP:
            return await cancel(target, by=by)
        case Verb.CONTINUE:
            turn = await get(target, by=by)
            if turn.answer is None or not turn.state.ended:
                raise turn_running()
            locale = (await accounts.get(by)).locale
            words = TextPart(i18n.t("chat.continue", locale or i18n.LOCALES[0]))
            ask = Ask(Kind.ASK, (words,), at_head=False, parent=turn.answer, wish=turn.model)
            return await _submit(_Submission(by, door or turn.door, key, ask, turn.conversation, None, delivery))
        case _:
            raise BadInput("action_unknown", field="action")


async def cancel(turn_id: TurnId, *, by: AccountId) -> Turn:
    """Stop a running or waiting turn; what came is kept and paid. Does nothing to one that ended.

    For the asker and the conversation's owner. A running one ends within a second, in whatever process it runs.
    """
    turn = await get(turn_id, by=by)
    if turn.state is TurnState.QUEUED:
        await _cancel_waiting(turn)
    elif turn.state is TurnState.RUNNING:
        now = current().clock.now()

        async def body(work: Work) -> None:
            await store.ask_to_stop(work, turn_id, now)

        await unit_of_work(body)
        await live.request_cancel(turn_id)
    return await get(turn_id, by=by)


async def get(turn_id: TurnId, *, by: AccountId) -> Turn:
    """The turn, to its asker and to the conversation's owner. Raises NotFound."""
    turn = await store.turn(turn_id)
    if turn is None or by not in (turn.account, turn.owner):
        raise turn_unknown()
    return turn


async def running(conversation: ConversationId) -> list[Turn]:
    """What runs and waits in a conversation, in order. Ask `conversations.get` first whether the reader may."""
    return await store.at_work(conversation)


async def answer_of(turn: Turn) -> MessageView:
    """The answer as it stands in the rows. Raises NotFound while the turn waits."""
    latest = turn if turn.answer is not None else await store.turn(turn.id)
    if latest is None or latest.answer is None:
        raise NotFound("message_unknown")
    return await conversations.message(latest.answer)


async def delete_conversation(conversation: ConversationId, *, by: AccountId) -> None:
    """Stop its turns, then hide it for good. For its owner. Raises NotFound."""
    await conversations.get(conversation, by)
    now = current().clock.now()

    async def body(work: Work) -> None:
        view = await conversations.lock(work, conversation)
        if view.deleted:
            return
        for turn in await store.at_work(conversation):
            if turn.state is TurnState.RUNNING:
                await store.ask_to_stop(work, turn.id, now)
                work.after_commit(_signal(turn.id))
            elif await store.end_queued(work, turn.id, TurnState.STOPPED, None, now):
                work.after_commit(_tell_stopped(turn))
        await conversations.delete(work, conversation)

    await unit_of_work(body)


async def _submit(wanted: _Submission) -> Turn:
    if current().draining:
        raise draining()
    key = _key(wanted.account, wanted.key)
    if (known := await store.by_key(key)) is not None:
        return known
    await beginning.payer_of(wanted.account)
    for _ in range(START_TRIES):
        conversation = wanted.conversation
        if conversation is None and wanted.place is not None:
            conversation = await conversations.bound(wanted.place)
        view = None if conversation is None else await conversations.find(conversation)
        busy = view is not None and await store.at_work(view.id)
        try:
            prepared = None if busy else await beginning.prepare(wanted.account, wanted.ask, view)
            return await _write(wanted, key, view, prepared)
        except Moved:
            continue
        except _Replayed:
            known = await store.by_key(key)
            assert known is not None
            return known
    raise Conflict("conversation_busy", retry_after_s=1)


async def _write(wanted: _Submission, key: str, known: ConversationView | None, prepared: Prepared | None) -> Turn:
    """The turn as it stands at the commit, running or queued, however soon it ends."""
    now = current().clock.now()

    async def body(work: Work) -> Turn:
        view = await _conversation(work, wanted, known)
        at_work = await store.at_work(view.id)
        if at_work:
            limit = settings.get(settings.TURNS_QUEUED)
            if sum(turn.state is TurnState.QUEUED for turn in at_work) >= limit:
                raise queue_limit(limit)
        else:
            if prepared is None:
                raise Moved
            await _check_parallel(work, wanted.account)
        turn = TurnId(new_id_after("turn", await store.newest(view.id)))
        if not await store.insert(
            work,
            id=turn,
            conversation=view.id,
            account=wanted.account,
            key=key,
            door=wanted.door,
            ask=wanted.ask,
            now=now,
        ):
            raise _Replayed
        if wanted.delivery is not None:
            await store.insert_delivery(work, DeliveryId(new_id("dlv")), turn, wanted.delivery, now)
        if at_work:
            work.after_commit(_tell_waiting(view, turn, position=len(at_work)))
        else:
            assert prepared is not None
            beginning.launch_after(work, await beginning.begin(work, turn, wanted.door, view, prepared))
        made = await store.turn(turn)
        assert made is not None
        return made

    return await unit_of_work(body)


async def _conversation(work: Work, wanted: _Submission, known: ConversationView | None) -> ConversationView:
    if known is not None:
        view = await conversations.lock(work, known.id)
        if view.deleted:
            if wanted.conversation is None:
                raise Moved
            raise NotFound("conversation_unknown")
        return view
    view = await conversations.create_in(work, wanted.account, wanted.door)
    if wanted.place is not None and await conversations.bind_if_free(work, wanted.place, view.id) != view.id:
        raise Moved
    return view


async def _check_parallel(work: Work, account: AccountId) -> None:
    limit = settings.get(settings.TURNS_PARALLEL)
    await store.lock_account(work, account)
    if await store.running_of(account) >= limit:
        raise parallel_limit(limit)


async def _allowed(conversation: ConversationId, account: AccountId, *, shared: bool) -> None:
    view = await conversations.find(conversation)
    if view is None or view.deleted or not (shared or view.account == account):
        raise NotFound("conversation_unknown")


async def _cancel_waiting(turn: Turn) -> None:
    now = current().clock.now()

    async def body(work: Work) -> bool:
        await conversations.lock(work, turn.conversation, touch=False)
        if await store.end_queued(work, turn.id, TurnState.STOPPED, None, now):
            work.after_commit(_tell_stopped(turn))
            return True
        return False

    if await unit_of_work(body):
        await telling.tell_positions(turn.conversation)
        return
    # It began to run meanwhile.
    latest = await store.turn(turn.id)
    if latest is not None and latest.state is TurnState.RUNNING:
        await cancel(turn.id, by=turn.account)


def _tell_waiting(view: ConversationView, turn: TurnId, position: int) -> Callable[[], Awaitable[None]]:
    async def tell() -> None:
        await telling.append(turn, telling.queued(position))
        await live.tell(view.account, TurnStarted(view.id, turn))

    return tell


def _tell_stopped(turn: Turn) -> Callable[[], Awaitable[None]]:
    async def tell() -> None:
        await telling.append(turn.id, Finished(FinishReason.STOPPED, Usage(), 0, 0))
        await live.tell(turn.owner, TurnEnded(turn.conversation, turn.id))

    return tell


def _signal(turn: TurnId) -> Callable[[], Awaitable[None]]:
    async def signal() -> None:
        await live.request_cancel(turn)

    return signal


def _clean(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts as the rows will give them back. Raises BadInput when there is nothing to ask."""
    cleaned = wire.load_parts(wire.decode(wire.encode(wire.dump_parts(parts))))
    if not any(isinstance(part, ImagePart) or (isinstance(part, TextPart) and part.text.strip()) for part in cleaned):
        raise message_empty()
    return cleaned


def _key(account: AccountId, key: str) -> str:
    return f"{account}:{key}" if len(key) <= MAX_KEY else f"{account}:{hashlib.sha256(key.encode()).hexdigest()}"
