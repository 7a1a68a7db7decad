"""The use cases of the conversations room: create, look, rename, choose a branch or a model, delete.

Functions that take `work` join the caller's unit of work; `turns` writes its words through them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from core.chat import ConversationChanged, Part
from core.conversations import store, tree
from core.conversations.errors import conversation_unknown, message_unknown
from core.conversations.types import ConversationView, MessageState, MessageView
from core.kit.errors import BadInput
from core.kit.ids import AccountId, ConversationId, MessageId, ModelName, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current
from core.kit.text import one_line
from core.live import tell

MAX_TITLE = 200
"""Characters of a title; the column holds no more."""
MAX_LISTING = 200


async def create(
    account: AccountId, door: str, *, title: str = "", model: ModelName | None = None, place: str | None = None
) -> ConversationView:
    """An empty conversation of this account, and the place put on it when one is given."""

    async def body(work: Work) -> ConversationView:
        view = await create_in(work, account, door, title=title, model=model)
        if place is not None:
            await store.bind(work, place, view.id, view.created_at)
        return view

    return await unit_of_work(body)


async def create_in(
    work: Work, account: AccountId, door: str, *, title: str = "", model: ModelName | None = None
) -> ConversationView:
    """The same inside the caller's unit of work, without a place."""
    now = current().clock.now()
    view = ConversationView(
        id=ConversationId(new_id("conv")),
        account=account,
        title=_title(title) if title else "",
        head=None,
        model=model,
        door=door,
        created_at=now,
        updated_at=now,
    )
    await store.insert_conversation(work, view)
    _tell(work, view)
    return view


async def get(id: ConversationId, by: AccountId) -> ConversationView:
    """The conversation, to its owner only. Raises NotFound to everyone else, and once it is deleted."""
    view = await store.conversation(id)
    if view is None or view.deleted or view.account != by:
        raise conversation_unknown()
    return view


async def find(id: ConversationId) -> ConversationView | None:
    """The conversation for whoever asks within the house, deleted ones too; None when there is none."""
    return await store.conversation(id)


async def listing(account: AccountId, before: ConversationId | None = None, limit: int = 50) -> list[ConversationView]:
    """The account's conversations, the last touched first; `before` is the last one of the page before."""
    return await store.listing(account, before, max(1, min(limit, MAX_LISTING)))


async def rename(id: ConversationId, by: AccountId, title: str) -> ConversationView:
    """Give it a person's title, which is never replaced by ours. Raises NotFound, BadInput."""
    chosen = _title(title)
    if not chosen:
        raise BadInput("title_empty", field="title")
    return await _change(id, by, lambda work: store.set_title(work, id, chosen, by_person=True))


async def set_model(id: ConversationId, by: AccountId, model: ModelName | None) -> ConversationView:
    """Choose the model for questions to come; None follows the defaults again. Raises NotFound."""
    return await _change(id, by, lambda work: store.set_model(work, id, model))


async def set_head(id: ConversationId, by: AccountId, head: MessageId) -> ConversationView:
    """Show the branch that goes through this message, to the end that was grown last. Raises NotFound."""
    await get(id, by)
    nodes = await store.messages(id)
    if all(node.id != head for node in nodes):
        raise message_unknown()
    leaf = tree.leaf_under(nodes, head)
    return await _change(id, by, lambda work: store.set_head(work, id, leaf))


async def messages(id: ConversationId) -> list[MessageView]:
    """Every message of the whole tree, oldest first. Ask `get` first whether the reader may."""
    return await store.messages(id)


async def message(id: MessageId) -> MessageView:
    """One message. Raises NotFound."""
    view = await store.message(id)
    if view is None:
        raise message_unknown()
    return view


async def path(head: MessageId | None) -> list[MessageView]:
    """From the root to the head; empty for None."""
    return [] if head is None else await store.path(head)


async def lock(work: Work, id: ConversationId, *, touch: bool = True) -> ConversationView:
    """The first statement of every unit that starts, ends or promotes a turn: whoever holds it decides alone.

    Raises NotFound when there is no such conversation; a deleted one is returned as such.
    """
    if not await store.raise_version(work, id, current().clock.now() if touch else None):
        raise conversation_unknown()
    view = await store.conversation(id)
    assert view is not None
    return view


async def add_message(work: Work, message: MessageView, *, head: bool = True) -> None:
    """Insert a message, and let the conversation show it."""
    await store.insert_message(work, message)
    if head:
        await store.set_head(work, message.conversation, message.id)


async def show(work: Work, id: ConversationId, head: MessageId | None) -> None:
    """Let the conversation end at this message."""
    await store.set_head(work, id, head)


async def write_answer(
    work: Work, id: MessageId, parts: Sequence[Part] | None, state: MessageState, model: ModelName | None = None
) -> None:
    """Replace what an answer says (None keeps it) and how whole it is."""
    await store.write_answer(work, id, parts, state, model)


async def title_once(work: Work, id: ConversationId, title: str) -> bool:
    """Our title, where neither we nor a person gave one; whether it was taken."""
    return bool(title) and await store.set_title(work, id, _title(title), by_person=False)


async def bind_if_free(work: Work, place: str, conversation: ConversationId) -> ConversationId:
    """Put a free place on the conversation; what the place is on afterwards."""
    return await store.bind_if_free(work, place, conversation, current().clock.now())


async def delete(work: Work, id: ConversationId) -> None:
    """Hide it for good and free its places; its rows stay. `turns.delete_conversation` stops its turns first."""
    await store.mark_deleted(work, id, current().clock.now())
    view = await store.conversation(id)
    if view is not None:
        _tell(work, view)


async def _change(id: ConversationId, by: AccountId, write: Callable[[Work], Awaitable[object]]) -> ConversationView:
    async def body(work: Work) -> ConversationView:
        await get(id, by)
        await write(work)
        view = await get(id, by)
        _tell(work, view)
        return view

    return await unit_of_work(body)


def _tell(work: Work, view: ConversationView) -> None:
    async def tell_owner() -> None:
        await tell(view.account, ConversationChanged(view.id))

    work.after_commit(tell_owner)


def _title(text: str) -> str:
    return one_line(text, MAX_TITLE)
