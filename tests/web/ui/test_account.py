"""The account's side of the page: a password that must be changed, and joining the account a bot knows."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from core import accounts, care, turns
from core.chat import TextPart
from tests.running import Running
from tests.web.ui.browsers import finished, log_in, opened

pytestmark = pytest.mark.browser


async def test_a_generated_password_is_changed_before_anything_else(site: Running, browser: Browser) -> None:
    created, password = await accounts.create("mei")
    assert password
    await accounts.set_password(created.id, password, must_change=True)
    async with opened(browser, site.address) as page:
        await page.goto("/")
        await page.get_by_label("Username").fill("mei")
        await page.get_by_label("Password").fill(password)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("heading", name="Choose a new password")).to_be_visible()

        await page.get_by_label("New password").fill("x")
        await page.get_by_role("button", name="Save password").click()
        await expect(page.get_by_role("alert")).not_to_be_empty()

        await page.reload()
        await page.get_by_label("Current password").fill(password)
        await page.get_by_label("New password").fill("a much better one 7")
        await page.get_by_role("button", name="Save password").click()
        await expect(page.get_by_label("Message")).to_be_visible()

        await page.get_by_role("button", name="mei").click()
        await page.get_by_role("button", name="Log out").click()
        await log_in(page, "mei", "a much better one 7")


async def test_a_code_joins_the_account_a_bot_knows(site: Running, browser: Browser) -> None:
    known = await accounts.resolve("telegram", "42", "@mei")
    request = turns.TurnRequest(known.id, "telegram", "t:1", (TextPart("Begun on Telegram"),))
    begun = await turns.start(request)
    async with opened(browser, site.address) as page:
        await log_in(page)
        await expect(page.get_by_role("link", name="Begun on Telegram")).to_have_count(0)
        await page.get_by_role("button", name="root").click()
        await page.get_by_role("button", name="Link an app").click()
        await page.get_by_role("button", name="Make a code").click()
        code = await page.get_by_label("Your code").inner_text()

        link = await accounts.claim_link(code, known.id, "Telegram @mei")
        await expect(page.get_by_text("Join this account with “Telegram @mei”?")).to_be_visible()
        await page.get_by_role("button", name="Join accounts").click()
        await expect(page.get_by_text("Now confirm it in “Telegram @mei”.")).to_be_visible()
        async for _ in turns.follow(begun.id):
            pass
        await care.agree_link(link.id, known.id)
        await expect(page.get_by_text("both are one account now")).to_be_visible()
        await page.get_by_role("button", name="Finish").click()

        await page.get_by_role("link", name="Begun on Telegram").click()
        await finished(page)
        await expect(page.get_by_role("article")).to_have_count(2)


async def test_a_code_that_nobody_made_is_refused_in_place(site: Running, browser: Browser) -> None:
    async with opened(browser, site.address) as page:
        await log_in(page)
        await page.get_by_role("button", name="root").click()
        await page.get_by_role("button", name="Link an app").click()
        await page.get_by_label("Or enter the code").fill("abcd-2345")
        await page.get_by_role("button", name="Use code").click()
        await expect(page.get_by_role("alert").filter(has_text="code")).to_be_visible()
