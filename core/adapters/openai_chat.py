"""OpenAI chat completions, and the many servers that speak the same with small differences (`vendors.toml`).

supports: text, pictures by URL, tool calls, reasoning in `reasoning_content` or `reasoning`, usage in any of its
places, streams and whole answers, relaying. not yet: files, audio, replayed reasoning, model lists. never: `n` above
one from our own calls, since nobody shows it.

Source: https://platform.openai.com/docs/api-reference/chat, https://platform.openai.com/docs/guides/error-codes (seen
2026-11). Every field of an answer is untrusted: servers that claim to be compatible send null, other types, nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from core.adapters.base import BadFrame, Framing, StreamUsage, Target, WireReply, WireRequest
from core.adapters.faults import Fault, Refusal, UpstreamError, read_refusal, refusal_of
from core.chat import (
    Call,
    Delta,
    Finish,
    FinishReason,
    ImageDelta,
    ImagePart,
    Message,
    ReasoningDelta,
    Role,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResultPart,
    Usage,
    UsageDelta,
)
from core.kit.sse import format_event

NAME = "openai_chat"
DONE = b"[DONE]"
MAX_TOKENS = 1_000_000_000
"""A report beyond it is nonsense."""
MAX_TOOL_INDEX = 1_000

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL,
    "function_call": FinishReason.TOOL,
    "content_filter": FinishReason.FILTER,
    "sensitive": FinishReason.FILTER,
}
_SPEAKER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*(?:\[\s*\]|null)')


class OpenAIChat:
    """The dialect."""

    name = NAME
    framing = Framing.SSE
    end_sign = DONE

    def encode(self, call: Call, target: Target) -> WireRequest:
        """The caller's own body with another model name, when it came in this dialect; else one made from the call."""
        if call.raw is not None and call.raw.dialect == NAME:
            body = {**call.raw.body, "model": target.upstream_model}
        else:
            body = _body(call, target)
        if call.stream:
            if target.vendor.stream_usage is StreamUsage.OPTION:
                body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
            else:
                body.pop("stream_options", None)
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if call.stream else "application/json",
            **target.vendor.headers,
        }
        if target.secret:
            headers["Authorization"] = f"Bearer {target.secret}"
        return WireRequest("POST", f"{target.base_url}/chat/completions", headers, orjson.dumps(body))

    def decoder(self, call: Call, target: Target) -> ChatDecoder:
        """A fresh reader."""
        return ChatDecoder(reasoning_apart=target.vendor.reasoning_apart)

    def fault(self, reply: WireReply) -> Refusal:
        """By status, structured codes and the shape of the body."""
        return read_refusal(reply.status, reply.headers, reply.body)

    def softened(self, call: Call, target: Target, refusal: Refusal) -> WireRequest | None:
        """Without `stream_options` when the upstream complains about just that: older servers know no such field."""
        named = f"{refusal.param} {refusal.message}"
        if (
            not call.stream
            or target.vendor.stream_usage is not StreamUsage.OPTION
            or refusal.fault is not Fault.CALLER
            or ("stream_options" not in named and "include_usage" not in named)
        ):
            return None
        return self.encode(call, replace(target, vendor=replace(target.vendor, stream_usage=StreamUsage.NONE)))

    def frame(self, data: bytes, call: Call) -> bytes | None:
        """The event under the public model name; None for the usage chunk that only we asked for."""
        if not _asked_for_usage(call) and b'"usage"' in data and _NO_CHOICES.search(data):
            chunk = orjson.loads(data)
            if not chunk.get("choices") and chunk.get("usage"):
                return None
        return format_event(_under_public_name(data, call))

    def body(self, body: bytes, call: Call) -> bytes:
        """The answer under the public model name, otherwise untouched."""
        return _under_public_name(body.strip(), call)


class ChatDecoder:
    """Reads one answer, in frames or whole."""

    def __init__(self, *, reasoning_apart: bool = False) -> None:
        self.ended = False
        self._reasoning_apart = reasoning_apart
        self._finish: FinishReason | None = None
        self._choices = False
        self._text = False
        self._tools = False
        self._refused = False

    @property
    def complete(self) -> bool:
        """The reason of the end was told: a connection that dies now has lost nothing but usage."""
        return self.ended or self._finish is not None

    def feed(self, frame: bytes) -> list[Delta]:
        """The deltas of one event's data."""
        data = frame.strip()
        if data == DONE:
            self.ended = True
            return []
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise BadFrame from error
        if not isinstance(chunk, dict):
            raise BadFrame
        _raise_if_error(chunk)
        return list(self._read(chunk, "delta"))

    def whole(self, body: bytes) -> list[Delta]:
        """The deltas of a completion that came in one piece."""
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UpstreamError(Fault.PROTOCOL) from error
        if not isinstance(answer, dict):
            raise UpstreamError(Fault.PROTOCOL)
        _raise_if_error(answer)
        deltas = list(self._read(answer, "message"))
        if not self._choices:
            raise UpstreamError(Fault.PROTOCOL)
        self.ended = True
        return [*deltas, *self.finish()]

    def finish(self) -> list[Delta]:
        """The end: its reason is STOP where a server sends the end sign alone."""
        if not self._choices:
            raise UpstreamError(Fault.PROTOCOL)
        if not self.complete:
            raise UpstreamError(Fault.TRUNCATED)
        reason = self._finish or FinishReason.STOP
        if reason is FinishReason.STOP:
            # Several servers end a tool call with "stop"; who reads the reason alone would never run the tool.
            reason = FinishReason.TOOL if self._tools else FinishReason.REFUSAL if self._refused else reason
        return [Finish(reason)]

    def _read(self, chunk: dict[str, Any], field: str) -> Iterator[Delta]:
        choices = chunk.get("choices")
        reports: list[object] = [chunk.get("usage")]
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            self._choices = True
            said = choice.get(field)
            if not isinstance(said, dict) and not self._text and not self._tools:
                # Some servers stream `message`; one repeats the whole answer so in its last frame.
                said = choice.get("message") or choice.get("delta")
            if isinstance(said, dict):
                yield from self._said(said)
            self._end(choice.get("finish_reason"))
            reports.append(choice.get("usage"))
        groq = chunk.get("x_groq")
        reports.append(groq.get("usage") if isinstance(groq, dict) else None)
        for report in reports:
            if (usage := read_usage(report, reasoning_apart=self._reasoning_apart)) is not None:
                yield UsageDelta(usage)

    def _said(self, said: dict[str, Any]) -> Iterator[Delta]:
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            yield ReasoningDelta(reasoning)
        yield from self._content(said.get("content"))
        refusal = said.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = self._text = True
            yield TextDelta(refusal)
        for image in _dicts(said.get("images")):
            url = image.get("image_url")
            url = url.get("url") if isinstance(url, dict) else url
            if isinstance(url, str) and url:
                yield ImageDelta(url)
        for place, call in enumerate(_dicts(said.get("tool_calls"))):
            yield from self._call(call.get("function"), call.get("id"), call.get("index", place))
        if isinstance(said.get("function_call"), dict):
            yield from self._call(said["function_call"], None, 0)

    def _content(self, content: object) -> Iterator[Delta]:
        if isinstance(content, str):
            if content:
                self._text = True
                yield TextDelta(content)
            return
        for part in _dicts(content):
            if part.get("type") == "thinking":
                thought = part.get("thinking")
                pieces = [thought] if isinstance(thought, str) else [p.get("text") for p in _dicts(thought)]
                for piece in pieces:
                    if isinstance(piece, str) and piece:
                        yield ReasoningDelta(piece)
            elif isinstance(part.get("text"), str) and part["text"]:
                self._text = True
                yield TextDelta(part["text"])

    def _call(self, function: object, call_id: object, index: object) -> Iterator[Delta]:
        if not isinstance(function, dict):
            return
        if not isinstance(index, int) or not 0 <= index <= MAX_TOOL_INDEX:
            index = 0
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = orjson.dumps(arguments).decode()
        self._tools = True
        yield ToolCallDelta(
            index=int(index),
            id=call_id if isinstance(call_id, str) and call_id else None,
            name=name if isinstance(name, str) and name else None,
            arguments=arguments if isinstance(arguments, str) else "",
        )

    def _end(self, reason: object) -> None:
        if not isinstance(reason, str) or reason in {"", "null"}:
            return
        if reason in {"error", "network_error"}:
            raise UpstreamError(Fault.OVERLOADED)
        self._finish = _FINISH.get(reason, FinishReason.OTHER)


def read_usage(report: object, *, reasoning_apart: bool = False) -> Usage | None:
    """A report in our terms; None when it is absent, tells nothing, or cannot be true."""
    if not isinstance(report, Mapping):
        return None
    asked, answered = _count(report.get("prompt_tokens")), _count(report.get("completion_tokens"))
    if asked is None or answered is None or asked + answered == 0:
        return None
    asked_parts, answered_parts = report.get("prompt_tokens_details"), report.get("completion_tokens_details")
    cached = _count(asked_parts.get("cached_tokens")) if isinstance(asked_parts, Mapping) else None
    if cached is None:
        cached = _count(report.get("prompt_cache_hit_tokens"))
    thought = _count(answered_parts.get("reasoning_tokens")) if isinstance(answered_parts, Mapping) else None
    if reasoning_apart:
        answered += thought or 0
    return Usage(asked, answered, min(cached or 0, asked), min(thought or 0, answered))


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TOKENS:
        return None
    return int(value)


def _raise_if_error(chunk: dict[str, Any]) -> None:
    error = chunk.get("error")
    if not error and (isinstance(chunk.get("choices"), list) or chunk.get("usage")):
        return
    if not error and not any(chunk.get(name) for name in ("message", "msg", "detail", "error_msg", "code")):
        return
    refusal = refusal_of(chunk, 200)
    raise UpstreamError(refusal.fault, message=refusal.message)


def _dicts(value: object) -> Iterable[dict[str, Any]]:
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()


def _asked_for_usage(call: Call) -> bool:
    options = call.raw.body.get("stream_options") if call.raw is not None and call.raw.dialect == NAME else None
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def _under_public_name(data: bytes, call: Call) -> bytes:
    wanted = orjson.dumps(call.model)
    found = _MODEL.findall(data)
    if not found or (len(found) == 1 and found[0] == wanted):
        return data
    if len(found) == 1:
        # Within a JSON text the quotes of another string are escaped, so this one is the field itself.
        return _MODEL.sub(lambda _: b'"model":' + wanted, data, count=1)
    answer = orjson.loads(data)
    if not isinstance(answer, dict) or answer.get("model") in {None, call.model}:
        return data
    return orjson.dumps({**answer, "model": call.model})


def _body(call: Call, target: Target) -> dict[str, Any]:
    vendor, options = target.vendor, call.options
    body: dict[str, Any] = {
        "model": target.upstream_model,
        "messages": [wire for message in call.messages for wire in _messages(message, names=vendor.names)],
    }
    if options.max_output is not None:
        body[vendor.max_output_field] = options.max_output
    if options.temperature is not None:
        body["temperature"] = options.temperature
    if options.top_p is not None:
        body["top_p"] = options.top_p
    if options.stop:
        body["stop"] = list(options.stop)
    if call.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    **({} if tool.description is None else {"description": tool.description}),
                    "parameters": dict(tool.schema) or {"type": "object", "properties": {}},
                },
            }
            for tool in call.tools
        ]
    if call.stream:
        body["stream"] = True
    return body


def _messages(message: Message, *, names: bool) -> Iterator[dict[str, Any]]:
    """One of ours is one of theirs, except that each tool result is a message of its own."""
    for part in message.parts:
        if isinstance(part, ToolResultPart):
            yield {"role": "tool", "tool_call_id": part.call_id, "content": part.text}
    if message.role is Role.TOOL:
        return
    wire: dict[str, Any] = {"role": message.role.value}
    prefix = ""
    if message.name:
        if names and _SPEAKER.fullmatch(message.name):
            wire["name"] = message.name
        else:
            prefix = f"{message.name}: "
    wire["content"] = _content_of(message, prefix)
    calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
    if calls:
        wire["content"] = wire["content"] or None
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    if wire["content"] or calls or not any(isinstance(part, ToolResultPart) for part in message.parts):
        yield wire


def _content_of(message: Message, prefix: str) -> str | list[dict[str, Any]]:
    """Plain text where it suffices: older servers know no parts. Only questions may hold pictures."""
    shown: Sequence[TextPart | ImagePart] = [p for p in message.parts if isinstance(p, TextPart | ImagePart)]
    if message.role is not Role.USER or not any(isinstance(part, ImagePart) for part in shown):
        return prefix + message.text
    content: list[dict[str, Any]] = [{"type": "text", "text": prefix}] if prefix else []
    for part in shown:
        if isinstance(part, TextPart):
            content.append({"type": "text", "text": part.text})
        else:
            detail = {} if part.detail is None else {"detail": part.detail}
            content.append({"type": "image_url", "image_url": {"url": part.url, **detail}})
    return content
