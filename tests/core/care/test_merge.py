"""Two accounts become one: everything moves in one unit of work, once, whoever agrees when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from core import accounts, billing, care, conversations
from core.accounts import Account, Link, LinkState
from core.billing import Leg, Quote, Reason
from core.catalog import Charge
from core.kit import changes
from core.kit.errors import AppError, Conflict
from core.kit.ids import AccountId, HoldId, ModelName
from core.kit.money import MICRO, Credits
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import Scope, bind
from tests.core.scopes import opened
from tests.fakes.clock import FakeClock

QUOTE = Quote(ModelName("m"), Charge.FREE, Decimal(0), Decimal(0), "CNY", Decimal(10), 1, 1, 1, 0)


@pytest_asyncio.fixture
async def two(database_url: str, redis_url: str) -> AsyncIterator[tuple[Scope, Scope]]:
    clock = FakeClock()
    async with (
        opened(database_url, redis_url=redis_url, clock=clock) as one,
        opened(database_url, redis_url=redis_url, clock=clock) as other,
    ):
        yield one, other


@pytest.fixture
def scope(two: tuple[Scope, Scope]) -> Iterator[Scope]:
    with bind(two[0]):
        yield two[0]


async def give(account: AccountId, credits: int) -> None:
    async def body(work: Work) -> None:
        await billing.credit(work, account, Credits(credits * MICRO), key=f"gift:{account}", reason=Reason.GRANT)

    await unit_of_work(body)


async def hold(account: AccountId, credits: int) -> HoldId:
    async def body(work: Work) -> HoldId:
        opened = await billing.hold(
            work,
            [Leg(billing.credits_pot(account), credits * MICRO)],
            key=f"hold:{account}",
            owner="turn_x",
            expires_in=timedelta(minutes=5),
            reason=Reason.CHAT,
            quote=QUOTE,
        )
        return opened.id

    return await unit_of_work(body)


async def linked(issuer: Account, claimant: Account) -> Link:
    """A claimed request between the two."""
    _, code = await accounts.start_link(issuer.id, "one")
    return await accounts.claim_link(code, claimant.id, "other")


async def both_agree(link: Link) -> Link:
    assert link.claimant is not None
    await care.agree_link(link.id, link.issuer)
    return await care.agree_link(link.id, link.claimant)


async def balances(*people: Account) -> list[float]:
    return [(await billing.balance(one.id)).balance / MICRO for one in people]


async def test_everything_of_the_younger_account_moves_to_the_older(scope: Scope) -> None:
    older = await accounts.resolve("telegram", "1", "Mei")
    younger = await accounts.resolve("discord", "2", "Mei too")
    await accounts.set_locale(younger.id, "zh-CN")
    await give(older.id, 3)
    await give(younger.id, 4)
    place = conversations.place("discord", "b", "c")
    talk = await conversations.create(younger.id, "discord", title="talk", place=place)
    key, secret = await accounts.create_key(younger.id, "laptop")
    token = await accounts.open_session(younger.id, "Firefox")

    link = await linked(younger, older)
    assert (await care.agree_link(link.id, younger.id)).state is LinkState.CLAIMED
    assert await balances(older, younger) == [3, 4]
    done = await care.agree_link(link.id, older.id)

    assert done.state is LinkState.DONE
    assert await balances(older, younger) == [7, 0]
    assert (await accounts.resolve("discord", "2", "Mei too")).id == older.id
    assert {one.provider for one in await accounts.identities(older.id)} == {"telegram", "discord"}
    assert (await conversations.get(talk.id, older.id)).title == "talk"
    assert [one.id for one in await conversations.listing(older.id)] == [talk.id]
    assert await conversations.bound(place) == talk.id
    authenticated = await accounts.authenticate(secret)
    assert authenticated is not None
    assert (authenticated[0].id, authenticated[1].id) == (key.id, older.id)
    session = await accounts.session(token)
    assert session is not None
    assert session.id == older.id
    merged = await accounts.get(younger.id)
    assert (merged.state, merged.merged_into) == ("merged", older.id)
    assert (await accounts.get(older.id)).locale == "zh-CN"
    assert [one.id for one in await accounts.listing()] == [older.id]
    assert (await accounts.find(younger.id)).id == older.id


async def test_the_credits_move_by_two_entries_with_the_keys_of_the_request(scope: Scope) -> None:
    older, younger = await accounts.resolve("telegram", "1"), await accounts.resolve("discord", "2")
    await give(younger.id, 4)
    link = await both_agree(await linked(older, younger))
    entries = [*await billing.entries(older.id, 10), *await billing.entries(younger.id, 10)]
    assert {(entry.key, entry.account, entry.amount) for entry in entries if entry.reason is Reason.MERGE} == {
        (f"merge:{link.id}:out", younger.id, -4 * MICRO),
        (f"merge:{link.id}:in", older.id, 4 * MICRO),
    }
    with pytest.raises(Conflict, match="pot_closed"):
        await hold(younger.id, 0)


async def test_an_account_with_a_login_survives_an_older_one_without(scope: Scope) -> None:
    older = await accounts.resolve("telegram", "1", "Mei")
    web, password = await accounts.create("mei")
    await both_agree(await linked(web, older))
    assert (await accounts.resolve("telegram", "1", "Mei")).id == web.id
    assert (await accounts.check_password("mei", password or "")).id == web.id


async def test_an_administrator_without_login_takes_over_the_login(scope: Scope) -> None:
    admin = await accounts.resolve("telegram", "1", "Mei")

    async def promote(work: Work) -> None:
        await work.change("UPDATE account SET role = 'admin' WHERE id = $1", [admin.id])
        await changes.record(work, "account", admin.id)

    await unit_of_work(promote)
    web, password = await accounts.create("mei")
    token = await accounts.open_session(web.id, "Firefox")
    await both_agree(await linked(web, admin))
    account = await accounts.check_password("mei", password or "")
    assert (account.id, account.role) == (admin.id, "admin")
    session = await accounts.session(token)
    assert session is not None
    assert session.id == admin.id


async def test_two_logins_are_refused_and_nothing_moves(scope: Scope) -> None:
    mei, _ = await accounts.create("mei")
    lin, _ = await accounts.create("lin")
    await give(lin.id, 4)
    link = await linked(mei, lin)
    await care.agree_link(link.id, mei.id)
    with pytest.raises(Conflict, match="link_two_logins"):
        await care.agree_link(link.id, lin.id)
    assert await balances(mei, lin) == [0, 4]
    assert (await accounts.get_link(link.id, lin.id)).claimant_agreed is False


async def test_a_merge_waits_until_an_answer_is_paid_and_can_then_be_agreed_to_again(scope: Scope) -> None:
    older, younger = await accounts.resolve("telegram", "1"), await accounts.resolve("discord", "2")
    await give(younger.id, 4)
    held = await hold(younger.id, 1)
    talk = await conversations.create(younger.id, "discord")
    link = await linked(older, younger)
    await care.agree_link(link.id, older.id)
    with pytest.raises(Conflict, match="link_busy"):
        await care.agree_link(link.id, younger.id)
    assert (await conversations.get(talk.id, younger.id)).account == younger.id
    assert (await accounts.resolve("discord", "2")).id == younger.id

    async def release(work: Work) -> None:
        await billing.release(work, held)

    await unit_of_work(release)
    assert (await care.agree_link(link.id, younger.id)).state is LinkState.DONE
    assert await balances(older, younger) == [4, 0]


async def test_both_sides_agree_at_the_same_moment_and_one_merge_happens(two: tuple[Scope, Scope]) -> None:
    with bind(two[0]):
        older, younger = await accounts.resolve("telegram", "1"), await accounts.resolve("discord", "2")
        await give(older.id, 3)
        await give(younger.id, 4)
        link = await linked(older, younger)

    async def agree(scope: Scope, by: AccountId) -> Link:
        with bind(scope):
            return await care.agree_link(link.id, by)

    answers = await asyncio.gather(
        *(agree(two[n % 2], by) for n, by in enumerate((older.id, younger.id, older.id, younger.id)))
    )
    assert LinkState.DONE in {answer.state for answer in answers}
    with bind(two[0]):
        assert await balances(older, younger) == [7, 0]
        rows = await read("SELECT key FROM ledger_entry WHERE reason = 'merge' ORDER BY key")
        assert [row["key"] for row in rows] == [f"merge:{link.id}:in", f"merge:{link.id}:out"]
        rows = await read("SELECT COUNT(*) AS number FROM audit WHERE action = 'account.merged'")
        assert rows[0]["number"] == 1
        assert (await care.agree_link(link.id, younger.id)).state is LinkState.DONE
        assert await balances(older, younger) == [7, 0]


async def test_two_merges_that_share_an_account_do_not_lose_credits(two: tuple[Scope, Scope]) -> None:
    with bind(two[0]):
        people = [await accounts.resolve("telegram", str(n)) for n in range(3)]
        for number, person in enumerate(people):
            await give(person.id, 10**number)
        first, second = await linked(people[0], people[1]), await linked(people[1], people[2])
        await care.agree_link(first.id, people[0].id)
        await care.agree_link(second.id, people[2].id)

    async def agree(scope: Scope, link: Link) -> str:
        with bind(scope):
            try:
                return (await care.agree_link(link.id, people[1].id)).state
            except AppError as error:
                return error.code

    outcomes = await asyncio.gather(agree(two[0], first), agree(two[1], second))
    with bind(two[0]):
        standing = await balances(*people)
        assert sum(standing) == 111
        alive = await accounts.listing()
    assert "done" in outcomes
    assert len(alive) == 3 - outcomes.count("done")
    assert set(outcomes) <= {"done", "link_account_gone"}


async def test_a_conversation_begun_while_the_accounts_merge_is_not_lost(two: tuple[Scope, Scope]) -> None:
    with bind(two[0]):
        older, younger = await accounts.resolve("telegram", "1"), await accounts.resolve("discord", "2")
        link = await linked(older, younger)
        await care.agree_link(link.id, older.id)

    async def within(scope: Scope, work: Callable[[], object]) -> None:
        with bind(scope):
            await work()  # type: ignore[misc]

    await asyncio.gather(
        *(within(two[1], lambda: conversations.create(younger.id, "discord")) for _ in range(5)),
        within(two[0], lambda: care.agree_link(link.id, younger.id)),
        *(within(two[1], lambda: conversations.create(younger.id, "discord")) for _ in range(5)),
    )
    with bind(two[0]):
        await care.sweep()
        assert len(await conversations.listing(older.id)) == 10
        assert await care.sweep() == 0


async def test_what_merges_into_a_merged_account_is_followed_to_the_end(scope: Scope) -> None:
    people = [await accounts.resolve("telegram", str(n)) for n in range(3)]
    for number, person in enumerate(people):
        await give(person.id, 10**number)
    await both_agree(await linked(people[1], people[2]))
    await both_agree(await linked(people[0], people[1]))
    assert (await accounts.find(people[2].id)).id == people[0].id
    assert (await accounts.find("telegram:2")).id == people[0].id
    assert await balances(*people) == [111, 0, 0]
