"""OpenAI chat completions as callers speak it: body → Call, deltas → chunks or one completion.

Source of the shapes: https://platform.openai.com/docs/api-reference/chat (seen 2026-11), and the type definitions of
the official SDK 3.54. The body also travels on as `Call.raw`, so a channel of the same dialect loses no field; what is
decoded here serves validation, the estimate of tokens and channels of other dialects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from core.chat import (
    Call,
    Delta,
    Finish,
    FinishReason,
    ImageDelta,
    ImagePart,
    Message,
    Options,
    Part,
    Raw,
    ReasoningDelta,
    Role,
    TextDelta,
    TextPart,
    Tool,
    ToolCallDelta,
    ToolCallPart,
    ToolResultPart,
    Usage,
    UsageDelta,
)
from core.kit.errors import BadInput
from core.kit.ids import ModelName

DIALECT = "openai_chat"

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}

_FINISH = {
    FinishReason.LENGTH: "length",
    FinishReason.TOOL: "tool_calls",
    FinishReason.FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}


def read(body: object) -> Call:
    """The call that a parsed request body asks for. Raises BadInput naming the field; unknown fields pass."""
    if not isinstance(body, dict):
        raise BadInput("body_not_object")
    model = body.get("model")
    if not isinstance(model, str) or not model or len(model) > 120:
        raise BadInput("field_invalid", field="model")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadInput("field_invalid", field="stream")
    stream_options = body.get("stream_options")
    if stream_options is not None and not isinstance(stream_options, dict):
        raise BadInput("field_invalid", field="stream_options")
    return Call(
        model=ModelName(model),
        messages=_messages(body.get("messages")),
        options=_options(body),
        tools=_tools(body.get("tools")),
        raw=Raw(DIALECT, body),
        stream=bool(stream),
    )


def wants_usage(body: Mapping[str, Any]) -> bool:
    """Whether a streaming caller asked for the usage chunk."""
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise BadInput("field_invalid", field="messages")
    return tuple(_message(entry, f"messages[{place}]") for place, entry in enumerate(value))


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise BadInput("field_invalid", field=where)
    role = _ROLES.get(value.get("role")) if isinstance(value.get("role"), str) else None  # type: ignore[arg-type]
    if role is None:
        raise BadInput("field_invalid", field=f"{where}.role")
    name = value.get("name")
    if name is not None and not isinstance(name, str):
        raise BadInput("field_invalid", field=f"{where}.name")
    if role is Role.TOOL:
        call_id = value.get("tool_call_id") or name
        if not isinstance(call_id, str):
            raise BadInput("field_invalid", field=f"{where}.tool_call_id")
        text = "".join(p.text for p in _content(value.get("content"), where) if isinstance(p, TextPart))
        return Message(role, (ToolResultPart(call_id, text),))
    parts = list(_content(value.get("content"), where))
    calls = value.get("tool_calls")
    if calls is not None:
        if role is not Role.ASSISTANT or not isinstance(calls, list):
            raise BadInput("field_invalid", field=f"{where}.tool_calls")
        parts += [_tool_call(call, f"{where}.tool_calls[{place}]") for place, call in enumerate(calls)]
    if not parts and role is not Role.ASSISTANT:
        raise BadInput("field_invalid", field=f"{where}.content")
    return Message(role, tuple(parts), name)


def _content(value: object, where: str) -> Iterator[Part]:
    if value is None:
        return
    if isinstance(value, str):
        yield TextPart(value)
        return
    if not isinstance(value, list):
        raise BadInput("field_invalid", field=f"{where}.content")
    for place, part in enumerate(value):
        here = f"{where}.content[{place}]"
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise BadInput("field_invalid", field=here)
        match part["type"]:
            case "text" | "refusal":
                text = part.get(part["type"])
                if not isinstance(text, str):
                    raise BadInput("field_invalid", field=f"{here}.{part['type']}")
                yield TextPart(text)
            case "image_url":
                image = part.get("image_url")
                url = image.get("url") if isinstance(image, dict) else None
                detail = image.get("detail") if isinstance(image, dict) else None
                if not isinstance(url, str) or not url.startswith(("https://", "http://", "data:image/")):
                    raise BadInput("field_invalid", field=f"{here}.image_url.url")
                if detail is not None and not isinstance(detail, str):
                    raise BadInput("field_invalid", field=f"{here}.image_url.detail")
                yield ImagePart(url, detail)
            case _:
                # Audio and file parts have no noun here yet; a channel of this dialect still gets them by `raw`.
                continue


def _tool_call(value: object, where: str) -> ToolCallPart:
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not isinstance(function, dict):
        raise BadInput("field_invalid", field=where)
    name, arguments = function.get("name"), function.get("arguments", "")
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise BadInput("field_invalid", field=f"{where}.function")
    return ToolCallPart(value["id"], name, arguments)


def _tools(value: object) -> tuple[Tool, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > 128:
        raise BadInput("field_invalid", field="tools")
    tools = []
    for place, tool in enumerate(value):
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(tool, dict) and isinstance(tool.get("type"), str) and tool["type"] != "function":
            continue  # a built-in or custom tool of the vendor: only `raw` can carry it
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadInput("field_invalid", field=f"tools[{place}]")
        description, schema = function.get("description"), function.get("parameters", {})
        if (description is not None and not isinstance(description, str)) or not isinstance(schema, dict):
            raise BadInput("field_invalid", field=f"tools[{place}].function")
        tools.append(Tool(function["name"], description, schema))
    return tuple(tools)


def _options(body: Mapping[str, Any]) -> Options:
    limit = body.get("max_completion_tokens")
    field = "max_completion_tokens"
    if limit is None:
        limit, field = body.get("max_tokens"), "max_tokens"
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 10_000_000):
        raise BadInput("field_invalid", field=field)
    stop = body.get("stop")
    stops = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list) else ()
    if stop is not None and (not isinstance(stop, str | list) or not all(isinstance(s, str) for s in stops)):
        raise BadInput("field_invalid", field="stop")
    return Options(
        max_output=limit,
        temperature=_number(body, "temperature", 0, 2),
        top_p=_number(body, "top_p", 0, 1),
        stop=stops,
    )


def _number(body: Mapping[str, Any], field: str, low: float, high: float) -> float | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadInput("field_invalid", field=field)
    return float(value)


def model_object(name: str) -> dict[str, Any]:
    """A model in the list form; `created` is not known of names that an operator chose, so it is 0."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "parley"}


def usage_object(usage: Usage) -> dict[str, Any]:
    """Our usage in OpenAI's terms: totals include their parts on both sides."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


class ChunkWriter:
    """Deltas of another dialect → `chat.completion.chunk` events, one writer an answer."""

    def __init__(self, *, request_id: str, model: str, created: int) -> None:
        self._head = {"id": request_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._opened = False

    def write(self, delta: Delta) -> bytes:
        """The event for this delta; empty for what has none."""
        match delta:
            case TextDelta(text):
                return self._chunk({"content": text})
            case ReasoningDelta(text):
                return self._chunk({"reasoning_content": text})
            case ToolCallDelta(index, call_id, name, arguments):
                function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
                call: dict[str, Any] = {"index": index, "function": function}
                if call_id is not None:
                    call |= {"id": call_id, "type": "function"}
                return self._chunk({"tool_calls": [call]})
            case ImageDelta(url):
                return self._chunk({"content": f"![]({url})"})
            case Finish(reason):
                return self._chunk({}, _FINISH.get(reason, "stop"))
            case UsageDelta():
                return b""

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if not self._opened:
            self._opened = True
            delta = {"role": "assistant", **delta}
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event({**self._head, "choices": [choice]})

    def usage(self, usage: Usage) -> bytes:
        """The closing usage chunk, for callers that asked."""
        return event({**self._head, "choices": [], "usage": usage_object(usage)})


DONE = b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    """One server-sent event with a JSON body."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def completion(
    parts: tuple[Part, ...], reason: FinishReason, usage: Usage, *, request_id: str, model: str, created: int
) -> dict[str, Any]:
    """One `chat.completion` from an assembled answer."""
    text = "".join(p.text for p in parts if isinstance(p, TextPart))
    images = "".join(f"![]({p.url})" for p in parts if isinstance(p, ImagePart))
    message: dict[str, Any] = {"role": "assistant", "content": text + images, "refusal": None}
    calls = [p for p in parts if isinstance(p, ToolCallPart)]
    if calls:
        message["content"] = message["content"] or None
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH.get(reason, "stop")}
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage_object(usage),
    }
