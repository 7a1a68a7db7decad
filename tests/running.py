"""A whole Parley in the test's own process: opened as `parley up` opens it, listening on a port of its own.

`running(url, folder)` gives the address, the scope (bound, so that the test may call the rooms), and `Browser`s, which
speak to `/api` as the page does. On PostgreSQL the Redis is the one of PARLEY_TEST_REDIS_URL.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

import parley
from core.config import load
from core.kit.scope import Scope
from core.runtime import Runtime, open_runtime

ROOT_PASSWORD = "correct horse battery"
FOLLOWED_S = 90
"""The longest story told by one event stream: a turn that the sweep must end."""


@dataclass
class Running:
    """An opened process."""

    address: str
    runtime: Runtime

    @property
    def scope(self) -> Scope:
        return self.runtime.scope

    @contextlib.asynccontextmanager
    async def browser(self, name: str = "root", password: str = ROOT_PASSWORD) -> AsyncIterator[Browser]:
        """A logged-in browser."""
        async with Browser(self.address) as browser:
            status, _ = await browser.send("POST", "/api/login", {"username": name, "password": password})
            assert status == 200
            yield browser


class Browser:
    """Speaks to `/api` as the page does: cookies, the custom header, JSON."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = aiohttp.ClientSession(
            address, cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=30)
        )

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and parsed answer."""
        sent = {"X-Parley": "1", "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body)
        async with self.http.request(method, path, data=data, headers=sent) as response:
            text = await response.text()
            kind = response.headers.get("Content-Type", "")
            return response.status, json.loads(text) if "json" in kind else text

    async def get(self, path: str) -> Any:
        """The answer of a GET that must succeed."""
        status, answer = await self.send("GET", path)
        assert status == 200, answer
        return answer

    async def post(self, path: str, body: Any = None) -> Any:
        """The answer of a POST that must succeed."""
        status, answer = await self.send("POST", path, {} if body is None else body)
        assert status == 200, answer
        return answer

    async def events(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The (id, event) pairs of an event stream."""
        async with self.http.get(path, timeout=aiohttp.ClientTimeout(total=90)) as response:
            assert response.status == 200
            identity = ""
            async for line in response.content:
                text = line.decode().rstrip("\n")
                if text.startswith("id: "):
                    identity = text[4:]
                elif text.startswith("data: "):
                    yield identity, json.loads(text[6:])


@contextlib.asynccontextmanager
async def running(database_url: str, folder: Path, **environ: str) -> AsyncIterator[Running]:
    """Open everything on a migrated database, as `parley up` does, and close it in order."""
    settings: Mapping[str, str] = {
        "PARLEY_DATABASE_URL": database_url,
        "PARLEY_DATA_DIR": str(folder),
        "PARLEY_PORT": "0",
        "PARLEY_ROOT_PASSWORD": ROOT_PASSWORD,
        **({} if database_url.startswith("sqlite") else _cluster()),
        **environ,
    }
    doors = parley.doors_of("up")
    async with open_runtime(load(settings), role="up") as runtime, contextlib.AsyncExitStack() as stack:
        address = await parley.listen(runtime, doors, stack)
        await parley.open_services(runtime, doors)
        yield Running(address, runtime)
        runtime.scope.draining = True


def _cluster() -> dict[str, str]:
    return {"PARLEY_REDIS_URL": os.environ["PARLEY_TEST_REDIS_URL"], "PARLEY_SECRET_KEY": "k" * 44}
