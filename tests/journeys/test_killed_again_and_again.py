"""SIGKILL at random moments under load, again and again: the rows always say what is due, and it is done once.

Spenders call `/v1` and talkers ask in conversations without a pause; in the middle everything is killed and started
again. At the end nothing runs, nothing is held, nothing was charged twice, and every answer is a beginning of what the
provider said.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core import billing, reports
from core.accounts import find
from core.kit.orm import read
from tests.fakes.provider import Provider, ok
from tests.journeys.processes import PATIENCE_S, Deployment, Process, free_port, noticed, root_at
from tests.running import Browser

pytestmark = pytest.mark.crash

ROUNDS = 5
SPENDERS, TALKERS = 3, 2
SAID = "one two three four five six seven eight nine ten eleven twelve"
EMBEDDED_S, CLUSTER_S = 5.0, 45.0
"""How long after the last start everything is settled."""


@dataclass
class Load:
    """What the callers asked for, and what they heard."""

    key: str
    calls: int = 0
    whole: int = 0
    """Streams that came to their `[DONE]`."""
    questions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Every submission by its key, as it was sent."""
    turns: dict[str, str] = field(default_factory=dict)
    """The turn of each key that was told."""

    async def spend(self, web: Process, *, once: bool = False) -> None:
        """Stream one chat completion after another until the server is gone, which raises."""
        body = {"model": "m", "stream": True, "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
        async with aiohttp.ClientSession(web.address, headers={"Authorization": f"Bearer {self.key}"}) as http:
            while True:
                self.calls += 1
                async with http.post("/v1/chat/completions", json=body) as response:
                    assert response.status == 200, await response.text()
                    self.whole += b"[DONE]" in await response.read()
                if once:
                    return

    async def talk(self, browser: Browser, *, once: bool = False) -> None:
        """Ask one question after another in one conversation until the server is gone, which raises."""
        conversation = None
        while True:
            key = str(uuid.uuid4())
            there: dict[str, str] = {"conversation": conversation} if conversation else {}
            self.questions[key] = {"key": key, "text": "go on", "model": "m", **there}
            turn = await self.submit(browser, key)
            conversation = turn["conversation"]
            async for _ in browser.events(f"/api/turns/{turn['id']}/events"):
                pass
            if once:
                return

    async def submit(self, browser: Browser, key: str) -> dict[str, Any]:
        """Send a question, perhaps again: the same key must be the same turn."""
        turn: dict[str, Any] = (await browser.post("/api/turns", self.questions[key]))["turn"]
        assert self.turns.setdefault(key, turn["id"]) == turn["id"]
        return turn


async def test_kills_at_random_moments_lose_double_and_leave_nothing(database_url: str, tmp_path: Path) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    port = {"PARLEY_PORT": str(free_port())}
    async with Provider(ok(SAID, delay_s=0.02)) as provider, Deployment(database_url, tmp_path) as house:
        web = await house.serve(**port)
        load = Load(await house.furnish(provider))
        await noticed(web, load.key)
        async with root_at(web) as browser:
            for _ in range(ROUNDS):
                callers = [load.spend(web) for _ in range(SPENDERS)] + [load.talk(browser) for _ in range(TALKERS)]
                under_load = [asyncio.create_task(caller) for caller in callers]
                await asyncio.sleep(dice.uniform(0.1, 1.3))
                if house.embedded or dice.random() < 0.5:
                    house.kill_all()
                else:
                    web.kill()
                for caller in under_load:
                    with pytest.raises(aiohttp.ClientError):
                        await asyncio.wait_for(caller, PATIENCE_S)
                await leaves_no_redis(house)
                web = await again(house, **port)
            for key in load.questions:
                await load.submit(browser, key)
            whole = load.whole
            await load.talk(browser, once=True)
            await load.spend(web, once=True)
            assert load.whole == whole + 1
        await settled(house, EMBEDDED_S if house.embedded else CLUSTER_S)
        await check(house, load, provider)
        for process in house.processes:
            if process.code is None:
                assert await process.end(within_s=10) == 0, process.lines
        await leaves_no_redis(house)


async def again(house: Deployment, **port: str) -> Process:
    """Start what was killed."""
    if not house.embedded and all(process.code is not None for process in house.processes):
        return await house.serve(**port)
    web = house.start("up" if house.embedded else "web", **port)
    await web.answers("/readyz")
    return web


async def leaves_no_redis(house: Deployment) -> None:
    async with asyncio.timeout(5):
        while house.embedded and house.redis_left():
            await asyncio.sleep(0.02)


async def settled(house: Deployment, within_s: float) -> None:
    """Until no turn is at work and no hold is open."""
    async with house.reading():
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            turns = await read("SELECT id, state FROM turn WHERE state IN ('running', 'queued')")
            holds = await read("SELECT id, reason FROM hold WHERE state = 'open'")
            if not turns and not holds:
                return
            assert loop.time() < until, (turns, holds)
            await asyncio.sleep(0.1)


async def check(house: Deployment, load: Load, provider: Provider) -> None:
    async with house.reading():
        assert [found for found in await reports.run() if not found.advice] == []
        root = (await find("root")).id
        balance, entries = await billing.balance(root), await billing.entries(root, 10_000)
        assert balance.held == 0
        assert balance.balance == sum(entry.amount for entry in entries)
        spent = {entry.key: -entry.amount for entry in entries if entry.amount < 0}
        assert len(spent) == sum(entry.amount < 0 for entry in entries), "one charge a key"
        turns = await read("SELECT id, state, cost_micro, answer_id, key FROM turn")
        assert len(turns) == len(load.questions) == len(load.turns)
        assert {key: cost for key, cost in spent.items() if key.startswith("turn:")} == {
            f"turn:{turn['id']}": turn["cost_micro"] for turn in turns if turn["cost_micro"]
        }
        charged_calls = sum(key.startswith("v1:") for key in spent)
        assert load.whole - ROUNDS * SPENDERS <= charged_calls <= load.calls
        assert len(provider.requests) <= load.calls + len(turns)
        for turn in turns:
            [row] = await read("SELECT parts FROM message WHERE id = $1", [turn["answer_id"]])
            said = "".join(part["text"] for part in json.loads(row["parts"]) if part["type"] == "text")
            assert SAID.startswith(said)
            assert (said == SAID) or turn["state"] != "done"
            assert turn["state"] in ("done", "failed")
