"""kill -9 in mid-answer: the process is gone between two instructions, and the next one puts everything right.

A real `parley up` in a process of its own, a slow provider on loopback, SIGKILL, a second start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core import accounts, billing, reports
from core.config import load
from core.runtime import open_runtime
from tests.fakes.provider import Provider, ok
from tests.running import ROOT_PASSWORD, Browser

ROOT = Path(__file__).resolve().parents[2]
START_S = 60
EMBEDDED_S = 5
CLUSTER_S = 45
"""The lease, a sweep, and the unit of work that ends the turn."""

pytestmark = pytest.mark.crash


class House:
    """A Parley that can be started, killed and started again on the same data."""

    def __init__(self, database_url: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.embedded = database_url.startswith("sqlite")
        self.address = f"http://127.0.0.1:{self.port}"
        self.environ: Mapping[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
            "PARLEY_DATABASE_URL": database_url,
            "PARLEY_DATA_DIR": str(folder),
            "PARLEY_PORT": str(self.port),
            "PARLEY_ROOT_PASSWORD": ROOT_PASSWORD,
        }
        if not self.embedded:
            self.environ = {
                **self.environ,
                "PARLEY_REDIS_URL": os.environ["PARLEY_TEST_REDIS_URL"],
                "PARLEY_SECRET_KEY": "k" * 44,
            }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until it is ready to serve."""
        self._process = await self._parley("up")
        async with asyncio.timeout(START_S), aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.address}/readyz") as response:
                        if response.status == 200:
                            return
                assert self._process.returncode is None, "it ended by itself"
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        self._process = None

    async def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(START_S):
                assert await self._process.wait() == 0
            self._process = None

    async def verb(self, *arguments: str) -> None:
        done = await self._parley(*arguments)
        async with asyncio.timeout(START_S):
            assert await done.wait() == 0, arguments

    async def _parley(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "parley.py", *arguments, cwd=ROOT, env=dict(self.environ), stdout=asyncio.subprocess.DEVNULL
        )


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    made = House(database_url, tmp_path / "data")
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            if made._process is not None:
                await made.kill()


async def ask(browser: Browser, text: str, **more: Any) -> dict[str, Any]:
    turn: dict[str, Any] = (await browser.post("/api/turns", {"key": str(uuid.uuid4()), "text": text, **more}))["turn"]
    return turn


async def follow(browser: Browser, turn: str, *, until_words: bool = False) -> tuple[str, list[dict[str, Any]]]:
    """The text and the events, until the end or the first words; a stream that ends early is taken up again."""
    text, after = "", ""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(CLUSTER_S + 15):
        while not (events and events[-1]["type"] in ("finished", "failed")):
            with contextlib.suppress(TimeoutError):
                async for identity, event in browser.events(f"/api/turns/{turn}/events{after}"):
                    after = f"?after={identity}"
                    events.append(event)
                    if event["type"] == "text_added":
                        text = text[: event["offset"]] + event["text"]
                    if event["type"] == "snapshot":
                        text = "".join(part["text"] for part in event["message"]["parts"] if part["type"] == "text")
                    if until_words and len(text) >= 20:
                        return text, events
    return text, events


async def test_a_killed_process_leaves_an_interrupted_answer_once_and_the_books_agree(house: House) -> None:
    long = "word " * 400
    async with Provider() as provider:
        provider.script(ok(long, delay_s=0.2), ok("the second answer"))
        await house.start()
        await house.verb(
            *("channel", "add", "--name", "p", "--base-url", provider.base_url, "--key", "sk-test", "--model", "m"),
            *("--price-in", "1", "--price-out", "2"),
        )
        await house.verb("credit", "--account", "root", "--amount", "100", "--reason", "test")
        await asyncio.sleep(2)
        async with logged_in(house) as browser:
            first = await ask(browser, "a long story", model="m")
            seen, _ = await follow(browser, first["id"], until_words=True)
            second = await ask(browser, "and then?", conversation=first["conversation"], model="m")
            assert second["state"] == "queued"
        await house.kill()

        loop = asyncio.get_running_loop()
        await house.start()
        ready = loop.time()
        async with logged_in(house) as browser:
            text, events = await follow(browser, first["id"])
            took_s = loop.time() - ready
            assert text.startswith(seen)
            assert long.startswith(text)
            assert events[-1]["type"] == "failed"
            assert (events[-1]["code"], events[-1]["kept"]) == ("interrupted", True)
            assert {offer["verb"] for offer in events[-1]["offers"]} == {"retry", "continue"}
            assert sum(event["type"] in ("failed", "finished") for event in events) == 1
            assert took_s < (EMBEDDED_S if house.embedded else CLUSTER_S + 10)
            answer, _ = await follow(browser, second["id"])
            assert answer == "the second answer"
            shown = await browser.get(f"/api/conversations/{first['conversation']}")
            texts = ["".join(part.get("text", "") for part in message["parts"]) for message in shown["messages"]]
            assert texts == ["a long story", text, "and then?", "the second answer"]
        await house.stop()
    await books_agree(house)


@contextlib.asynccontextmanager
async def logged_in(house: House) -> AsyncIterator[Browser]:
    async with Browser(house.address) as browser:
        status, _ = await browser.send("POST", "/api/login", {"username": "root", "password": ROOT_PASSWORD})
        assert status == 200
        yield browser


async def books_agree(house: House) -> None:
    async with open_runtime(load(house.environ), role="verb"):
        assert [each for each in await reports.run() if not each.advice] == []
        root = await accounts.find("root")
        balance = await billing.balance(root.id)
        entries = await billing.entries(root.id)
        assert balance.held == 0
        assert balance.balance == sum(entry.amount for entry in entries)
        assert len([entry for entry in entries if entry.amount < 0]) == 2
