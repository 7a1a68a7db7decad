"""Several processes on one PostgreSQL and one Redis: what one does, the others know at once."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.databases import ADDRESS
from tests.fakes.provider import Provider, ok
from tests.journeys.processes import Deployment, Process, noticed, root_at

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(not ADDRESS, reason="embedded is one process: PARLEY_TEST_DATABASE_URL must name a PostgreSQL"),
]

NOTICED_S = 2.0
STOPPED_S = 1.0
SAID = "word " * 200


async def test_before_migrate_every_door_is_closed_with_the_reason_and_then_it_opens(
    empty_database_url: str, tmp_path: Path
) -> None:
    async with Deployment(empty_database_url, tmp_path) as house:
        web, worker = house.start("web"), house.start("worker")
        assert "run `parley migrate`" in await web.answers("/readyz", 503)
        await web.answers("/healthz", 200)
        for path in ("/", "/api/me", "/v1/models", "/v1/chat/completions", "/nothing"):
            told = await web.answers(path, 503)
            assert not path.startswith("/v1/") or json.loads(told)["error"]["code"] == "not_ready"
        refused = await house.run("account", "list", "--json")
        assert refused.returncode == 1
        assert "parley migrate" in json.loads(refused.stdout)["error"]["message"]
        migrated = await house.run("migrate")
        assert (migrated.returncode, migrated.stdout.splitlines()[-1]) == (0, "The database is up to date.")
        await web.answers("/readyz", 200, within_s=10)
        await web.answers("/v1/models", 401)
        await worker.says("process.ready", within_s=10)
        assert [await web.end(), await worker.end()] == [0, 0]


async def test_what_a_verb_changes_is_noticed_by_every_web_process_within_two_seconds(
    pair: tuple[Deployment, Process, Process],
) -> None:
    house, *webs = pair

    async def everywhere(check: Callable[[Process], Awaitable[bool]]) -> None:
        began = time.monotonic()
        for web in webs:
            while not await check(web):
                assert time.monotonic() - began < NOTICED_S, web.lines
                await asyncio.sleep(0.05)

    async with Provider() as provider:
        key = await house.verb("key", "create", "--account", "root")
        words = ("--name", "p", "--base-url", provider.base_url, "--key", "sk-1", "--model", "m=far", "--free")

        async def serves(web: Process) -> bool:
            return await ask(web, key["key"]) == 200

        async def refuses(web: Process) -> bool:
            return await ask(web, key["key"]) == 401

        assert [await ask(web, key["key"]) for web in webs] == [404, 404]
        added = await house.verb("channel", "add", *words)
        assert (added["name"], added["models"]) == ("p", ["m"])
        await everywhere(serves)
        assert {request.body["model"] for request in provider.requests} == {"far"}
        await house.verb("key", "revoke", key["id"])
        await everywhere(refuses)


async def test_a_turn_is_followed_and_stopped_from_another_process_within_a_second(
    pair: tuple[Deployment, Process, Process],
) -> None:
    house, here, there = pair
    async with Provider(ok(SAID, delay_s=0.1)) as provider:
        await noticed(here, await house.furnish(provider))
        async with root_at(here) as asking, root_at(there) as watching:
            turn = (await asking.post("/api/turns", {"key": str(uuid.uuid4()), "text": "go", "model": "m"}))["turn"]
            text, stopped_at, events = "", 0.0, []
            async with asyncio.timeout(20):
                async for _, event in watching.events(f"/api/turns/{turn['id']}/events"):
                    events.append(event)
                    if event["type"] == "text_added":
                        text = text[: event["offset"]] + event["text"]
                    if len(text) > 30 and not stopped_at:
                        stopped_at = time.monotonic()
                        await watching.post(f"/api/turns/{turn['id']}/stop")
            assert time.monotonic() - stopped_at < STOPPED_S
            assert (events[-1]["type"], events[-1]["reason"]) == ("finished", "stopped")
            assert SAID.startswith(text)
            for browser in (asking, watching):
                shown = await browser.get(f"/api/conversations/{turn['conversation']}")
                assert shown["turns"] == []
                assert "".join(part["text"] for part in shown["messages"][-1]["parts"]) == text
            await asyncio.wait_for(provider.requests[0].left.wait(), 5)


async def test_a_turn_whose_process_is_killed_is_ended_by_the_worker_and_told_to_whoever_follows(
    pair: tuple[Deployment, Process, Process],
) -> None:
    house, here, there = pair
    house.start("worker")
    async with Provider(ok(SAID, delay_s=0.1)) as provider:
        await noticed(here, await house.furnish(provider))
        async with root_at(here) as asking, root_at(there) as watching:
            turn = (await asking.post("/api/turns", {"key": str(uuid.uuid4()), "text": "go", "model": "m"}))["turn"]
            text, killed_at, events = "", 0.0, []
            async for _, event in watching.events(f"/api/turns/{turn['id']}/events"):
                events.append(event)
                if event["type"] == "text_added":
                    text = text[: event["offset"]] + event["text"]
                if len(text) > 30 and not killed_at:
                    killed_at = time.monotonic()
                    here.kill()
            assert time.monotonic() - killed_at < 45
            assert (events[-1]["type"], events[-1]["code"], events[-1]["kept"]) == ("failed", "interrupted", True)
            shown = await watching.get(f"/api/conversations/{turn['conversation']}")
            assert "".join(part["text"] for part in shown["messages"][-1]["parts"]) == text


@pytest.fixture
async def pair(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Deployment, Process, Process]]:
    """Two web processes, ready."""
    async with Deployment(database_url, tmp_path) as house:
        webs = house.start("web"), house.start("web")
        for web in webs:
            await web.answers("/readyz")
        yield house, *webs


async def ask(web: Process, key: str) -> int:
    """The status of a chat completion."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {key}"}
        async with http.post(f"{web.address}/v1/chat/completions", json=body, headers=headers) as response:
            return response.status
