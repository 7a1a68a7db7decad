"""The wire form: parts, messages and events as plain JSON objects, versioned.

The same form is stored in rows, written to the event log and sent to browsers, so it changes only by addition:
readers ignore fields they do not know and refuse kinds they do not know. A document without `v` is of version 1; a
change of meaning raises `VERSION` and writes `v`. A field whose value is None or empty may be absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

import orjson

from core.chat.actions import Action, Verb
from core.chat.deltas import FinishReason
from core.chat.events import (
    Accepted,
    AccountEvent,
    BalanceChanged,
    ConversationChanged,
    Failed,
    Finished,
    LinkChanged,
    Notice,
    ReasoningAdded,
    Snapshot,
    TextAdded,
    ToolUsed,
    TurnEnded,
    TurnEvent,
    TurnStarted,
)
from core.chat.message import Message, Role
from core.chat.parts import ImagePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from core.chat.usage import Usage
from core.kit.errors import Param
from core.kit.ids import ConversationId, LinkId, MessageId, ModelName, TurnId

VERSION = 1

Document = dict[str, Any]
"""A JSON object, ready for orjson."""


class WireError(ValueError):
    """The document is not of this form: an unknown kind, a newer version, a field missing or of the wrong type."""


def encode(document: Document | list[Any]) -> str:
    """JSON text, for rows and logs; text with broken surrogates is mended, since no database accepts it."""
    try:
        return orjson.dumps(document).decode()
    except TypeError:
        return orjson.dumps(_mended(document)).decode()


def decode(text: str | bytes) -> Any:
    """Parsed JSON; raises WireError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise WireError("not JSON") from error


def well_formed(text: str) -> str:
    """The text with lone surrogates (half of a cut emoji, as some clients send) replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def dump_part(part: Part) -> Document:
    """`{"type": "text", "text": …}`, and so on for each kind of part."""
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ReasoningPart(text, state):
            return {"type": "reasoning", "text": text} | _optional(state=state)
        case ImagePart(url, detail):
            return {"type": "image", "url": url} | _optional(detail=detail)
        case ToolCallPart(call, name, arguments):
            return {"type": "tool_call", "id": call, "name": name, "arguments": arguments}
        case ToolResultPart(call, text, is_error):
            return {"type": "tool_result", "call_id": call, "text": text} | ({"is_error": True} if is_error else {})
        case _:
            assert_never(part)


def load_part(document: object) -> Part:
    """The part; raises WireError."""
    fields = _object(document)
    kind = _text(fields, "type")
    match kind:
        case "text":
            return TextPart(_text(fields, "text"))
        case "reasoning":
            return ReasoningPart(_text(fields, "text"), _text_or_none(fields, "state"))
        case "image":
            return ImagePart(_text(fields, "url"), _text_or_none(fields, "detail"))
        case "tool_call":
            return ToolCallPart(_text(fields, "id"), _text(fields, "name"), _text(fields, "arguments"))
        case "tool_result":
            return ToolResultPart(_text(fields, "call_id"), _text(fields, "text"), bool(fields.get("is_error", False)))
        case _:
            raise WireError("unknown kind of part")


def dump_parts(parts: Sequence[Part]) -> list[Document]:
    """The parts in order."""
    return [dump_part(part) for part in parts]


def load_parts(documents: object) -> tuple[Part, ...]:
    """The parts in order; raises WireError."""
    return tuple(load_part(each) for each in _list(documents))


def dump_message(message: Message) -> Document:
    """`{"role": "user", "parts": […], "name": …}`."""
    return {"role": message.role.value, "parts": dump_parts(message.parts)} | _optional(name=message.name)


def load_message(document: object) -> Message:
    """The message; raises WireError."""
    fields = _object(document)
    try:
        role = Role(_text(fields, "role"))
    except ValueError as error:
        raise WireError("unknown role") from error
    return Message(role, load_parts(fields.get("parts")), _text_or_none(fields, "name"))


def dump_usage(usage: Usage) -> Document:
    """All counts, and `estimated` when it is true."""
    counts: Document = {
        "input": usage.input,
        "output": usage.output,
        "cache_read": usage.cache_read,
        "reasoning": usage.reasoning,
    }
    return counts | ({"estimated": True} if usage.estimated else {})


def load_usage(document: object) -> Usage:
    """The usage; absent counts are 0. Raises WireError."""
    fields = _object(document)
    return Usage(
        _number(fields, "input", 0),
        _number(fields, "output", 0),
        _number(fields, "cache_read", 0),
        _number(fields, "reasoning", 0),
        bool(fields.get("estimated", False)),
    )


def dump_action(action: Action) -> Document:
    """`{"verb": "retry", "target": "turn_…"}`: the verb by its name, unlike the packed form of buttons."""
    return {"verb": action.verb.name.lower(), "target": action.target}


def load_action(document: object) -> Action:
    """The action; raises WireError."""
    fields = _object(document)
    try:
        verb = Verb[_text(fields, "verb").upper()]
    except KeyError as error:
        raise WireError("unknown verb") from error
    return Action(verb, _text(fields, "target", ""))


def dump_event(event: TurnEvent) -> Document:
    """`{"type": "text_added", "offset": 0, "text": …}`: the class name in snake case, then its fields."""
    match event:
        case Accepted(conversation, user_message, answer, model, held_micro):
            return {
                "type": "accepted",
                "conversation": conversation,
                "user_message": user_message,
                "answer": answer,
                "model": model,
                "held_micro": held_micro,
            }
        case TextAdded(offset, text):
            return {"type": "text_added", "offset": offset, "text": text}
        case ReasoningAdded(offset, text):
            return {"type": "reasoning_added", "offset": offset, "text": text}
        case ToolUsed(name):
            return {"type": "tool_used", "name": name}
        case Notice(code, params):
            return {"type": "notice", "code": code, "params": dict(params)}
        case Finished(reason, usage, cost_micro, balance_micro, offers):
            return {
                "type": "finished",
                "reason": reason.value,
                "usage": dump_usage(usage),
                "cost_micro": cost_micro,
                "balance_micro": balance_micro,
                "offers": [dump_action(offer) for offer in offers],
            }
        case Failed(code, params, kept, cost_micro, offers):
            return {
                "type": "failed",
                "code": code,
                "params": dict(params),
                "kept": kept,
                "cost_micro": cost_micro,
                "offers": [dump_action(offer) for offer in offers],
            }
        case Snapshot(message, seq):
            return {"type": "snapshot", "message": dump_message(message), "seq": seq}
        case _:
            assert_never(event)


def load_event(document: object) -> TurnEvent:
    """The event; raises WireError."""
    fields = _object(document)
    reader = _EVENTS.get(_text(fields, "type"))
    if reader is None:
        raise WireError("unknown kind of event")
    return reader(fields)


def dump_account_event(event: AccountEvent) -> Document:
    """`{"type": "turn_started", "conversation": …, "turn": …}`: ids only."""
    match event:
        case ConversationChanged(conversation):
            return {"type": "conversation_changed", "conversation": conversation}
        case TurnStarted(conversation, turn):
            return {"type": "turn_started", "conversation": conversation, "turn": turn}
        case TurnEnded(conversation, turn):
            return {"type": "turn_ended", "conversation": conversation, "turn": turn}
        case BalanceChanged():
            return {"type": "balance_changed"}
        case LinkChanged(link):
            return {"type": "link_changed", "link": link}
        case _:
            assert_never(event)


def load_account_event(document: object) -> AccountEvent:
    """The event; raises WireError."""
    fields = _object(document)
    reader = _ACCOUNT_EVENTS.get(_text(fields, "type"))
    if reader is None:
        raise WireError("unknown kind of event")
    return reader(fields)


def load_params(document: object) -> Mapping[str, Param]:
    """Parameters of a notice or an error: text and numbers only. Raises WireError."""
    # Names are the writer's own, so a parameter called `v` says nothing about the version.
    if not isinstance(document, Mapping):
        raise WireError("not an object")
    if not all(isinstance(value, str | int | float) for value in document.values()):
        raise WireError("a parameter is neither text nor a number")
    return document


def _finished(fields: Mapping[str, Any]) -> Finished:
    try:
        reason = FinishReason(_text(fields, "reason"))
    except ValueError as error:
        raise WireError("unknown reason") from error
    return Finished(
        reason,
        load_usage(fields.get("usage", {})),
        _number(fields, "cost_micro", 0),
        _number(fields, "balance_micro", 0),
        tuple(load_action(each) for each in _list(fields.get("offers", []))),
    )


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], TurnEvent]] = {
    "accepted": lambda fields: Accepted(
        ConversationId(_text(fields, "conversation")),
        MessageId(_text(fields, "user_message")),
        MessageId(_text(fields, "answer")),
        ModelName(_text(fields, "model")),
        _number(fields, "held_micro", 0),
    ),
    "text_added": lambda fields: TextAdded(_number(fields, "offset"), _text(fields, "text")),
    "reasoning_added": lambda fields: ReasoningAdded(_number(fields, "offset"), _text(fields, "text")),
    "tool_used": lambda fields: ToolUsed(_text(fields, "name")),
    "notice": lambda fields: Notice(_text(fields, "code"), load_params(fields.get("params", {}))),
    "finished": _finished,
    "failed": lambda fields: Failed(
        _text(fields, "code"),
        load_params(fields.get("params", {})),
        bool(fields.get("kept", False)),
        _number(fields, "cost_micro", 0),
        tuple(load_action(each) for each in _list(fields.get("offers", []))),
    ),
    "snapshot": lambda fields: Snapshot(load_message(fields.get("message")), _number(fields, "seq")),
}

_ACCOUNT_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], AccountEvent]] = {
    "conversation_changed": lambda fields: ConversationChanged(ConversationId(_text(fields, "conversation"))),
    "turn_started": lambda fields: TurnStarted(
        ConversationId(_text(fields, "conversation")), TurnId(_text(fields, "turn"))
    ),
    "turn_ended": lambda fields: TurnEnded(
        ConversationId(_text(fields, "conversation")), TurnId(_text(fields, "turn"))
    ),
    "balance_changed": lambda fields: BalanceChanged(),
    "link_changed": lambda fields: LinkChanged(LinkId(_text(fields, "link"))),
}


def _optional(**fields: str | None) -> Document:
    return {name: value for name, value in fields.items() if value is not None}


def _object(document: object) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise WireError("not an object")
    if (version := document.get("v", VERSION)) != VERSION:
        raise WireError(f"version {version!r} is not known here")
    return document


def _list(document: object) -> list[Any]:
    if not isinstance(document, list):
        raise WireError("not a list")
    return document


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise WireError(f"{name} is not text")
    return value


def _text_or_none(fields: Mapping[str, Any], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)


def _number(fields: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = fields.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise WireError(f"{name} is not a whole number")
    return value


def _mended(value: Any) -> Any:
    match value:
        case str():
            return well_formed(value)
        case dict():
            return {_mended(key): _mended(each) for key, each in value.items()}
        case list() | tuple():
            return [_mended(each) for each in value]
        case _:
            return value
