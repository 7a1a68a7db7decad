"""Words: conversations as trees of messages, and which of them a place is on.

Only the owner may see one. Names with `work` first join the caller's unit of work and are for `turns` and `care`.
"""

from core.conversations import tree
from core.conversations.bindings import bind, bound, place, unbind
from core.conversations.service import (
    add_message,
    bind_if_free,
    create,
    create_in,
    delete,
    find,
    get,
    listing,
    lock,
    message,
    messages,
    path,
    rename,
    set_head,
    set_model,
    show,
    title_once,
    write_answer,
)
from core.conversations.types import ConversationView, MessageState, MessageView

__all__ = [
    "ConversationView",
    "MessageState",
    "MessageView",
    "add_message",
    "bind",
    "bind_if_free",
    "bound",
    "create",
    "create_in",
    "delete",
    "find",
    "get",
    "listing",
    "lock",
    "message",
    "messages",
    "path",
    "place",
    "rename",
    "set_head",
    "set_model",
    "show",
    "title_once",
    "tree",
    "unbind",
    "write_answer",
]
