"""Linking moves on by a code typed once on the other side, and by two agreements."""

from __future__ import annotations

import asyncio

import pytest

from core import accounts, live
from core.accounts import Account, Link, LinkState, Role, rules
from core.accounts.linking import CLAIM_TRIES
from core.kit.errors import BadInput, Conflict, NotFound, TooMany
from core.kit.ids import AccountId, LinkId
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import Scope, bind
from tests.fakes.clock import FakeClock


@pytest.fixture(autouse=True)
def _bound(scope: Scope) -> None:
    """Every test here runs in the first process."""


async def people() -> tuple[Account, Account, Account]:
    return (
        await accounts.resolve("telegram", "1", "Mei"),
        await accounts.resolve("discord", "2", "Mei too"),
        await accounts.resolve("telegram", "3", "Stranger"),
    )


async def agree(id: LinkId, by: AccountId) -> Link:
    async def body(work: Work) -> Link:
        return await accounts.agree(work, id, by)

    return await unit_of_work(body)


async def claimed() -> tuple[Link, Account, Account, Account]:
    mei, too, stranger = await people()
    _, code = await accounts.start_link(mei.id, "Telegram @mei")
    return await accounts.claim_link(code, too.id, "Discord mei"), mei, too, stranger


async def test_a_code_is_easy_to_read_and_kept_only_as_a_hash() -> None:
    mei, *_ = await people()
    link, code = await accounts.start_link(mei.id, "Telegram @mei\u202e")
    assert len(code) == 8
    assert not set(code) & set("0O1I")
    assert (link.state, link.issuer_label, link.claimant) == (LinkState.OPEN, "Telegram @mei", None)
    assert code not in str(await read("SELECT * FROM link"))


async def test_both_sides_see_each_other_and_nobody_else_sees_them() -> None:
    link, mei, too, stranger = await claimed()
    assert (link.state, link.issuer_label, link.claimant_label) == (LinkState.CLAIMED, "Telegram @mei", "Discord mei")
    assert await accounts.get_link(link.id, mei.id) == await accounts.get_link(link.id, too.id) == link
    for act in (accounts.get_link, agree, accounts.refuse_link):
        with pytest.raises(NotFound, match="link_unknown"):
            await act(link.id, stranger.id)


async def test_agreeing_is_done_by_each_side_for_itself() -> None:
    link, mei, too, _ = await claimed()
    for _ in range(2):
        link = await agree(link.id, mei.id)
        assert (link.issuer_agreed, link.claimant_agreed, link.agreed) == (True, False, False)
    link = await agree(link.id, too.id)
    assert link.agreed


async def test_a_typed_code_may_be_sloppy() -> None:
    mei, too, _ = await people()
    _, code = await accounts.start_link(mei.id, "Telegram @mei")
    link = await accounts.claim_link(f" {code[:4].lower()}-{code[4:]} ", too.id, "Discord mei")
    assert link.claimant == too.id
    assert await accounts.claim_link(code, too.id, "Discord mei") == link


@pytest.mark.parametrize("code", ["", "ABCDEFGH", "short", "0O1I0O1I", "x" * 10_000, "\x00" * 8])
async def test_a_wrong_code_says_no_more_than_that(code: str) -> None:
    _, too, _ = await people()
    with pytest.raises(NotFound, match="link_code_wrong"):
        await accounts.claim_link(code, too.id, "Discord mei")


async def test_a_used_an_old_and_a_replaced_code_look_like_a_wrong_one(clock: FakeClock) -> None:
    mei, too, stranger = await people()
    _, replaced = await accounts.start_link(mei.id, "Telegram @mei")
    _, used = await accounts.start_link(mei.id, "Telegram @mei")
    await accounts.claim_link(used, too.id, "Discord mei")
    _, old = await accounts.start_link(mei.id, "Telegram @mei")
    clock.jump(600)
    for code in (replaced, used, old):
        with pytest.raises(NotFound, match="link_code_wrong"):
            await accounts.claim_link(code, stranger.id, "Telegram @x")


async def test_the_issuer_cannot_type_their_own_code() -> None:
    mei, *_ = await people()
    _, code = await accounts.start_link(mei.id, "Telegram @mei")
    with pytest.raises(BadInput, match="link_own_code"):
        await accounts.claim_link(code, mei.id, "Telegram @mei")


async def test_guessing_codes_has_to_wait_also_with_the_right_one() -> None:
    mei, too, stranger = await people()
    _, code = await accounts.start_link(mei.id, "Telegram @mei")
    for _ in range(CLAIM_TRIES):
        with pytest.raises(NotFound):
            await accounts.claim_link("ABCDEFGH", too.id, "Discord mei")
    with pytest.raises(TooMany):
        await accounts.claim_link(code, too.id, "Discord mei")
    await accounts.claim_link(code, stranger.id, "Telegram @x")


async def test_two_claimants_at_once_leave_one(two: tuple[Scope, Scope]) -> None:
    mei, too, stranger = await people()
    _, code = await accounts.start_link(mei.id, "Telegram @mei")

    async def claim(scope: Scope, by: AccountId) -> str:
        with bind(scope):
            try:
                await accounts.claim_link(code, by, "someone")
            except NotFound as error:
                return error.code
            return "claimed"

    outcomes = await asyncio.gather(claim(two[0], too.id), claim(two[1], stranger.id))
    assert sorted(outcomes) == ["claimed", "link_code_wrong"]


async def test_nothing_is_agreed_to_before_the_claim_after_the_time_or_after_a_no(clock: FakeClock) -> None:
    mei, too, _ = await people()
    link, code = await accounts.start_link(mei.id, "Telegram @mei")
    with pytest.raises(Conflict, match="link_unclaimed"):
        await agree(link.id, mei.id)
    await accounts.claim_link(code, too.id, "Discord mei")
    clock.jump(601)
    with pytest.raises(Conflict, match="link_expired"):
        await agree(link.id, mei.id)
    assert (await accounts.get_link(link.id, mei.id)).state is LinkState.EXPIRED

    refused, code = await accounts.start_link(mei.id, "Telegram @mei")
    await accounts.claim_link(code, too.id, "Discord mei")
    await agree(refused.id, mei.id)
    for _ in range(2):
        assert (await accounts.refuse_link(refused.id, too.id)).state is LinkState.REFUSED
    for side in (mei, too):
        with pytest.raises(Conflict, match="link_refused"):
            await agree(refused.id, side.id)


async def test_both_sides_are_told_of_every_step(two: tuple[Scope, Scope]) -> None:
    link, mei, too, _ = await claimed()
    await agree(link.id, mei.id)
    await accounts.refuse_link(link.id, too.id)
    for side in (mei, too):
        page = await live.log().read(live.account_topic(side.id), 0, 100)
        assert [link.id in entry.data.decode() for entry in page.entries] == [True, True, True]


def account(id: str, role: Role = "user", name: str | None = None, age: int = 0) -> Account:
    made = FakeClock()
    made.jump(-age)
    return Account(
        AccountId(id),
        name,
        "",
        role,
        "default",
        None,
        None,
        "active",
        False,
        made.now(),
    )


@pytest.mark.parametrize(
    ("one", "other", "survives"),
    [
        (account("b", age=5), account("a"), "b"),
        (account("b"), account("a"), "a"),
        (account("a", age=5), account("b", name="mei"), "b"),
        (account("a", age=5, name="mei"), account("b", role="admin"), "b"),
        (account("a", age=5, role="admin"), account("b", role="root"), "b"),
        (account("a", role="admin"), account("b", role="admin", name="mei"), "b"),
    ],
)
def test_role_then_login_then_age_decides_who_survives(one: Account, other: Account, survives: str) -> None:
    for pair in ((one, other), (other, one)):
        survivor, loser = rules.survivor(*pair)
        assert (survivor.id, loser.id != survives) == (survives, True)


def test_two_logins_are_never_merged() -> None:
    with pytest.raises(Conflict, match="link_two_logins"):
        rules.survivor(account("a", name="mei", role="root"), account("b", name="lin"))
