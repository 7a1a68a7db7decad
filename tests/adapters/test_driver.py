"""The driver and the chat dialect against a real server that misbehaves in every known way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from core import adapters
from core.adapters import Fault, Target, UpstreamError
from core.adapters.driver import Exchange
from core.chat import Call, Finish, FinishReason, ReasoningDelta, Role, TextDelta, ToolCallDelta, Usage, text_message
from core.chat.assemble import Assembler
from core.chat.deltas import Delta, UsageDelta
from core.kit.http import HttpPool
from core.kit.ids import ModelName
from tests.fakes import provider
from tests.fakes.provider import Provider

CALL = Call(ModelName("public"), (text_message(Role.USER, "Hi"),))
WHOLE = replace(CALL, stream=False)


@pytest_asyncio.fixture
async def http() -> AsyncIterator[HttpPool]:
    pool = HttpPool()
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def p() -> AsyncIterator[Provider]:
    async with Provider() as running:
        yield running


def target_of(p: Provider, **more: str) -> Target:
    return Target(adapters.vendor("openai-compatible"), p.base_url, "upstream-m", more.get("secret", "sk-secret-1"))


async def collect(http: HttpPool, target: Target, call: Call = CALL) -> list[Delta]:
    exchange = await adapters.send(call, target, http=http, connect_s=2, first_s=1)
    deltas: list[Delta] = []
    try:
        async with asyncio.timeout(3):
            while (arrival := await exchange.next()) is not None:
                deltas += arrival.deltas
    finally:
        await exchange.close()
    return deltas


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


async def test_a_stream_becomes_deltas_with_usage_and_its_end(http: HttpPool, p: Provider) -> None:
    deltas = await collect(http, target_of(p))
    assert text_of(deltas) == provider.TEXT
    assert deltas[-1] == Finish(FinishReason.STOP)
    assert UsageDelta(Usage(11, 7)) in deltas
    [request] = p.requests
    assert request.body["model"] == "upstream-m"
    assert request.body["stream_options"] == {"include_usage": True}
    assert request.key == "sk-secret-1"


async def test_a_whole_answer_becomes_the_same_deltas(http: HttpPool, p: Provider) -> None:
    deltas = await collect(http, target_of(p), WHOLE)
    assert (text_of(deltas), deltas[-1]) == (provider.TEXT, Finish(FinishReason.STOP))
    assert UsageDelta(Usage(11, 7)) in deltas
    assert "stream_options" not in p.requests[0].body


async def test_tool_calls_arrive_in_pieces_by_index(http: HttpPool, p: Provider) -> None:
    p.script(provider.tools(("weather", '{"city": "Paris"}'), ("time", '{"zone": "CET"}')))
    for call in (CALL, WHOLE):
        assembler = Assembler()
        for delta in await collect(http, target_of(p), call):
            assembler.feed(delta)
        assert [(part.name, part.arguments) for part in assembler.parts()] == [  # type: ignore[union-attr]
            ("weather", '{"city": "Paris"}'),
            ("time", '{"zone": "CET"}'),
        ]
        assert assembler.finish is FinishReason.TOOL


async def test_reasoning_is_told_apart(http: HttpPool, p: Provider) -> None:
    p.script("reasoning")
    deltas = await collect(http, target_of(p))
    assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == "Let me think about it."
    assert text_of(deltas) == provider.TEXT


@pytest.mark.parametrize("mode", ["ok", "crlf", "cr", "keepalives", "no usage", "no done", "hostile usage", "whole"])
async def test_every_tolerable_stream_gives_the_text(http: HttpPool, p: Provider, mode: str) -> None:
    p.script(mode)
    deltas = await collect(http, target_of(p))
    assert (text_of(deltas), deltas[-1]) == (provider.TEXT, Finish(FinishReason.STOP))


@pytest.mark.parametrize("mode", ["no usage", "hostile usage"])
async def test_a_usage_that_cannot_be_true_is_not_reported(http: HttpPool, p: Provider, mode: str) -> None:
    p.script(mode)
    for call in (CALL, WHOLE):
        assert not any(isinstance(delta, UsageDelta) for delta in await collect(http, target_of(p), call))


@pytest.mark.parametrize(
    ("mode", "fault", "status"),
    [
        ("400", Fault.CALLER, 400),
        ("401", Fault.KEY_DEAD, 401),
        ("402", Fault.QUOTA, 402),
        ("404", Fault.MODEL_GONE, 404),
        ("429", Fault.RATE, 429),
        ("500", Fault.OVERLOADED, 500),
        ("503", Fault.OVERLOADED, 503),
        ("html 502", Fault.PROTOCOL, 502),
        ("html 200", Fault.PROTOCOL, None),
        ("reset", Fault.NETWORK, None),
        ("hang", Fault.TIMEOUT, None),
        ("error first", Fault.OVERLOADED, None),
        ("empty", Fault.PROTOCOL, None),
        ("garbage", Fault.PROTOCOL, None),
        ("garbage frames", Fault.PROTOCOL, None),
    ],
)
@pytest.mark.parametrize("call", [CALL, WHOLE], ids=["stream", "whole"])
async def test_every_failure_has_its_fault(
    http: HttpPool, p: Provider, *, mode: str, fault: Fault, status: int | None, call: Call
) -> None:
    p.script(mode)
    with pytest.raises(UpstreamError) as caught:
        await collect(http, target_of(p), call)
    assert (caught.value.fault, caught.value.status) == (fault, status)


async def test_retry_after_is_read(http: HttpPool, p: Provider) -> None:
    p.script("429")
    with pytest.raises(UpstreamError) as caught:
        await collect(http, target_of(p))
    assert caught.value.retry_after_s == 7


async def test_nobody_listening_and_no_such_host_are_network_faults(http: HttpPool, p: Provider) -> None:
    for base_url in ("http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1"):
        with pytest.raises(UpstreamError) as caught:
            await collect(http, replace(target_of(p), base_url=base_url))
        assert caught.value.fault is Fault.NETWORK


async def test_an_error_text_names_neither_host_nor_key(http: HttpPool, p: Provider) -> None:
    host = p.base_url.removeprefix("http://").removesuffix("/v1")
    message = (
        f"Bad key sk-secret-1 (Bearer sk-other-99887766) at {p.base_url}/chat, {host}, 10.0.0.7:80. Ask the admin."
    )
    p.script(provider.refuse(400, message), provider.error_first(message, "invalid_request_error"))
    for _ in range(2):
        with pytest.raises(UpstreamError) as caught:
            await collect(http, target_of(p))
        told = caught.value.message
        assert told.endswith("Ask the admin.")
        assert not any(secret in told for secret in ("sk-", "127.0.0.1", "10.0.0.7", "http", host))


async def test_a_cut_stream_gives_what_came_and_then_fails(http: HttpPool, p: Provider) -> None:
    p.script("cut")
    exchange = await adapters.send(CALL, target_of(p), http=http, connect_s=1, first_s=1)
    got = await _until_failure(exchange)
    assert provider.TEXT.startswith(got[0])
    assert len(got[0]) >= 16
    assert got[1] is Fault.NETWORK
    await exchange.close()


async def test_a_stream_that_ends_without_its_sign_is_truncated(http: HttpPool, p: Provider) -> None:
    p.script(provider.Answer(raw=(b'data: {"choices":[{"index":0,"delta":{"content":"Half"}}]}\n\n',)))
    exchange = await adapters.send(CALL, target_of(p), http=http, connect_s=1, first_s=1)
    assert await _until_failure(exchange) == ("Half", Fault.TRUNCATED)
    await exchange.close()


async def test_a_line_of_two_megabytes_is_read(http: HttpPool, p: Provider) -> None:
    text = "x" * 2_000_000
    p.script(provider.ok(text, piece=len(text)))
    assert text_of(await collect(http, target_of(p))) == text


async def test_a_line_without_end_is_given_up(http: HttpPool, p: Provider) -> None:
    p.script(provider.Answer(raw=tuple(b"data: " + b"x" * 1_000_000 for _ in range(12))))
    with pytest.raises(UpstreamError) as caught:
        await collect(http, target_of(p))
    assert caught.value.fault is Fault.PROTOCOL


async def test_stream_options_are_left_out_once_refused(http: HttpPool, p: Provider) -> None:
    p.script("no stream options")
    assert text_of(await collect(http, target_of(p))) == provider.TEXT
    assert ["stream_options" in request.body for request in p.requests] == [True, False]


async def test_stream_options_are_not_sent_where_the_vendor_refuses_them(http: HttpPool, p: Provider) -> None:
    await collect(http, replace(target_of(p), vendor=adapters.vendor("mistral")))
    assert "stream_options" not in p.requests[0].body


async def test_no_authorization_is_sent_without_a_key(http: HttpPool, p: Provider) -> None:
    await collect(http, target_of(p, secret=""))
    assert "Authorization" not in p.requests[0].headers


async def test_empty_data_is_a_sign_of_life_and_no_frame(http: HttpPool, p: Provider) -> None:
    event = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    p.script(provider.Answer(raw=(*(b"data:\n\n" for _ in range(50)), event)))
    assert text_of(await collect(http, target_of(p))) == "Hi"


async def test_closing_cuts_the_connection_at_once(http: HttpPool, p: Provider) -> None:
    p.script("drip")
    exchange = await adapters.send(CALL, target_of(p), http=http, connect_s=1, first_s=1)
    await exchange.next()
    await exchange.close()
    async with asyncio.timeout(0.5):
        await p.requests[0].left.wait()


async def test_a_finished_answer_gives_its_connection_back(http: HttpPool, p: Provider) -> None:
    ports = set()
    for _ in range(3):
        await collect(http, target_of(p))
        ports.add(p.requests[-1].port)
    assert len(ports) == 1


async def test_a_kept_connection_that_died_is_replaced_quietly(http: HttpPool, p: Provider) -> None:
    await collect(http, target_of(p))
    p.script("reset", "ok")
    assert text_of(await collect(http, target_of(p))) == provider.TEXT


async def test_a_redirect_is_not_followed(http: HttpPool, p: Provider) -> None:
    p.script(provider.Answer(status=307, headers={"Location": "http://127.0.0.1:1/"}, body=b""))
    with pytest.raises(UpstreamError) as caught:
        await collect(http, target_of(p))
    assert (caught.value.fault, caught.value.status) == (Fault.PROTOCOL, 307)


async def test_tool_call_arguments_given_as_an_object_are_read(http: HttpPool, p: Provider) -> None:
    p.script(
        provider.Answer(
            raw=(
                b'data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]},'
                b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
            )
        )
    )
    deltas = await collect(http, target_of(p))
    assert deltas == [ToolCallDelta(0, "a", "f", '{"x":1}'), Finish(FinishReason.TOOL)]


async def _until_failure(exchange: Exchange) -> tuple[str, Fault]:
    text = ""
    try:
        while (arrival := await exchange.next()) is not None:
            text += text_of(list(arrival.deltas))
    except UpstreamError as error:
        return text, error.fault
    raise AssertionError("it did not fail")
