"""Web sessions end by idling, by age, by log-out and with the account; only hashes are kept."""

from __future__ import annotations

import pytest

from core import accounts, settings
from core.accounts.sessions import SESSIONS_MOST
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import Scope
from tests.fakes.clock import FakeClock

DAY = 86_400


@pytest.fixture(autouse=True)
def _bound(scope: Scope) -> None:
    """Every test here runs in the first process."""


async def person(subject: str = "1") -> accounts.Account:
    return await accounts.resolve("telegram", subject, "Mei")


async def test_a_token_opens_and_nothing_else_does() -> None:
    account = await person()
    token = await accounts.open_session(account.id, "Firefox")
    assert await accounts.session(token) == account
    for wrong in ("", token[:-1], token + "a", "x" * 10_000, "\udcff"):
        assert await accounts.session(wrong) is None
    assert token not in str(await read("SELECT * FROM web_session"))


async def test_an_unused_session_ends_and_a_used_one_goes_on_until_its_age(clock: FakeClock) -> None:
    account = await person()
    used, unused = [await accounts.open_session(account.id, "Firefox") for _ in range(2)]
    for _ in range(4):
        clock.jump(20 * DAY)
        assert await accounts.session(used) is not None
    assert await accounts.session(unused) is None
    clock.jump(10 * DAY)
    assert await accounts.session(used) is None


async def test_the_times_are_settings(clock: FakeClock) -> None:
    await settings.load()
    await settings.set("accounts.session_idle_s", "3600", by="cli")
    token = await accounts.open_session((await person()).id, "Firefox")
    clock.jump(3599)
    assert await accounts.session(token) is not None
    clock.jump(3600)
    assert await accounts.session(token) is None


async def test_logging_out_ends_one_or_all_others() -> None:
    account, other = await person(), await person("2")
    here, there, elsewhere = [await accounts.open_session(account.id, "Firefox") for _ in range(3)]
    others = await accounts.open_session(other.id, "Firefox")
    await accounts.close_session(there)
    await accounts.close_session("none")
    assert await accounts.session(there) is None
    await accounts.close_sessions(account.id, except_token=here)
    assert await accounts.session(elsewhere) is None
    assert await accounts.session(here) is not None
    await accounts.close_sessions(account.id)
    assert await accounts.session(here) is None
    assert await accounts.session(others) is not None


async def test_a_banned_account_is_logged_out() -> None:
    account = await person()
    token = await accounts.open_session(account.id, "Firefox")

    async def ban(work: Work) -> None:
        await work.change("UPDATE account SET state = 'banned' WHERE id = $1", [account.id])

    await unit_of_work(ban)
    assert await accounts.session(token) is None


async def test_sessions_do_not_pile_up(clock: FakeClock) -> None:
    account = await person()
    first = await accounts.open_session(account.id, "Firefox\r\nX: 1" + "x" * 999)
    for _ in range(SESSIONS_MOST):
        clock.jump(1)
        await accounts.open_session(account.id, "Firefox")
    assert await accounts.session(first) is None
    assert len(await read("SELECT id FROM web_session")) == SESSIONS_MOST
    clock.jump(31 * DAY)
    await accounts.open_session(account.id, "Firefox")
    assert len(await read("SELECT id FROM web_session")) == 1
