"""A provider on loopback: a real HTTP server that speaks chat completions and misbehaves as scripted.

    async with Provider() as p:
        p.script(ok("Hello"))                # every request from now on
        p.script(refuse(429, retry_after=7), ok())   # the first, then all others
        p.script("401")                      # the same by name, see MODES
        ... base_url=p.base_url ...
        assert p.requests[0].body["model"] == "m"
        await p.requests[0].left.wait()      # the client has gone

`python -m tests.fakes.provider --port 9000 --mode ok` runs one by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from aiohttp import web

TEXT = "Hello from the provider. It has **words**, 中文 and 🙂."
HANG_S = 60.0
"""Bounded, so that a client that waits for ever does not hold the tests; leaving ends it at once."""
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@dataclass(frozen=True)
class Answer:
    """What one request gets. Streamed when the request asks for it, unless `body` or `raw` says otherwise."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = TEXT
    reasoning: str = ""
    tools: Sequence[tuple[str, str]] = ()
    """Name and JSON arguments of each call."""
    piece: int = 8
    """Characters of text in a frame."""
    delay_s: float = 0.0
    """Before each frame."""
    usage: object = field(default_factory=lambda: dict(USAGE))
    """None: not reported. Streams report it only when asked, as real ones do, unless `usage_always`."""
    usage_always: bool = False
    finish: str | None = None
    """None: `stop`, or `tool_calls` with tools."""
    done: bool = True
    """Whether `[DONE]` is sent."""
    keepalives: int = 0
    """Comments before the first frame, `delay_s` apart."""
    line_end: str = "\n"
    model: str | None = None
    """What the answer calls itself; None: what was asked for."""
    hang: str = ""
    """`before` or `after` the headers, in the `middle`, or at the `end`: nothing more comes until the client leaves."""
    cut_after: int | None = None
    """Characters of text after which the connection dies."""
    reset: bool = False
    """The connection dies before anything is said."""
    body: bytes | None = None
    """Sent whole, whatever was asked."""
    raw: Sequence[bytes] | None = None
    """Sent as the stream, piece by piece, whatever was asked."""
    whole: bool = False
    """A completion in one piece, whatever was asked."""
    refuse_stream_options: bool = False
    """400 while the request carries `stream_options`."""


def ok(text: str = TEXT, **more: Any) -> Answer:
    """A good answer."""
    return Answer(text=text, **more)


def tools(*calls: tuple[str, str], **more: Any) -> Answer:
    """Tool calls instead of text."""
    return Answer(text="", tools=calls or (("get_weather", '{"city": "Paris"}'),), **more)


def refuse(
    status: int,
    message: str = "",
    *,
    code: str | None = None,
    kind: str | None = None,
    retry_after: float | None = None,
) -> Answer:
    """An error in OpenAI's form, with the code that goes with the status."""
    known = {
        400: ("invalid_request_error", None, "The request is wrong."),
        401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-fake-1234567890."),
        402: ("insufficient_quota", "insufficient_quota", "You have no money left."),
        404: ("invalid_request_error", "model_not_found", "The model does not exist."),
        429: ("rate_limit_error", "rate_limit_exceeded", "Slow down."),
    }.get(status, ("server_error", None, "Something broke here."))
    error = {"message": message or known[2], "type": known[0], "param": None, "code": code or known[1]}
    headers = {"Content-Type": "application/json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Answer(status=status, headers=headers, body=json.dumps({"error": error}).encode())


def html(status: int = 200) -> Answer:
    """A web page, as proxies and wrong addresses give."""
    page = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1><p>nginx at 10.1.2.3</p></body></html>"
    return Answer(status=status, headers={"Content-Type": "text/html; charset=utf-8"}, body=page)


def reset() -> Answer:
    """The connection dies before the status line."""
    return Answer(reset=True)


def hang(where: str = "before") -> Answer:
    """Silence: `before` the headers, `after` them, or in the `middle` of the text."""
    return Answer(hang=where)


def cut(after: int = 20, **more: Any) -> Answer:
    """The connection dies after this many characters."""
    return Answer(cut_after=after, **more)


def error_first(message: str = "The engine is overloaded.", code: str = "server_error") -> Answer:
    """200, and an error as the first event."""
    event = json.dumps({"error": {"message": message, "code": code}})
    return Answer(raw=(f"data: {event}\n\n".encode(),))


MODES: Mapping[str, Answer] = {
    "ok": ok(),
    "whole": ok(whole=True),
    "tools": tools(),
    "reasoning": ok(reasoning="Let me think about it."),
    "400": refuse(400),
    "401": refuse(401),
    "402": refuse(402),
    "404": refuse(404),
    "429": refuse(429, retry_after=7),
    "500": refuse(500),
    "503": refuse(503),
    "html 502": html(502),
    "html 200": html(200),
    "reset": reset(),
    "hang": hang("before"),
    "hang after headers": hang("after"),
    "hang in the middle": hang("middle"),
    "cut": cut(),
    "error first": error_first(),
    "empty": Answer(body=b""),
    "garbage": Answer(raw=tuple(b"\xff\xfe\x00 garbage \x80\n" for _ in range(50))),
    "garbage frames": Answer(raw=tuple(b"data: {not json\n\n" for _ in range(50))),
    "no usage": ok(usage=None),
    "no done": ok(done=False),
    "hostile usage": ok(usage={"prompt_tokens": -5, "completion_tokens": "1e99", "total_tokens": []}),
    "keepalives": ok(keepalives=5),
    "drip": ok(delay_s=0.05, piece=1),
    "crlf": ok(line_end="\r\n"),
    "cr": ok(line_end="\r"),
    "no stream options": ok(refuse_stream_options=True),
}
"""Answers by name."""


@dataclass
class Request:
    """What came in."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    answer: Answer
    port: int
    """Of the client: equal ports mean one connection."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The client went before the answer was over."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing more is sent, for whichever reason."""

    @property
    def key(self) -> str:
        """The bearer key it came with."""
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


class Provider:
    """The server. `base_url` ends before `/chat/completions`."""

    def __init__(self, *answers: Answer | str, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.models = ["m"]
        """What `GET /models` lists."""
        self._port = port
        self._answers: Iterator[Answer] = iter(())
        self._runner: web.AppRunner | None = None
        self.base_url = ""
        self.script(*(answers or (ok(),)))

    def script(self, *answers: Answer | str) -> None:
        """Answer the coming requests one after another with these; the last one stays."""
        made = [MODES[answer] if isinstance(answer, str) else answer for answer in answers]
        self._answers = itertools.chain(made, itertools.repeat(made[-1]))

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._list)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        body = await http.json()
        answer = next(self._answers)
        if answer.refuse_stream_options and "stream_options" in body:
            answer = refuse(400, "Unrecognized request argument supplied: stream_options")
        peer = http.transport.get_extra_info("peername") if http.transport is not None else None
        request = Request(http.path, dict(http.headers), body, answer, peer[1] if peer else 0)
        self.requests.append(request)
        try:
            return await self._answer(http, request, answer)
        except (asyncio.CancelledError, ConnectionResetError, ConnectionAbortedError):
            request.left.set()
            raise
        finally:
            request.over.set()

    async def _answer(self, http: web.Request, request: Request, answer: Answer) -> web.StreamResponse:
        if answer.reset:
            _kill(http)
            return web.Response()
        if answer.hang == "before":
            await asyncio.sleep(HANG_S)
            return web.Response()
        if answer.hang == "after":
            kind = "text/event-stream" if request.body.get("stream") else "application/json"
            await web.StreamResponse(headers={"Content-Type": kind}).prepare(http)
            await asyncio.sleep(HANG_S)
        model = answer.model or str(request.body.get("model"))
        if answer.raw is None and answer.body is None and (answer.whole or not request.body.get("stream")):
            if answer.delay_s:
                await asyncio.sleep(answer.delay_s)
            answer = replace(answer, headers={"Content-Type": "application/json"}, body=_completion(answer, model))
        if answer.body is not None:
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        response = web.StreamResponse(
            status=answer.status, headers={"Content-Type": "text/event-stream", **answer.headers}
        )
        await response.prepare(http)
        frames = answer.raw if answer.raw is not None else _frames(answer, model, request.body)
        sent = 0
        for frame in frames:
            if answer.delay_s:
                await asyncio.sleep(answer.delay_s)
            await response.write(frame if isinstance(frame, bytes) else frame[0])
            if not isinstance(frame, bytes):
                sent += frame[1]
            if answer.cut_after is not None and sent >= answer.cut_after:
                await asyncio.sleep(0.02)
                _kill(http)
                return response
            if answer.hang == "middle" and sent >= 16:
                await asyncio.sleep(HANG_S)
        if answer.hang == "end":
            await asyncio.sleep(HANG_S)
        await response.write_eof()
        return response


def _frames(answer: Answer, model: str, asked: Mapping[str, Any]) -> Iterator[tuple[bytes, int]]:
    """Each frame, and how many characters of text it carries."""
    end = answer.line_end
    head = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": model}

    def frame(choices: list[dict[str, Any]], size: int = 0, **more: object) -> tuple[bytes, int]:
        return f"data: {json.dumps({**head, 'choices': choices, **more})}{end}{end}".encode(), size

    def delta(value: dict[str, Any], reason: str | None = None, size: int = 0) -> tuple[bytes, int]:
        return frame([{"index": 0, "delta": value, "finish_reason": reason}], size)

    for _ in range(answer.keepalives):
        yield f": keep-alive{end}{end}".encode(), 0
    yield delta({"role": "assistant", "content": ""})
    for begin in range(0, len(answer.reasoning), answer.piece):
        yield delta({"reasoning_content": answer.reasoning[begin : begin + answer.piece]})
    for begin in range(0, len(answer.text), answer.piece):
        piece = answer.text[begin : begin + answer.piece]
        yield delta({"content": piece}, size=len(piece))
    for index, (name, arguments) in enumerate(answer.tools):
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        yield delta({"tool_calls": [call]})
        for begin in range(0, len(arguments), answer.piece):
            piece = arguments[begin : begin + answer.piece]
            yield delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield delta({}, _finish(answer))
    wanted = answer.usage_always or (asked.get("stream_options") or {}).get("include_usage")
    if answer.usage is not None and wanted:
        yield frame([], usage=answer.usage)
    if answer.done:
        yield f"data: [DONE]{end}{end}".encode(), 0


def _completion(answer: Answer, model: str) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tools:
        message["tool_calls"] = [
            {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(answer.tools)
        ]
    completion = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(answer)}],
    }
    if answer.usage is not None:
        completion["usage"] = answer.usage
    return json.dumps(completion).encode()


def _finish(answer: Answer) -> str:
    return answer.finish or ("tool_calls" if answer.tools else "stop")


def _kill(http: web.Request) -> None:
    """RST instead of FIN: what a crashed server or a broken middle box looks like."""
    transport = http.transport
    if transport is not None:
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


async def _serve(port: int, mode: str, delay_s: float) -> None:
    async with Provider(replace(MODES[mode], delay_s=delay_s) if delay_s else mode, port=port) as provider:
        print(provider.base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode", choices=sorted(MODES), default="ok")
    parser.add_argument("--delay-s", type=float, default=0.0)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(given.port, given.mode, given.delay_s))
