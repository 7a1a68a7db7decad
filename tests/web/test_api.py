"""The browser's API: sessions, forgery, conversations, turns and their streams, against the whole process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from structlog.testing import capture_logs

from core import accounts, turns
from core.kit.errors import Unavailable
from tests.running import ROOT_PASSWORD, Browser, Running

DEMO_S = 30


async def ask(browser: Browser, text: str, **more: Any) -> dict[str, Any]:
    answer = await browser.post("/api/turns", {"key": str(uuid.uuid4()), "text": text, **more})
    turn: dict[str, Any] = answer["turn"]
    return turn


async def text_of(browser: Browser, turn: dict[str, Any], after: str = "") -> str:
    """Follow to the end; offsets must fit without gaps or repeats."""
    text = ""
    async with asyncio.timeout(DEMO_S):
        async for _, event in browser.events(f"/api/turns/{turn['id']}/events{after}"):
            match event["type"]:
                case "text_added":
                    assert event["offset"] == len(text)
                    text += event["text"]
                case "snapshot":
                    text = "".join(p["text"] for p in event["message"]["parts"] if p["type"] == "text")
    return text


async def test_a_question_is_answered_and_kept(site: Running) -> None:
    async with site.browser() as browser:
        turn = await ask(browser, "Hello there")
        text = await text_of(browser, turn)
        assert "```" in text
        shown = await browser.get(f"/api/conversations/{turn['conversation']}")
        question, answer = shown["messages"]
        assert question["parts"] == [{"type": "text", "text": "Hello there"}]
        assert answer["parts"] == [{"type": "text", "text": text}]
        assert answer["state"] == "done"
        assert shown["conversation"]["title"] == "Hello there"
        assert shown["ended"][turn["id"]]["state"] == "done"
        listed = await browser.get("/api/conversations")
        assert [item["id"] for item in listed["items"]] == [turn["conversation"]]


async def test_a_stream_resumes_from_any_event_without_loss_or_repeat(site: Running) -> None:
    async with site.browser() as browser:
        turn = await ask(browser, "Resume me")
        pieces, cursor = "", ""
        async for identity, event in browser.events(f"/api/turns/{turn['id']}/events"):
            if event["type"] == "text_added":
                pieces += event["text"]
                cursor = identity
                if len(pieces) > 100:
                    break
        async with asyncio.timeout(DEMO_S):
            async for _, event in browser.events(f"/api/turns/{turn['id']}/events?after={cursor}"):
                if event["type"] == "text_added":
                    assert event["offset"] == len(pieces)
                    pieces += event["text"]
        shown = await browser.get(f"/api/conversations/{turn['conversation']}")
        assert shown["messages"][-1]["parts"] == [{"type": "text", "text": pieces}]


async def test_stop_keeps_what_came(site: Running) -> None:
    async with site.browser() as browser:
        turn = await ask(browser, "Stop me")
        async for _, event in browser.events(f"/api/turns/{turn['id']}/events"):
            if event["type"] == "text_added":
                await browser.post(f"/api/turns/{turn['id']}/stop")
            if event["type"] == "finished":
                assert event["reason"] == "stopped"
        shown = await browser.get(f"/api/conversations/{turn['conversation']}")
        assert shown["messages"][-1]["state"] == "partial"
        assert shown["messages"][-1]["parts"][0]["text"]


async def test_retry_and_edit_make_branches(site: Running) -> None:
    async with site.browser() as browser:
        first = await ask(browser, "One")
        await text_of(browser, first)
        again = (await browser.post(f"/api/turns/{first['id']}/retry", {"key": "again"}))["turn"]
        await text_of(browser, again)
        edited = (await browser.post(f"/api/messages/{first['user_message']}/edit", {"key": "edit", "text": "Two"}))[
            "turn"
        ]
        await text_of(browser, edited)
        shown = await browser.get(f"/api/conversations/{first['conversation']}")
        parents = {m["id"]: m["parent"] for m in shown["messages"]}
        assert parents[first["answer"]] == parents[again["answer"]] == first["user_message"]
        assert parents[edited["user_message"]] == parents[first["user_message"]]
        assert shown["conversation"]["head"] == edited["answer"]
        status, _ = await browser.send(
            "PATCH", f"/api/conversations/{first['conversation']}", {"head": first["answer"], "title": "Branches"}
        )
        assert status == 200
        shown = await browser.get(f"/api/conversations/{first['conversation']}")
        assert shown["conversation"]["head"] == first["answer"]
        assert shown["conversation"]["title"] == "Branches"


async def test_the_same_key_is_one_turn(site: Running) -> None:
    async with site.browser() as browser:
        body = {"key": "same", "text": "Once"}
        turns = await asyncio.gather(*(browser.post("/api/turns", body) for _ in range(5)))
        assert len({answer["turn"]["id"] for answer in turns}) == 1
        assert len((await browser.get("/api/conversations"))["items"]) == 1


async def test_a_second_question_waits_and_says_so(site: Running) -> None:
    async with site.browser() as browser:
        first = await ask(browser, "First")
        second = await ask(browser, "Second", conversation=first["conversation"])
        assert (second["state"], second["position"]) == ("queued", 1)
        shown = await browser.get(f"/api/conversations/{first['conversation']}")
        assert [turn["state"] for turn in shown["turns"]] == ["running", "queued"]
        assert shown["turns"][1]["text"] == "Second"
        await browser.post(f"/api/turns/{first['id']}/stop")
        assert "```" in await text_of(browser, second)


async def test_deleting_stops_its_turns_and_hides_it(site: Running) -> None:
    async with site.browser() as browser:
        turn = await ask(browser, "Delete me")
        status, _ = await browser.send("DELETE", f"/api/conversations/{turn['conversation']}", {})
        assert status == 200
        assert (await browser.get("/api/conversations"))["items"] == []
        assert (await browser.send("GET", f"/api/conversations/{turn['conversation']}"))[0] == 404


async def test_another_browser_of_the_account_hears_of_a_turn(site: Running) -> None:
    async with site.browser() as one, site.browser() as other:
        heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def listen() -> None:
            async for _, event in other.events("/api/events"):
                if event["type"] == "turn_started":
                    heard.set_result(event["turn"])
                    return

        listening = asyncio.ensure_future(listen())
        await asyncio.sleep(0.2)
        turn = await ask(one, "Do you hear me")
        async with asyncio.timeout(5):
            assert await heard == turn["id"]
        await listening


async def test_strangers_see_nothing(site: Running) -> None:
    await accounts.create("mallory", "password of mallory")
    async with site.browser() as browser, site.browser("mallory", "password of mallory") as stranger:
        turn = await ask(browser, "Private")
        for method, path, body in (
            ("GET", f"/api/conversations/{turn['conversation']}", None),
            ("DELETE", f"/api/conversations/{turn['conversation']}", {}),
            ("PATCH", f"/api/conversations/{turn['conversation']}", {"title": "Mine"}),
            ("GET", f"/api/turns/{turn['id']}/events", None),
            ("POST", f"/api/turns/{turn['id']}/stop", {}),
            ("POST", f"/api/turns/{turn['id']}/retry", {"key": "x"}),
            ("POST", f"/api/messages/{turn['user_message']}/edit", {"key": "x", "text": "y"}),
            ("POST", "/api/turns", {"key": "x", "text": "y", "conversation": turn["conversation"]}),
        ):
            status, answer = await stranger.send(method, path, body)
            assert status == 404, (method, path, answer)


async def test_a_wrong_password_and_an_unknown_name_get_one_answer(site: Running) -> None:
    async with Browser(site.address) as browser:
        wrong = await browser.send("POST", "/api/login", {"username": "root", "password": "wrong password"})
        unknown = await browser.send("POST", "/api/login", {"username": "nobody", "password": "wrong password"})
        assert wrong == unknown
        assert wrong[0] == 401


async def test_guessing_a_password_is_throttled(site: Running) -> None:
    async with Browser(site.address) as browser:
        body = {"username": "root", "password": "wrong password"}
        statuses = [(await browser.send("POST", "/api/login", body))[0] for _ in range(11)]
        assert statuses == [401] * 10 + [429]
        right = {"username": "root", "password": ROOT_PASSWORD}
        assert (await browser.send("POST", "/api/login", right))[0] == 429


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Parley": ""},
        {"Content-Type": "text/plain"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_forged_requests_are_refused(site: Running, headers: dict[str, str]) -> None:
    async with site.browser() as browser:
        status, answer = await browser.send("POST", "/api/turns", {"key": "k", "text": "t"}, **headers)
        assert (status, answer["error"]["code"]) == (403, "forged_request")
        assert (await browser.get("/api/conversations"))["items"] == []


async def test_logging_out_ends_the_session(site: Running) -> None:
    async with site.browser() as browser:
        assert (await browser.get("/api/me"))["account"]["name"] == "root"
        await browser.post("/api/logout")
        assert (await browser.send("GET", "/api/me"))[0] == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("not json", 400, "body_not_json"),
        ("[]", 400, "body_not_object"),
        ('{"key": "k"}', 400, "field_invalid"),
        ('{"key": "k", "text": "  "}', 400, "message_empty"),
        ('{"key": "k", "text": 7}', 400, "field_invalid"),
        ('{"key": "k", "text": "t", "conversation": "conv_x"}', 404, "conversation_unknown"),
        ('{"key": "k", "text": "t", "model": "no-such-model"}', 404, "model_unknown"),
        ('{"key": "k", "text": "' + "x" * 2_100_000 + '"}', 413, "body_too_large"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_bad_bodies_get_a_clear_error(site: Running, body: str, status: int, code: str) -> None:
    async with site.browser() as browser:
        headers = {"X-Parley": "1", "Content-Type": "application/json"}
        async with browser.http.post("/api/turns", data=io.BytesIO(body.encode()), headers=headers) as response:
            answer = await response.json()
        assert (response.status, answer["error"]["code"]) == (status, code)
        assert answer["error"]["message"]


async def test_a_body_that_is_not_compressed_as_it_says_is_the_callers_fault(site: Running) -> None:
    async with site.browser() as browser:
        sent = {"X-Parley": "1", "Content-Type": "application/json", "Content-Encoding": "gzip"}
        async with browser.http.post("/api/turns", data=b"{}", headers=sent) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (400, "body_not_json")


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nX-Parley: 1\r\nContent-Type: application/json\r\n"
        b'Content-Length: 99\r\n\r\n{"key"',
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: parley_session=secret" + b"x" * 9000 + b"\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
    ids=["leaves in mid-body", "header too long", "no HTTP"],
)
async def test_a_broken_request_is_nothing_to_complain_about_in_the_log(
    site: Running, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    address = urlsplit(site.address)
    with capture_logs() as ours:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(sent)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(100), 0.2)
        writer.close()
        async with site.browser() as browser:
            await browser.get("/api/me")
    assert [line for line in ours if line["log_level"] in ("warning", "error")] == []
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_stream_that_breaks_is_cut_and_not_answered_a_second_time(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = turns.follow

    async def breaking(*args: Any, **named: Any) -> AsyncIterator[Any]:
        async for event in follow(*args, **named):
            yield event
            raise Unavailable("database_unavailable")

    monkeypatch.setattr(turns, "follow", breaking)
    async with site.browser() as browser:
        turn = await ask(browser, "Hello there")
        async with asyncio.timeout(5), browser.http.get(f"/api/turns/{turn['id']}/events") as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_the_page_and_every_error_carry_the_policy(site: Running) -> None:
    async with Browser(site.address) as browser:
        for path in ("/api/me", "/api/nothing", "/healthz", "/assets/none.js"):
            async with browser.http.get(path) as response:
                assert "script-src 'self'" in response.headers["Content-Security-Policy"], path
                assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_health_and_readiness(site: Running) -> None:
    async with Browser(site.address) as browser:
        assert await browser.get("/healthz") == {"status": "alive"}
        assert await browser.get("/readyz") == {"status": "ready"}
        site.scope.draining = True
        status, answer = await browser.send("GET", "/readyz")
        assert (status, answer["reason"]) == (503, "the process is stopping")
