"""`/v1` as programs use it: the official SDK, every refusal with its status, and what each leaves in the books."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from core import accounts, billing, catalog, channels, reports, settings
from core.kit.errors import Unavailable
from core.kit.money import parse_credits
from core.kit.orm import Work, unit_of_work
from tests.fakes.provider import Answer, Provider, cut, error_first, hang, html, ok, refuse, reset, tools
from tests.running import Running

MODEL = "gpt-test"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest_asyncio.fixture
async def provider(site: Running) -> AsyncIterator[Provider]:
    """One channel of one model, sold at 1 and 2 a million tokens, behind a scripted provider."""
    async with Provider() as opened:
        await channels.add(
            "one",
            models={MODEL: "upstream-name"},
            base_url=opened.base_url,
            keys=["sk-upstream-secret"],
            terms=catalog.terms(free=False, price_in="1", price_out="2"),
            by="test",
        )
        await reload()
        yield opened


async def reload() -> None:
    await catalog.load()
    await channels.load()
    await settings.load()


async def give(account: str, amount: str) -> None:
    async def body(work: Work) -> None:
        await billing.credit(
            work,
            accounts_id(account),
            parse_credits(amount),
            key=f"give:{account}",
            reason=billing.Reason.GRANT,
            memo={},
        )

    await unit_of_work(body)


def accounts_id(text: str) -> Any:
    return text


@contextlib.asynccontextmanager
async def client(site: Running, credits: str = "100", **more: Any) -> AsyncIterator[tuple[AsyncOpenAI, Any]]:
    """The official SDK on a fresh account with these credits; and the account's id."""
    name = f"user{id(more) % 100_000}"
    account, _ = await accounts.create(name, "a password for them")
    if credits != "0":
        await give(account.id, credits)
    _, secret = await accounts.create_key(account.id, "test")
    async with AsyncOpenAI(base_url=f"{site.address}/v1", api_key=secret, max_retries=0, **more) as sdk:
        yield sdk, account.id


async def books_agree(account: Any, *, held: int = 0) -> billing.Balance:
    """Nothing stays held and every invariant holds, once settlements at work are through."""
    async with asyncio.timeout(10):
        while (balance := await billing.balance(account)).held != held:
            await asyncio.sleep(0.02)
    assert [violation for violation in await reports.run() if not violation.advice] == []
    return balance


def ask(text: str = "Hi") -> Any:
    return [{"role": "user", "content": text}]


async def test_a_whole_answer_is_relayed_and_paid(site: Running, provider: Provider) -> None:
    async with client(site) as (sdk, account):
        answer = await sdk.chat.completions.create(model=MODEL, messages=ask(), extra_body={"made_up": {"kept": 1}})
        assert answer.choices[0].message.content == ok().text
        assert answer.model == MODEL
        sent = provider.requests[0].body
        assert sent["model"] == "upstream-name"
        assert sent["made_up"] == {"kept": 1}
        assert provider.requests[0].key == "sk-upstream-secret"
        balance = await books_agree(account)
        # 11 tokens at 1 and 7 at 2 a million, ten credits a unit: 11×10 + 7×20 = 250 micro-credits.
        assert balance.balance == 100_000_000 - 250


async def test_a_stream_is_relayed_frame_by_frame(site: Running, provider: Provider) -> None:
    async with client(site) as (sdk, account):
        text, usage = "", None
        stream = await sdk.chat.completions.create(
            model=MODEL, messages=ask(), stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            assert chunk.model == MODEL
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            usage = chunk.usage or usage
        assert text == ok().text
        assert usage is not None
        assert usage.completion_tokens == 7
        assert (await books_agree(account)).balance == 100_000_000 - 250


async def test_usage_is_asked_for_and_hidden_from_who_did_not_ask(site: Running, provider: Provider) -> None:
    async with client(site) as (sdk, account):
        stream = await sdk.chat.completions.create(model=MODEL, messages=ask(), stream=True)
        chunks = [chunk async for chunk in stream]
        assert all(chunk.choices and chunk.usage is None for chunk in chunks)
        assert provider.requests[0].body["stream_options"] == {"include_usage": True}
        assert (await books_agree(account)).balance == 100_000_000 - 250


async def test_usage_is_counted_here_when_the_upstream_tells_none(site: Running, provider: Provider) -> None:
    provider.script(ok(usage=None))
    async with client(site) as (sdk, account):
        stream = await sdk.chat.completions.create(
            model=MODEL, messages=ask(), stream=True, stream_options={"include_usage": True}
        )
        usage = [chunk.usage async for chunk in stream][-1]
        assert usage is not None
        assert usage.completion_tokens > 0
        spent = 100_000_000 - (await books_agree(account)).balance
        assert spent == usage.prompt_tokens * 10 + usage.completion_tokens * 20
        whole = await sdk.chat.completions.create(model=MODEL, messages=ask())
        assert whole.usage == usage


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_make_the_round_trip(site: Running, provider: Provider, stream: bool) -> None:
    provider.script(tools(("weather", '{"city":"Ulm"}')))
    async with client(site) as (sdk, _):
        if stream:
            async with sdk.chat.completions.stream(model=MODEL, messages=ask(), tools=[TOOL]) as events:  # type: ignore[list-item]
                message = (await events.get_final_completion()).choices[0].message
        else:
            answer = await sdk.chat.completions.create(model=MODEL, messages=ask(), tools=[TOOL])  # type: ignore[list-item]
            message = answer.choices[0].message  # type: ignore[assignment]
        assert message.tool_calls
        call = message.tool_calls[0]
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Ulm"})  # type: ignore[union-attr]
        assert provider.requests[0].body["tools"] == [TOOL]
        provider.script(ok("Sunny."))
        history = [
            *ask(),
            {"role": "assistant", "content": None, "tool_calls": [call.model_dump(exclude={"index"})]},
            {"role": "tool", "tool_call_id": call.id, "content": "sun"},
        ]
        again = await sdk.chat.completions.create(model=MODEL, messages=history, tools=[TOOL])  # type: ignore[list-item]
        assert again.choices[0].message.content == "Sunny."
        assert provider.requests[1].body["messages"][2]["tool_call_id"] == call.id


async def test_pictures_reach_the_upstream(site: Running, provider: Provider) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
    async with client(site) as (sdk, _):
        messages: Any = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]
        await sdk.chat.completions.create(model=MODEL, messages=messages)
        assert provider.requests[0].body["messages"][0]["content"][1] == part


async def test_the_demo_speaks_the_same_dialect(site: Running) -> None:
    async with client(site, "0") as (sdk, account):
        assert [model.id async for model in sdk.models.list()] == ["demo"]
        text = ""
        stream = await sdk.chat.completions.create(
            model="demo", messages=ask(), stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        assert "```" in text
        assert (await books_agree(account)).balance == 0


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refuse(401), 503),
        (refuse(500), 503),
        (html(502), 502),
        (html(200), 502),
        (reset(), 502),
        (error_first(), 503),
        (Answer(body=b""), 502),
    ],
    ids=["dead key", "500", "html 502", "html 200", "reset", "error first", "empty 200"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_upstream_faults_have_their_status(
    site: Running, provider: Provider, answer: Answer, status: int, stream: bool
) -> None:
    provider.script(answer)
    async with client(site) as (sdk, account):
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.chat.completions.create(model=MODEL, messages=ask(), stream=stream)
        assert caught.value.status_code == status
        assert "127.0.0.1" not in caught.value.message
        assert "sk-upstream" not in caught.value.message
        assert (await books_agree(account)).balance == 100_000_000


async def test_a_silent_upstream_is_504_in_time(site: Running, provider: Provider) -> None:
    await settings.set("router.first_last_s", "1", by="test")
    await reload()
    provider.script(hang())
    async with client(site) as (sdk, account):
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.chat.completions.create(model=MODEL, messages=ask())
        assert caught.value.status_code == 504
        assert (await books_agree(account)).balance == 100_000_000


async def test_an_upstream_that_nobody_hears_is_503(site: Running, provider: Provider) -> None:
    await channels.edit("one", base_url="http://no-such-host.invalid/v1", by="test")
    await reload()
    async with client(site) as (sdk, account):
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.chat.completions.create(model=MODEL, messages=ask())
        assert caught.value.status_code in {502, 503}
        assert (await books_agree(account)).balance == 100_000_000


async def test_a_stream_cut_after_words_ends_with_an_error_and_no_sentinel(site: Running, provider: Provider) -> None:
    provider.script(cut(after=3))
    async with client(site) as (sdk, account):
        stream = await sdk.chat.completions.create(model=MODEL, messages=ask(), stream=True)
        text: list[str] = []

        async def read() -> None:
            async for chunk in stream:
                text.append(chunk.choices[0].delta.content or "")

        with pytest.raises(openai.APIError, match="cut off"):
            await read()
        assert "".join(text)
        assert len(provider.requests) == 1
        balance = await books_agree(account)
        assert balance.balance < 100_000_000


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_whose_settlement_fails_arrives_whole_and_is_charged_once_later(
    site: Running, provider: Provider, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    capture, failures = billing.capture, [Unavailable("database_unavailable"), OSError("away")]

    async def failing(*args: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return await capture(*args, **named)

    monkeypatch.setattr(billing, "capture", failing)
    async with client(site) as (sdk, account):
        body = {"model": MODEL, "messages": ask(), "stream": streamed}
        async with (
            aiohttp.ClientSession(site.address, headers={"Authorization": f"Bearer {sdk.api_key}"}) as http,
            http.post("/v1/chat/completions", json=body) as response,
        ):
            told = await response.text()
            assert response.status == 200
        assert told.endswith("data: [DONE]\n\n") if streamed else json.loads(told)["choices"]
        async with asyncio.timeout(5):
            while (await billing.balance(account)).held:
                await asyncio.sleep(0.05)
        assert failures == []
        assert (await books_agree(account)).balance < 100_000_000


async def test_a_dead_first_channel_hands_over_to_the_next(site: Running, provider: Provider) -> None:
    async with Provider(refuse(500)) as broken:
        await channels.add("first", models={MODEL: MODEL}, base_url=broken.base_url, priority=9, by="test")
        await reload()
        async with client(site) as (sdk, _):
            answer = await sdk.chat.completions.create(model=MODEL, messages=ask())
            assert answer.choices[0].message.content == ok().text
            assert len(broken.requests) >= 1


async def test_keys_unknown_revoked_and_missing_are_401(site: Running, provider: Provider) -> None:
    async with client(site) as (sdk, account):
        (key,) = await accounts.keys(account)
        await accounts.revoke_key(key.id, account)
        for secret in (sdk.api_key, "sk-parley-unknown"):
            with pytest.raises(openai.AuthenticationError):
                await sdk.with_options(api_key=secret).models.list()
        async with aiohttp.ClientSession() as http, http.get(f"{site.address}/v1/models") as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "invalid_api_key"


async def test_unknown_and_unpriced_models_are_404(site: Running, provider: Provider) -> None:
    await channels.add("two", models={"unpriced": "x"}, base_url=provider.base_url, by="test")
    await reload()
    async with client(site) as (sdk, _):
        for model in ("no-such-model", "unpriced"):
            with pytest.raises(openai.NotFoundError) as caught:
                await sdk.chat.completions.create(model=model, messages=ask())
            assert caught.value.code == "model_not_found"
    root = await accounts.find("root")
    _, secret = await accounts.create_key(root.id, "root")
    async with AsyncOpenAI(base_url=f"{site.address}/v1", api_key=secret, max_retries=0) as sdk:
        assert (await sdk.chat.completions.create(model="unpriced", messages=ask())).choices


async def test_no_credits_is_402_and_the_sdk_does_not_retry(site: Running, provider: Provider) -> None:
    async with client(site, "0") as (sdk, account):
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.with_options(max_retries=3).chat.completions.create(model=MODEL, messages=ask())
        assert caught.value.status_code == 402
        assert caught.value.code == "insufficient_quota"
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert provider.requests == []
        await books_agree(account)


async def test_an_idempotency_key_is_charged_once(site: Running, provider: Provider) -> None:
    async with client(site) as (sdk, account):
        headers = {"Idempotency-Key": "only-once"}
        await sdk.chat.completions.create(model=MODEL, messages=ask(), extra_headers=headers)
        with pytest.raises(openai.ConflictError) as caught:
            await sdk.chat.completions.create(model=MODEL, messages=ask(), extra_headers=headers)
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert len(provider.requests) == 1
        assert (await books_agree(account)).balance == 100_000_000 - 250


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_upstream(site: Running, provider: Provider, stream: bool) -> None:
    provider.script(ok("word " * 2000, delay_s=0.01) if stream else hang("after"))
    async with client(site) as (sdk, account):
        request = asyncio.ensure_future(
            sdk.chat.completions.create(model=MODEL, messages=ask(), stream=stream)  # type: ignore[call-overload]
        )
        async with asyncio.timeout(5):
            while not provider.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            if stream:
                await (await request).close()
            else:
                request.cancel()
            await provider.requests[0].left.wait()
        balance = await books_agree(account)
        assert (balance.balance < 100_000_000) == stream


async def test_fifty_parallel_spenders_of_a_balance_for_ten(site: Running, provider: Provider) -> None:
    # A call holds its output cap: 4096 tokens at 20 micro-credits, and a few for the question.
    provider.script(ok(usage={"prompt_tokens": 8, "completion_tokens": 4096, "total_tokens": 4104}, delay_s=0.01))
    async with client(site, "0.82") as (sdk, account):
        calls = (sdk.chat.completions.create(model=MODEL, messages=ask()) for _ in range(50))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = [o for o in outcomes if isinstance(o, openai.APIStatusError)]
        assert {error.status_code for error in refused} == {402}
        done = len(outcomes) - len(refused)
        assert 1 <= done <= 10
        assert len(provider.requests) == done
        balance = await books_agree(account)
        assert balance.balance >= 0
        entries = await billing.entries(account, 100)
        assert balance.balance == sum(entry.amount for entry in entries)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"not json", 400, None),
        (b"[]", 400, None),
        (b'{"model": 7, "messages": []}', 400, "model"),
        (b'{"model": "gpt-test"}', 400, "messages"),
        (b'{"model": "gpt-test", "messages": []}', 400, "messages"),
        (b'{"model": "gpt-test", "messages": [{"role": "cat", "content": "x"}]}', 400, "messages[0].role"),
        (b'{"model": "gpt-test", "messages": [{"role": "user"}]}', 400, "messages[0].content"),
        (b'{"model": "gpt-test", "messages": [{"role": "user", "content": 7}]}', 400, "messages[0].content"),
        (b'{"model": "gpt-test", "messages": [{"role": "user", "content": "x"}], "stream": 1}', 400, "stream"),
        (b'{"model": "gpt-test", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}', 400, "max_tokens"),
        (
            b'{"model": "gpt-test", "messages": [{"role": "user", "content": "x"}], "temperature": 9}',
            400,
            "temperature",
        ),
        (b'{"x": "' + b"x" * 34_700_000 + b'"}', 413, None),
    ],
    ids=range(12),
)
async def test_malformed_requests_name_the_field(
    site: Running, provider: Provider, body: bytes, status: int, param: str | None
) -> None:
    async with client(site) as (sdk, account), aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {sdk.api_key}", "Content-Type": "application/json"}
        url = f"{site.address}/v1/chat/completions"
        async with http.post(url, data=io.BytesIO(body), headers=headers) as response:
            answer = await response.json()
        assert (response.status, answer["error"]["param"]) == (status, param)
        assert response.headers["X-Request-Id"].startswith("req_")
        assert provider.requests == []
        await books_agree(account)


async def test_unknown_routes_answer_in_the_dialect(site: Running) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{site.address}/v1/nothing") as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "route_unknown"
