"""The page in a real browser: one person's way through everything it can do, with the demo model at the other end."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.running import Running
from tests.web.ui.browsers import answer, ask, conversation_of, finished, log_in, opened, until

pytestmark = pytest.mark.browser


async def test_a_stranger_sees_only_the_log_in_and_a_wrong_password_is_named(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await page.goto("/c/conv_unknown")
        await page.get_by_label("Username").fill("root")
        await page.get_by_label("Password").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("alert")).not_to_be_empty()
        await expect(page.get_by_label("Message")).to_have_count(0)


async def test_an_answer_streams_as_markdown(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await log_in(page)
        await ask(page, "Show me everything")
        await expect(page.get_by_role("button", name="Stop")).to_be_visible()
        await expect(answer(page).locator("ol > li")).not_to_have_count(0)
        await finished(page)
        shown = answer(page)
        await expect(shown.locator("figure.code[data-lang=python] .hljs-keyword")).not_to_have_count(0)
        await expect(shown.locator("table")).to_be_visible()
        await expect(shown.locator(".katex-display")).to_be_visible()
        await expect(page.get_by_role("link", name="Show me everything")).to_be_visible()


async def test_a_reload_in_mid_answer_loses_and_doubles_nothing(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await log_in(page)
        await ask(page, "Reload me")
        for _ in range(3):
            before = len(await answer(page).inner_text())
            await until(lambda before=before: _has_grown(page, before))
            await page.reload()
            await expect(page.get_by_role("article")).to_have_count(2)
        await finished(page)
        streamed = await answer(page).locator(".md").inner_html()
        await page.reload()
        await finished(page)
        await expect(answer(page).locator(".katex-display")).to_be_visible()
        await until(lambda: _shows(page, streamed))


async def _has_grown(page: Page, length: int) -> bool:
    return len(await answer(page).inner_text()) > length + 20


async def _shows(page: Page, html: str) -> bool:
    return await answer(page).locator(".md").inner_html() == html


async def test_stop_keeps_what_came(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await log_in(page)
        await ask(page, "Stop me")
        await until(lambda: _has_grown(page, 40))
        await page.get_by_role("button", name="Stop").click()
        await finished(page)
        stopped = await answer(page).locator(".md").inner_text()
        assert stopped.strip()
        await page.reload()
        await finished(page)
        assert (await answer(page).locator(".md").inner_text()).startswith(stopped[:40])


async def test_regenerate_and_edit_make_branches_one_can_walk(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await log_in(page)
        await ask(page, "First wording")
        await page.get_by_role("button", name="Stop").click()
        await finished(page)

        await page.get_by_role("button", name="Regenerate").click()
        await expect(answer(page).get_by_text("Writing")).to_be_visible()
        await page.get_by_role("button", name="Stop").click()
        await finished(page)
        await expect(answer(page).get_by_text("2/2")).to_be_visible()
        await answer(page).get_by_role("button", name="Previous version").click()
        await expect(answer(page).get_by_text("1/2")).to_be_visible()

        await page.get_by_role("article").first.hover()
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("Message").fill("Second wording")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("article").first).to_contain_text("Second wording")
        await page.get_by_role("button", name="Stop").click()
        await finished(page)
        await expect(page.get_by_role("article").first.get_by_text("2/2")).to_be_visible()
        await page.get_by_role("article").first.get_by_role("button", name="Previous version").click()
        await expect(page.get_by_role("article").first).to_contain_text("First wording")
        await page.reload()
        await expect(page.get_by_role("article").first).to_contain_text("First wording")


async def test_a_second_browser_sees_it_live(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as one, opened(browser, site.address) as other:
        await log_in(one)
        await log_in(other)
        await ask(one, "Seen by both")
        await other.get_by_role("link", name="Seen by both").click()
        await expect(other.get_by_role("button", name="Stop")).to_be_visible()
        await finished(one)
        await finished(other)
        assert await answer(one).locator(".md").inner_text() == await answer(other).locator(".md").inner_text()

        await one.get_by_role("button", name="Rename").click()
        await one.get_by_label("Title").fill("A better name")
        await one.keyboard.press("Enter")
        await expect(other.get_by_role("link", name="A better name")).to_be_visible()

        await one.get_by_role("button", name="Delete").click()
        await expect(one.get_by_role("link", name="A better name")).to_have_count(0)
        await expect(other.get_by_role("link", name="A better name")).to_have_count(0)
        await expect(other).to_have_url(f"{site.address}/")


async def test_a_second_question_waits_for_the_first(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await log_in(page)
        await ask(page, "The first")
        await page.get_by_label("Message").fill("The second")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("waiting, number 1")).to_be_visible()
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("article")).to_have_count(4)
        await finished(page)
        await expect(page.get_by_role("article").nth(2)).to_contain_text("The second")


async def test_a_draft_outlives_a_reload(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await log_in(page)
        await page.get_by_label("Message").press_sequentially("Half a thought")
        await page.reload()
        await expect(page.get_by_label("Message")).to_have_value("Half a thought")


async def test_language_and_theme_are_kept(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address, color_scheme="light") as page:
        await log_in(page)
        await page.get_by_role("button", name="root").click()
        await page.get_by_label("Dark").check(force=True)
        await page.get_by_label("Language").select_option("zh-CN")
        await expect(page.get_by_text("外观")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("button", name="新对话")).to_be_visible()
        assert await page.evaluate("document.documentElement.lang") == "zh-CN"
        ground = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert ground == "rgb(18, 20, 18)"


@pytest.mark.parametrize("width", [320, 390, 820, 1280])
async def test_nothing_reaches_beyond_the_edge(site: Running, browser: Browser, width: int) -> None:
    narrow = width < 860
    async with opened(browser, site.address, viewport={"width": width, "height": 720}, has_touch=narrow) as page:
        await log_in(page)
        await page.get_by_label("Message").fill("W" * 300)
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("article")).to_have_count(2)
        await finished(page)
        beyond = await page.evaluate(
            """() => [...document.querySelectorAll('body *')].filter((element) => {
                const box = element.getBoundingClientRect()
                const inside = element.closest('pre, .table, .math, .hidden-text, aside')
                return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1) && !inside
            }).map((element) => element.outerHTML.slice(0, 120))"""
        )
        assert beyond == []
        if narrow:
            await page.get_by_role("button", name="Open list").click()
            await page.get_by_role("link", name="WWW").click()
            await expect(page.get_by_role("link", name="WWW")).not_to_be_in_viewport()
        assert conversation_of(page)
