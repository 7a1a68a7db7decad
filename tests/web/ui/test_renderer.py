"""Hostile and odd Markdown in a real browser: nothing in it runs, loads or breaks the page."""

from __future__ import annotations

import asyncio
import time

import pytest
from playwright.async_api import Browser, expect

from core import catalog, channels
from tests.fakes.provider import Provider, ok
from tests.running import Running
from tests.web.ui.browsers import answer, ask, finished, log_in, opened

pytestmark = pytest.mark.browser

HOSTILE = """\
<script>window.owned = 1</script>
<img src=x onerror="window.owned = 1">
<svg onload="window.owned = 1"></svg><iframe src="javascript:window.owned = 1"></iframe>
<b style="position:fixed" onclick="window.owned = 1">bold?</b>

[click](javascript:window.owned=1) [data](data:text/html,<script>window.owned=1</script>)
![pixel](https://tracker.example/pixel.png?secret) [bank.example](https://evil.example/)

<form id="app"><input name="body"></form>

$\\href{javascript:window.owned=1}{x}$ and $\\undefinedmacro$ and $$\\def\\a{\\a\\a}\\a$$

```"><img src=x onerror=window.owned=1>
code
```

| a | b |
|---|---|
| <img src=x onerror=window.owned=1> | <kbd>Ctrl</kbd> |
"""

FORBIDDEN = ("script", "iframe", "svg", "form", "img", "[onerror]", "[onclick]", "[id=app]", "[href^=javascript]")

BOMBS = "\n\n".join(
    (
        "[" * 3000,
        "> " * 800 + "deep",
        "*a " * 3000,
        "$a " * 3000,
        "<b>" * 3000,
        "- " * 500 + "x",
        "$" + "{" * 2000 + "$",
    )
)


async def served(provider: Provider) -> None:
    """A free model answered by the pretend provider, chosen for everybody."""
    free = catalog.terms(free=True, price_in=None, price_out=None)
    await channels.add("pretend", models={"pretend": ""}, base_url=provider.base_url, keys=["k"], terms=free, by="test")


async def test_hostile_text_does_nothing(site: Running, browser: Browser) -> None:
    async with Provider() as provider, opened(browser, site.address) as page:
        provider.script(ok(HOSTILE, piece=40))
        await served(provider)
        await log_in(page)
        await page.get_by_label("Model", exact=True).select_option("pretend")
        await ask(page, "Attack me")
        await finished(page)
        await asyncio.sleep(0.3)
        assert await page.evaluate("window.owned") is None
        shown = answer(page).locator(".md")
        for forbidden in (
            "script",
            "iframe",
            "svg",
            "form",
            "img",
            "[onerror]",
            "[onclick]",
            "[id=app]",
            "[href^=javascript]",
        ):
            await expect(shown.locator(f"{forbidden}:not(.katex *)")).to_have_count(0)
        await expect(shown.locator("a.picture")).to_have_attribute("rel", "noopener noreferrer nofollow ugc")
        await expect(shown.locator("a.misleading")).to_have_attribute("title", "evil.example")
        await expect(shown.get_by_text("\\undefinedmacro")).to_be_visible()
        await expect(shown.locator("td kbd")).to_have_text("Ctrl")


async def test_bombs_leave_the_page_alive(site: Running, browser: Browser) -> None:
    async with Provider() as provider, opened(browser, site.address) as page:
        provider.script(ok(BOMBS, piece=2000))
        await served(provider)
        await log_in(page)
        await page.get_by_label("Model", exact=True).select_option("pretend")
        await ask(page, "Overload me")
        await finished(page)
        began = time.monotonic()
        await page.reload()
        await finished(page)
        await page.get_by_label("Message").fill("still here")
        assert time.monotonic() - began < 8
