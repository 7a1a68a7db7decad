"""What processes write down: never a secret and never what people say, whatever goes wrong, at the chattiest level."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path

import aiohttp

from tests.fakes.provider import Answer, Provider, cut, error_first, html, ok, refuse, reset
from tests.fakes.telegram import TOKEN, FakeTelegram, Fault
from tests.journeys.processes import Deployment, noticed, root_at
from tests.running import ROOT_PASSWORD, Browser

WORDS = "the purple rabbit sleeps at noon"
ANSWER = "a green heron answers gladly"
CHANNEL_KEY = "Vx9-channel-secret-without-a-known-form"
DISCORD_TOKEN = "discord-secret-without-a-known-form"
SECRET_KEY = "a-sealing-key-of-this-deployment-0123456789"
WRONG_PASSWORD = "typed-into-the-wrong-field"


async def test_no_secret_and_no_words_reach_a_log(database_url: str, tmp_path: Path) -> None:
    environ = {
        "PARLEY_LOG_LEVEL": "debug",
        "PARLEY_SECRET_KEY": SECRET_KEY,
        "PARLEY_TELEGRAM_TOKEN": TOKEN,
        "PARLEY_DISCORD_TOKEN": DISCORD_TOKEN,
        "PARLEY_DISCORD_API_URL": "http://127.0.0.1:9",
    }
    async with FakeTelegram() as telegram, Provider(ok(ANSWER)) as provider:
        environ["PARLEY_TELEGRAM_API_URL"] = telegram.url
        async with Deployment(database_url, tmp_path, **environ) as house:
            telegram.fault("sendRichMessageDraft", Fault(500, html=True), Fault(400, description="Bad Request"))
            telegram.fault("sendRichMessage", Fault(400, description="Bad Request"))
            web = await house.serve()
            if not house.embedded:
                house.start("telegram"), house.start("discord")
            bearer = await house.furnish(provider, key=CHANNEL_KEY)
            async with Browser(web.address) as stranger:
                login = {"username": "root", "password": WRONG_PASSWORD}
                assert (await stranger.send("POST", "/api/login", login))[0] == 401
            telegram.update(message={"message_id": 1, "date": "?", "chat": {"id": 7}, "text": WORDS})
            telegram.update(message={"message_id": 2, "text": {"bold": WORDS}})
            await noticed(web, bearer)
            async with root_at(web) as browser:
                cookie = next(iter(browser.http.cookie_jar)).value
                await everything_goes_wrong(browser, bearer, provider)
                telegram.say(WORDS)
                await telegram.until(lambda: telegram.messages)
            for process in house.processes:
                await process.end()
            texts = {process.log: process.lines for process in house.processes}
            texts |= {path: path.read_text(errors="replace") for path in tmp_path.rglob("*.log")}
    assert "process.ended" in web.lines
    assert "router" in "".join(texts.values())
    secrets = [WORDS, ANSWER, bearer, cookie, CHANNEL_KEY, TOKEN, DISCORD_TOKEN, SECRET_KEY, ROOT_PASSWORD]
    for secret in [*secrets, WRONG_PASSWORD, WORDS[:12]]:
        for path, text in texts.items():
            assert secret not in text, f"{path}: {next(line for line in text.splitlines() if secret in line)[:2000]}"


async def everything_goes_wrong(browser: Browser, bearer: str, provider: Provider) -> None:
    """Ask at both doors while the provider misbehaves and quotes what it was told."""
    quoting = f"Incorrect API key {CHANNEL_KEY}; you said: {WORDS}"
    misbehaviours: list[Answer | str] = [
        ok(ANSWER),
        cut(12, text=ANSWER),
        html(),
        reset(),
        error_first(quoting),
        "garbage",
        "empty",
    ]
    misbehaviours += [refuse(status, quoting) for status in (400, 401, 404, 429, 500)]
    for answer in misbehaviours:
        provider.script(answer)
        key = str(uuid.uuid4())
        turn = (await browser.post("/api/turns", {"key": key, "text": WORDS, "model": "m"}))["turn"]
        async for _ in browser.events(f"/api/turns/{turn['id']}/events"):
            pass
        for body in (
            json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": WORDS}]}),
            json.dumps({"model": "m", "messages": [{"role": "user", "content": WORDS}]}),
        ):
            await post(browser, bearer, body)
    provider.script(ok(ANSWER))
    for body in (
        f'{{"model": "m", "messages": [{{"role": "user", "content": "{WORDS}',
        json.dumps({"model": WORDS, "messages": []}),
        json.dumps({"model": "m", "messages": WORDS}),
        json.dumps({"model": "m", "messages": [{"role": WORDS, "content": {"text": WORDS}}]}),
    ):
        await post(browser, bearer, body)
        await browser.http.post("/api/turns", data=body, headers={"X-Parley": "1", "Content-Type": "application/json"})


async def post(browser: Browser, bearer: str, body: str) -> None:
    """One call of `/v1`, read as far as it comes."""
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    with contextlib.suppress(aiohttp.ClientError):
        async with browser.http.post("/v1/chat/completions", data=body, headers=headers) as response:
            await response.read()
