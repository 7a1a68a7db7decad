"""How a turn begins to run: prepared outside, begun in a unit of work, launched after its commit; and promotion.

What is prepared (branch, model, context, quote) is only true for the head it was prepared for; the unit of work looks
again under the conversation's lock and raises Moved when it is not.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

import structlog

from core import accounts, billing, calls, conversations, live, router, settings
from core.catalog import Model
from core.chat import Call, ConversationChanged, Failed, Message, Notice, Options, Role, TurnEnded, TurnStarted
from core.conversations import ConversationView, MessageState, MessageView
from core.kit.errors import AppError, NotAllowed, NotFound
from core.kit.ids import AccountId, ConversationId, MessageId, ModelName, TurnId
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current
from core.turns import context, ending, runner, store, telling, titles
from core.turns.errors import Moved
from core.turns.order import new_id_after
from core.turns.runner import LEASE_S, Job
from core.turns.types import Ask, Kind, TurnError, TurnState

HOLD_GRACE_S = 300
"""A hold outlives its turn's deadline by this, so that the turn's own end or sweep settles it."""
PROMOTE_TRIES = 20
"""Turns looked at in one promotion: refused ones are ended and the next is tried."""

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything a turn needs to run, for the head it was prepared for."""

    account: AccountId
    ask: Ask
    head: MessageId | None
    """The conversation's head then; a turn that follows the head must find it again."""
    parent: MessageId | None
    """What the question follows (ASK)."""
    model: Model
    call: Call
    quote: billing.Quote
    payer: calls.Payer
    audience: router.Audience
    notices: tuple[Notice, ...]


async def payer_of(account_id: AccountId) -> tuple[accounts.Account, calls.Payer, router.Audience]:
    """Who asks and pays. Raises NotAllowed for a blocked account."""
    account = await accounts.get(account_id)
    if account.state != "active":
        raise NotAllowed("account_banned")
    return account, calls.Payer.of(account), router.Audience.of(account)


async def prepare(account_id: AccountId, ask: Ask, view: ConversationView | None) -> Prepared:
    """Read the branch, choose the model, fit the window, quote. Raises NotFound, NotAllowed, Unavailable."""
    account, payer, audience = await payer_of(account_id)
    head = view.head if view else None
    if ask.kind is Kind.RETRY:
        branch = [node.message for node in await conversations.path(ask.question)]
        parent = None
    else:
        parent = head if ask.at_head else ask.parent
        before = await conversations.path(parent)
        branch = [*(node.message for node in before), Message(Role.USER, ask.parts, ask.speaker)]
    model = _choose(ask, view, account, audience)
    fitted = context.build(view.system if view else "", branch, model.profile)
    call = Call(model.name, fitted.messages, Options(max_output=fitted.max_output))
    quote = billing.quote(model, fitted.input_tokens, fitted.max_output, settings.get(settings.CREDITS_PER_UNIT))
    notices = (Notice("context_cut", {"dropped": fitted.dropped}),) if fitted.dropped else ()
    return Prepared(account_id, ask, head, parent, model, call, quote, payer, audience, notices)


def _choose(ask: Ask, view: ConversationView | None, account: accounts.Account, audience: router.Audience) -> Model:
    if ask.model is not None:
        return router.model(ask.model, audience)
    for wish in (ask.wish, view.model if view else None):
        if wish is not None:
            try:
                return router.model(ModelName(wish), audience)
            except NotFound:
                continue
    return router.default_model(audience, account.default_model)


async def begin(work: Work, turn: TurnId, door: str, view: ConversationView, prepared: Prepared) -> Job:
    """Write question and answer and let the queued turn run, money last. Raises Moved, NotAffordable."""
    now, ask = current().clock.now(), prepared.ask
    if ask.kind is Kind.ASK and ask.at_head and view.head != prepared.head:
        raise Moved
    question = await _question(work, turn, view, account=prepared.account, ask=ask, parent=prepared.parent)
    answer = await _answer(work, turn, view, question=question, model=prepared.model.name, state=MessageState.STREAMING)
    lease = secrets.token_hex(16)
    if not await store.begin(
        work,
        turn,
        question=question,
        answer=answer,
        model=prepared.model.name,
        lease=lease,
        lease_until=store.until(now, LEASE_S),
        notices=prepared.notices,
        now=now,
    ):
        raise Moved
    deadline_s = float(settings.get(settings.TURN_S))
    reservation = await calls.reserve(
        prepared.payer,
        prepared.quote,
        key=f"turn:{turn}",
        owner=turn,
        expires_in=timedelta(seconds=deadline_s + HOLD_GRACE_S),
        reason=billing.Reason.CHAT,
        work=work,
    )
    await store.set_hold(work, turn, reservation.hold_id)
    return Job(
        turn=turn,
        conversation=view.id,
        owner=view.account,
        question=question,
        answer=answer,
        door=door,
        call=prepared.call,
        audience=prepared.audience,
        reservation=reservation,
        lease=lease,
        notices=prepared.notices,
        deadline_s=deadline_s,
    )


def launch_after(work: Work, job: Job) -> None:
    """Run the job once the unit of work is committed, and tell the owner's doors."""

    async def launch() -> None:
        runner.launch(job, promote)
        await live.tell(job.owner, TurnStarted(job.conversation, job.turn))

    work.after_commit(launch)


async def promote(conversation: ConversationId) -> None:
    """Let the next waiting turn of a free conversation run, in a unit of its own; refuse and end those that cannot.

    Safe to call from anywhere at any time: the database lets one of many win. Does nothing in a process that drains.
    """
    for _ in range(PROMOTE_TRIES):
        if current().draining:
            return
        waiting = await store.next_waiting(conversation)
        view = await conversations.find(conversation)
        if waiting is None or view is None:
            return
        try:
            prepared = await prepare(waiting.account, waiting.ask, view)
            await _promote(conversation, waiting, prepared)
        except Moved:
            continue
        except AppError as refusal:
            await _refuse(conversation, waiting, TurnError(refusal.code, refusal.params))
            continue
        await telling.tell_positions(conversation)
        return
    _logger.warning("turns.promotion_gave_up", conversation=conversation)


async def _promote(conversation: ConversationId, waiting: store.Waiting, prepared: Prepared) -> None:
    async def body(work: Work) -> None:
        view = await conversations.lock(work, conversation)
        now_waiting = await store.next_waiting(conversation)
        if now_waiting is None or now_waiting.id != waiting.id or view.deleted:
            raise Moved
        launch_after(work, await begin(work, waiting.id, waiting.door, view, prepared))

    await unit_of_work(body)


async def _refuse(conversation: ConversationId, waiting: store.Waiting, error: TurnError) -> None:
    """End a waiting turn that may not run, with its question kept, so that it can be asked again."""
    now = current().clock.now()

    async def body(work: Work) -> None:
        view = await conversations.lock(work, conversation)
        if not await store.end_queued(work, waiting.id, TurnState.FAILED, error, now):
            return
        ask = waiting.ask
        parent = view.head if ask.at_head else ask.parent
        question = await _question(work, waiting.id, view, account=waiting.account, ask=ask, parent=parent)
        answer = await _answer(work, waiting.id, view, question=question, model=None, state=MessageState.FAILED)
        await store.set_messages(work, waiting.id, question, answer)

        async def tell() -> None:
            outcome = ending.Outcome(TurnState.FAILED, None, error)
            offers = ending.offers(waiting.id, outcome, kept=False)
            await telling.append(waiting.id, Failed(error.code, error.params, offers=offers))
            await live.tell(view.account, TurnEnded(conversation, waiting.id))

        work.after_commit(tell)

    await unit_of_work(body)


async def _question(
    work: Work, turn: TurnId, view: ConversationView, *, account: AccountId, ask: Ask, parent: MessageId | None
) -> MessageId:
    """The question's message: the one that stands, or a new one under its parent."""
    if ask.question is not None:
        return ask.question
    question = MessageId(new_id_after("msg", parent))
    await conversations.add_message(
        work,
        MessageView(
            id=question,
            conversation=view.id,
            parent=parent,
            role=Role.USER,
            parts=ask.parts,
            state=MessageState.DONE,
            turn=turn,
            model=None,
            author=account,
            author_name=ask.speaker,
            created_at=current().clock.now(),
        ),
        head=False,
    )
    length = settings.get(settings.TITLE_GRAPHEMES)
    if parent is None and await conversations.title_once(work, view.id, titles.title_of(ask.parts, length)):

        async def tell() -> None:
            await live.tell(view.account, ConversationChanged(view.id))

        work.after_commit(tell)
    return question


async def _answer(
    work: Work,
    turn: TurnId,
    view: ConversationView,
    *,
    question: MessageId,
    model: ModelName | None,
    state: MessageState,
) -> MessageId:
    """The answer's message, still without words, where the conversation now ends."""
    answer = MessageId(new_id_after("msg", question))
    await conversations.add_message(
        work,
        MessageView(
            id=answer,
            conversation=view.id,
            parent=question,
            role=Role.ASSISTANT,
            parts=(),
            state=state,
            turn=turn,
            model=model,
            author=None,
            author_name=None,
            created_at=current().clock.now(),
        ),
    )
    return answer
