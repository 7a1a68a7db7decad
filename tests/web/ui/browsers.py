"""A headless Chromium for tests: what a person sees and does, and what the page must never do.

Every page is watched: script errors, violations of the content policy and requests to other hosts fail the test that
caused them. Refused API calls are logged by the browser as failed resources; those are no faults of the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, async_playwright, expect

from tests.running import ROOT_PASSWORD
from web.page import UI

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WAIT_MS = 15_000


@dataclass
class Watch:
    """What went wrong on a page so far."""

    address: str
    faults: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text}")

    def crashed(self, error: Any) -> None:
        self.faults.append(f"script: {error}")

    def request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https"} and parts.netloc != urlsplit(self.address).netloc:
            self.faults.append(f"request to another host: {request.url[:200]}")


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The installed Chromium with a fresh profile."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no Chromium on PATH: install the package chromium"
    assert (UI / "index.html").is_file(), "the page is not built: `make run` and `make test` build it"
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def opened(browser: Browser, address: str, **options: Any) -> AsyncIterator[Page]:
    """A page in a context of its own, watched; `options` are Playwright's (viewport, locale, color_scheme, …)."""
    context = await browser.new_context(base_url=address, **{"locale": "en-US", **options})
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    watch = Watch(address)
    page.on("console", watch.console)
    page.on("pageerror", watch.crashed)
    page.on("request", watch.request)
    try:
        yield page
    finally:
        await context.close()
    assert not watch.faults, watch.faults


async def log_in(page: Page, name: str = "root", password: str = ROOT_PASSWORD) -> None:
    """Through the form, until the chat stands."""
    await page.goto("/")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_label("Message")).to_be_visible()


async def ask(page: Page, text: str) -> None:
    """Write and send; returns when the question stands in the conversation."""
    await page.get_by_label("Message").fill(text)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("article").filter(has_text=text).first).to_be_visible()


async def finished(page: Page) -> None:
    """Until nothing runs in the open conversation any more and its last answer can be asked for again."""
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0, timeout=30_000)
    await expect(page.get_by_role("button", name="Regenerate").last).to_be_visible()


def answer(page: Page) -> Locator:
    """The last message of the conversation."""
    return page.get_by_role("article").last


def conversation_of(page: Page) -> str:
    """The id in the address."""
    found = re.search(r"/c/(\w+)$", page.url)
    assert found, page.url
    return found[1]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Poll from outside: the page's content policy forbids compiling a condition inside it."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)
