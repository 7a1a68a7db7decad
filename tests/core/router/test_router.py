"""Routing against real servers that misbehave: who answers, what is told, and that nobody is asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
import pytest_asyncio

from core import catalog, channels, router, settings
from core.adapters import Fault, UpstreamError, script
from core.channels import Channel
from core.chat import (
    Call,
    Finish,
    FinishReason,
    ImagePart,
    Message,
    Options,
    Raw,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Usage,
    text_message,
)
from core.kit.errors import NotFound, Unavailable, UpstreamFailed
from core.kit.ids import ModelName, RequestId
from core.kit.scope import Scope
from core.router import Audience, RoutedStream
from core.router import router as routing
from core.router.types import Waits
from tests.fakes import provider
from tests.fakes.provider import Provider

USER = Audience(None, "default", is_admin=False)
ADMIN = Audience(None, "default", is_admin=True)
CALL = Call(ModelName("m"), (text_message(Role.USER, "Hi"),))
FREE = catalog.terms(free=True, price_in=None, price_out=None)
REQUEST = RequestId("req_1")


@pytest_asyncio.fixture
async def first() -> AsyncIterator[Provider]:
    async with Provider() as running:
        yield running


@pytest_asyncio.fixture
async def second() -> AsyncIterator[Provider]:
    async with Provider(provider.ok("From the second.")) as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Waits of fractions of a second; call it for others."""

    def set_waits(**waits: float) -> None:
        given = {"connect": 1.0, "first": 0.2, "first_last": 0.5, "idle": 0.3, "keepalive": 2.0, **waits}
        monkeypatch.setattr(routing, "_waits", lambda: Waits(**given))

    set_waits()
    return set_waits


async def add(name: str, base_url: str, **fields: Any) -> Channel:
    given = {"models": {"m": f"up-{name}"}, "keys": [f"sk-{name}-000000"], "terms": FREE, "by": "test", **fields}
    return await channels.add(name, base_url=base_url, **given)


def stream(call: Call = CALL, *, deadline_s: float = 10) -> RoutedStream:
    return router.stream(call, audience=USER, request_id=REQUEST, deadline_s=deadline_s)


async def text_of(call: Call = CALL) -> str:
    async with asyncio.timeout(5), stream(call) as routed:
        await routed.open()
        return "".join([delta.text async for delta in routed.deltas() if isinstance(delta, TextDelta)])


async def failure_of(call: Call = CALL) -> UpstreamFailed:
    async with asyncio.timeout(5), stream(call) as routed:
        with pytest.raises(UpstreamFailed) as caught:
            await routed.open()
    return caught.value


def raw(**body: Any) -> Call:
    whole = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}
    return replace(CALL, raw=Raw("openai_chat", whole), stream=bool(body.get("stream")))


async def test_an_answer_comes_with_its_usage_and_route(house: Scope, first: Provider) -> None:
    channel = await add("one", first.base_url)
    async with stream() as routed:
        await routed.open()
        deltas = [delta async for delta in routed.deltas()]
        assert deltas[-1] == Finish(FinishReason.STOP)
        assert (routed.usage, routed.finish, routed.produced) == (Usage(11, 7), FinishReason.STOP, provider.TEXT)
        assert routed.visible_text == len(provider.TEXT)
        assert (routed.route.channel, routed.route.upstream_model, routed.dialect) == (
            channel.id,
            "up-one",
            "openai_chat",
        )
        assert [attempt.fault for attempt in routed.attempts] == [None]


@pytest.mark.parametrize(
    "mode",
    [
        "401", "402", "404", "429", "500", "503", "html 502", "html 200", "reset", "hang", "hang after headers",
        "error first", "empty", "garbage", "garbage frames",
    ],
)  # fmt: skip
async def test_the_second_channel_answers_for_a_dead_first(
    house: Scope, first: Provider, second: Provider, mode: str
) -> None:
    await add("one", first.base_url, priority=1)
    await add("two", second.base_url)
    first.script(mode)
    for call in (CALL, replace(CALL, stream=False)):
        assert await text_of(call) == "From the second."
    assert (len(first.requests), len(second.requests)) == (2, 2)
    assert (first.requests[0].key, second.requests[0].key) == ("sk-one-000000", "sk-two-000000")


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("400", 400, "upstream_refused"),
        ("401", 503, "upstream_unavailable"),
        ("402", 503, "upstream_unavailable"),
        ("404", 503, "upstream_unavailable"),
        ("429", 429, "upstream_busy"),
        ("500", 503, "upstream_overloaded"),
        ("html 502", 502, "upstream_broken"),
        ("html 200", 502, "upstream_broken"),
        ("reset", 502, "upstream_broken"),
        ("empty", 502, "upstream_broken"),
        ("garbage", 502, "upstream_broken"),
        ("hang", 504, "upstream_timeout"),
        ("hang after headers", 504, "upstream_timeout"),
    ],
)
async def test_what_is_told_when_the_only_channel_fails(
    house: Scope, first: Provider, mode: str, status: int, code: str
) -> None:
    await add("one", first.base_url)
    first.script(mode)
    error = await failure_of()
    assert (error.status, error.code) == (status, code)
    assert len(first.requests) == 1


async def test_a_refused_request_is_sent_to_nobody_else(house: Scope, first: Provider, second: Provider) -> None:
    await add("one", first.base_url, priority=1)
    await add("two", second.base_url)
    first.script(provider.refuse(400, "max_tokens is too large"))
    error = await failure_of()
    assert (error.status, error.params["message"]) == (400, "max_tokens is too large")
    assert second.requests == []


async def test_another_key_of_the_channel_is_tried_when_one_is_dead(house: Scope, first: Provider) -> None:
    await add("one", first.base_url, keys=["sk-one-000001", "sk-one-000002"])
    first.script("401", "ok")
    assert await text_of() == provider.TEXT
    assert {request.key for request in first.requests} == {"sk-one-000001", "sk-one-000002"}


async def test_no_more_attempts_than_the_setting(house: Scope, first: Provider) -> None:
    await add("one", first.base_url, keys=[f"sk-one-00000{n}" for n in range(9)])
    first.script("401")
    await failure_of()
    assert len(first.requests) == 4
    assert len({request.key for request in first.requests}) == 4
    await settings.set("router.attempts", "2", by="test")
    await failure_of()
    assert len(first.requests) == 6


async def test_once_words_were_said_no_other_channel_speaks(house: Scope, first: Provider, second: Provider) -> None:
    await add("one", first.base_url, priority=1)
    await add("two", second.base_url)
    first.script("cut")
    async with stream() as routed:
        await routed.open()
        said = ""
        fault = None
        try:
            async for delta in routed.deltas():
                said += delta.text if isinstance(delta, TextDelta) else ""
        except UpstreamError as error:
            fault = error.fault
        assert fault is Fault.NETWORK
        assert provider.TEXT.startswith(said)
        assert len(said) >= 16
        assert (routed.produced, routed.finish) == (said, None)
    assert second.requests == []


async def test_silence_after_words_ends_after_the_idle_gap(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    first.script("hang in the middle")
    async with stream() as routed:
        await routed.open()
        with pytest.raises(UpstreamError) as caught:
            async for _ in routed.deltas():
                pass
        assert caught.value.fault is Fault.TIMEOUT


async def test_signs_of_life_buy_time_on_the_last_route_only(
    house: Scope, first: Provider, second: Provider, quick: Callable[..., None]
) -> None:
    quick(first=0.2, first_last=0.3, idle=0.2, keepalive=3)
    await add("one", first.base_url, priority=1)
    first.script(provider.ok(keepalives=8, delay_s=0.08))
    assert await text_of() == provider.TEXT
    await add("two", second.base_url)
    assert await text_of() == "From the second."


async def test_signs_of_life_alone_end_in_the_end(house: Scope, first: Provider, quick: Callable[..., None]) -> None:
    quick(first_last=0.1, idle=0.2, keepalive=0.5)
    await add("one", first.base_url)
    first.script(provider.ok(keepalives=100, delay_s=0.05))
    assert (await failure_of()).status == 504


async def test_the_deadline_ends_everything(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    first.script(provider.ok("x" * 400, piece=1, delay_s=0.02))
    async with asyncio.timeout(3), stream(deadline_s=0.4) as routed:
        await routed.open()
        with pytest.raises(UpstreamError) as caught:
            async for _ in routed.deltas():
                pass
        assert caught.value.fault is Fault.TIMEOUT


async def test_a_server_that_neither_signs_nor_closes_loses_nothing(
    house: Scope, first: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.router.policy.GRACE_S", 0.1)
    await add("one", first.base_url)
    event = b'data: {"choices":[{"index":0,"delta":{"content":"All."},"finish_reason":"stop"}]}\n\n'
    first.script(provider.Answer(raw=(event, b": waiting\n\n" * 3), delay_s=0.01, hang="end"))
    async with asyncio.timeout(3), stream() as routed:
        await routed.open()
        frames = [frame async for frame in routed.frames()]
        assert frames[-1] == b"data: [DONE]\n\n"
        assert (routed.produced, routed.finish) == ("All.", FinishReason.STOP)


async def test_leaving_the_block_cuts_the_upstream_at_once(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    first.script("drip")
    async with stream() as routed:
        await routed.open()
        async for _ in routed.deltas():
            break
    async with asyncio.timeout(0.5):
        await first.requests[0].left.wait()


@pytest.mark.parametrize("mode", ["hang", "hang after headers", "drip"])
async def test_a_cancelled_caller_cuts_the_upstream_at_once(house: Scope, first: Provider, mode: str) -> None:
    await add("one", first.base_url)
    first.script(mode)
    task = asyncio.create_task(text_of())
    while not first.requests:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(0.5):
        await first.requests[0].left.wait()


async def test_frames_are_relayed_under_the_public_name(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    async with stream(raw(stream=True)) as routed:
        await routed.open()
        frames = [frame async for frame in routed.frames()]
        assert routed.usage == Usage(11, 7)
        assert routed.produced == provider.TEXT
    assert frames[-1] == b"data: [DONE]\n\n"
    chunks = [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]
    assert {chunk["model"] for chunk in chunks} == {"m"}
    assert all(chunk["choices"] for chunk in chunks), "the usage chunk was not asked for"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == provider.TEXT


async def test_the_usage_chunk_is_relayed_to_who_asked_for_it(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    call = raw(stream=True, stream_options={"include_usage": True})
    async with stream(call) as routed:
        await routed.open()
        frames = [frame async for frame in routed.frames()]
    assert orjson.loads(frames[-2].removeprefix(b"data: "))["usage"]["prompt_tokens"] == 11


async def test_a_body_is_relayed_under_the_public_name(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    async with stream(raw()) as routed:
        await routed.open()
        assert routed.dialect == "openai_chat"
        body = orjson.loads(routed.body())
        assert (routed.usage, routed.finish, routed.produced) == (Usage(11, 7), FinishReason.STOP, provider.TEXT)
    assert body["model"] == "m"
    assert body["choices"][0]["message"]["content"] == provider.TEXT


async def test_unknown_fields_survive_and_nothing_else_is_touched(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    body = {
        "seed": 5,
        "logit_bias": {"50256": -100},
        "vendor_field": {"deep": [1, 2, None]},
        "stream": True,
        "stream_options": {"include_obfuscation": False},
        "max_completion_tokens": 9,
    }
    await text_of(raw(**body))
    assert first.requests[0].body == {
        "model": "up-one",
        "messages": [{"role": "user", "content": "Hi"}],
        **body,
        "stream_options": {"include_obfuscation": False, "include_usage": True},
    }


async def test_an_answer_in_the_other_form_is_had_by_deltas(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    first.script("whole")
    async with stream(raw(stream=True)) as routed:
        await routed.open()
        assert routed.dialect == "deltas"
        assert "".join([d.text async for d in routed.deltas() if isinstance(d, TextDelta)]) == provider.TEXT


async def test_a_decoded_call_is_written_in_full(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    picture = "data:image/png;base64,AAAA"
    call = Call(
        ModelName("m"),
        (
            text_message(Role.SYSTEM, "Be kind."),
            Message(Role.USER, (TextPart("What is it?"), ImagePart(picture, "low")), name="Ann_1"),
            Message(Role.ASSISTANT, (ReasoningPart("Hm."), ToolCallPart("c1", "look", '{"x":1}'))),
            Message(Role.TOOL, (ToolResultPart("c1", "A cat."),)),
            text_message(Role.USER, "Thanks!", name="Иван П."),
        ),
        Options(max_output=50, temperature=0.5, top_p=0.9, stop=("END",)),
        (Tool("look", "Looks.", {"type": "object"}),),
    )
    await text_of(call)
    assert first.requests[0].body == {
        "model": "up-one",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {
                "role": "user",
                "name": "Ann_1",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "A cat."},
            {"role": "user", "content": "Иван П.: Thanks!"},
        ],
        "max_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}},
            }
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_nobody_to_ask_is_no_route(house: Scope, first: Provider) -> None:
    await add("one", first.base_url)
    await channels.pause("one", by="test")
    async with stream() as routed:
        with pytest.raises(Unavailable, match="no_route"):
            await routed.open()
    assert router.model("m", USER).name == "m"
    assert router.models(USER) == []


async def test_models_are_shown_to_whom_they_serve(house: Scope) -> None:
    await add("free", "http://127.0.0.1:1", models={"b": "", "a": ""})
    await add("unpriced", "http://127.0.0.1:1", models={"u": ""}, terms=None)
    await add("gold", "http://127.0.0.1:1", models={"g": ""}, groups=["gold"])
    await channels.ensure_demo()
    assert [model.name for model in router.models(USER)] == ["a", "b"]
    assert [model.name for model in router.models(ADMIN)] == ["a", "b", "u"]
    for name in ("u", "g", "nobody"):
        with pytest.raises(NotFound, match="model_unknown"):
            router.model(name, USER)
    assert router.model("u", ADMIN).name == "u"
    assert router.model("g", Audience(None, "gold", is_admin=False)).name == "g"


async def test_the_default_is_the_wish_the_setting_or_the_first_that_is_no_demo(house: Scope) -> None:
    with pytest.raises(Unavailable):
        router.default_model(USER, None)
    await channels.ensure_demo()
    assert router.default_model(USER, None).name == "demo"
    await add("one", "http://127.0.0.1:1", models={"y": "", "z": ""})
    assert router.default_model(USER, None).name == "y"
    await settings.set("chat.default_model", "z", by="test")
    assert router.default_model(USER, None).name == "z"
    assert router.default_model(USER, "demo").name == "demo"
    assert router.default_model(USER, "gone").name == "z"


async def test_the_demo_answers_labelled_and_counts(house: Scope) -> None:
    await channels.ensure_demo()
    call = replace(CALL, model=ModelName("demo"), stream=False)
    async with stream(call) as routed:
        await routed.open()
        text = "".join([d.text async for d in routed.deltas() if isinstance(d, TextDelta)])
        assert routed.usage is not None
        assert routed.usage.output > 100
        assert routed.dialect != "openai_chat"
    for piece in ("demo model", "> Hi", "```python", "| Door |", "$$", "# "):
        assert piece in text


async def test_scripts_play_deltas_and_faults(house: Scope) -> None:
    await add("one", "script:dead", vendor="script", keys=[], priority=1)
    await add("two", "script:live", vendor="script", keys=[])
    with (
        script.playing("dead", UpstreamError(Fault.OVERLOADED)) as dead,
        script.playing("live", TextDelta("Hi"), TextDelta(" there"), Finish(FinishReason.STOP)) as live,
    ):
        assert await text_of() == "Hi there"
        assert (len(dead.calls), len(live.calls)) == (1, 1)
