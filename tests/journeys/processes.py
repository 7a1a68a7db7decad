"""A Parley of real processes: started with an environment of its own, killed or ended, its lines read.

    async with Deployment(database_url, tmp_path) as house:
        web = house.start("web")
        await house.ready(web)
        key = await house.furnish(provider)        # a priced channel, credits and a key
        web.kill()                                 # SIGKILL, between two instructions

Everything is in folders and on ports of the test's own, waits are bounded, and leaving the block kills what still runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp

from core import accounts, billing, catalog, channels, settings
from core.config import load
from core.kit.embedded_redis import socket_path
from core.kit.money import MICRO
from core.kit.orm import Work, unit_of_work
from core.runtime import open_runtime
from tests.fakes.provider import Provider
from tests.running import ROOT_PASSWORD, Browser

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
POLL_S = 0.03


class Process:
    """One running role; its lines go to a file."""

    def __init__(self, role: str, number: int, folder: Path, environ: Mapping[str, str]) -> None:
        self.role = role
        self.port = int(environ["PARLEY_PORT"])
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{number}-{role}.log"
        self.began = time.monotonic()
        with self.log.open("wb") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "parley.py", role],
                cwd=ROOT,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """The exit code, once it has ended."""
        return self._popen.poll()

    @property
    def lines(self) -> str:
        """Everything it has written."""
        return self.log.read_text(errors="replace")

    async def says(self, text: str, *, within_s: float = PATIENCE_S) -> None:
        """Wait until it has written this."""
        until = time.monotonic() + within_s
        while text not in self.lines:
            assert self.code is None, f"{self.role} ended:\n{self.lines}"
            assert time.monotonic() < until, f"{self.role} never said {text!r}:\n{self.lines}"
            await asyncio.sleep(POLL_S)

    async def answers(self, path: str, status: int = 200, *, within_s: float = PATIENCE_S) -> str:
        """Wait until a GET has this status; the body."""
        until = time.monotonic() + within_s
        seen: object = None
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            while time.monotonic() < until:
                assert self.code is None, f"{self.role} ended:\n{self.lines}"
                try:
                    async with http.get(self.address + path) as response:
                        seen = response.status
                        if seen == status:
                            return await response.text()
                except aiohttp.ClientError as error:
                    seen = error
                await asyncio.sleep(POLL_S)
        raise AssertionError(f"{self.role}: {path} gave {seen!r}, not {status}:\n{self.lines}")

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.kill()
        self._popen.wait(PATIENCE_S)

    async def end(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = PATIENCE_S) -> int:
        """Ask it to end; the exit code."""
        self._popen.send_signal(number)
        until = time.monotonic() + within_s
        while (code := self.code) is None:
            assert time.monotonic() < until, f"{self.role} did not end within {within_s} s:\n{self.lines}"
            await asyncio.sleep(POLL_S)
        return code


class Deployment:
    """The processes on one database. On SQLite the one role is `up`; on PostgreSQL the roles run beside each other."""

    def __init__(self, database_url: str, folder: Path, **environ: str) -> None:
        self.embedded = database_url.startswith("sqlite")
        self.folder = folder
        self.data = folder / "data"
        self.processes: list[Process] = []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        cluster = {
            "PARLEY_REDIS_URL": os.environ.get("PARLEY_TEST_REDIS_URL", ""),
            "PARLEY_SECRET_KEY": "k" * 44,
        }
        self.environ: dict[str, str] = {
            **inherited,
            "PARLEY_DATABASE_URL": database_url,
            "PARLEY_DATA_DIR": str(self.data),
            "PARLEY_ROOT_PASSWORD": ROOT_PASSWORD,
            **({} if self.embedded else cluster),
            **environ,
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()

    def start(self, role: str, **environ: str) -> Process:
        """Start a role, on a port of its own unless one is named."""
        chosen = {**self.environ, "PARLEY_PORT": str(free_port()), **environ}
        process = Process(role, len(self.processes), self.folder, chosen)
        self.processes.append(process)
        return process

    async def serve(self, **environ: str) -> Process:
        """Start what serves people, and on PostgreSQL a worker beside it; the process that listens, once ready."""
        if not self.embedded:
            self.start("worker")
        web = self.start("up" if self.embedded else "web", **environ)
        await web.answers("/readyz")
        return web

    def kill_all(self) -> None:
        """SIGKILL to everything, as when the machine loses its power."""
        for process in self.processes:
            if process.code is None:
                process.kill()

    async def verb(self, *words: str) -> Any:
        """Run a verb with `--json`; its object. It must succeed."""
        done = await self.run(*words, "--json")
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    async def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `parley` with these words to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "parley.py", *words],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    async def furnish(self, provider: Provider, *, key: str = "sk-upstream-1234567890") -> str:
        """A channel to the provider whose model `m` costs 10 credits a million tokens in, 20 out; 100 credits for root.

        Gives an API key of root's. Call it once root is there; the processes notice within two seconds.
        """
        async with self.reading():
            for load_room in (settings.load, catalog.load, channels.load):
                await load_room()
            await channels.add(
                "provider",
                base_url=provider.base_url,
                keys=[key],
                models={"m": "m"},
                terms=catalog.terms(free=False, price_in="1", price_out="2"),
                by="test",
            )
            # What a killed process left running counts until its lease is over.
            await settings.set(settings.TURNS_PARALLEL.key, "50", by="test")
            await settings.set(settings.CHAT_DEFAULT_MODEL.key, "m", by="test")
            root = (await accounts.find("root")).id

            async def credit(work: Work) -> None:
                await billing.credit(work, root, 100 * MICRO, key="grant:test", reason=billing.Reason.GRANT)

            await unit_of_work(credit)
            _, secret = await accounts.create_key(root, "test")
            return secret

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Within the block the rooms and rows can be asked, as a verb beside the processes would."""
        async with open_runtime(load(self.environ), role="verb"):
            yield

    def redis_left(self) -> list[str]:
        """The processes, by their words, that still have to do with this folder's own Redis."""
        told = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        path = str(socket_path(self.data, Path(self.environ.get("XDG_RUNTIME_DIR") or "/tmp")))
        return [line for line in told.splitlines() if path in line]


@contextlib.asynccontextmanager
async def root_at(process: Process) -> AsyncIterator[Browser]:
    """The browser of `root`, logged in at this process."""
    async with Browser(process.address) as browser:
        status, answer = await browser.send("POST", "/api/login", {"username": "root", "password": ROOT_PASSWORD})
        assert status == 200, answer
        yield browser


async def noticed(web: Process, key: str) -> None:
    """Until the model can be asked for."""
    async with asyncio.timeout(5), aiohttp.ClientSession(web.address) as http:
        while True:
            async with http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}) as response:
                if "m" in [model["id"] for model in (await response.json()).get("data", ())]:
                    return
            await asyncio.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
