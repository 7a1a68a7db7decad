"""Accounts: recognised once, found by any of their names, guarded by passwords that cost the same to miss."""

from __future__ import annotations

import asyncio

import pytest

from core import accounts
from core.accounts import passwords, store
from core.kit import changes
from core.kit.errors import AppError, BadInput, Conflict, NotAllowed, NotFound, Unauthenticated
from core.kit.ids import AccountId, looks_like
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import Scope, bind

GOOD = "a long enough one"


async def ban(id: AccountId) -> None:
    async def body(work: Work) -> None:
        await work.change("UPDATE account SET state = 'banned' WHERE id = $1", [id])
        await changes.record(work, "account", id)

    await unit_of_work(body)


class TestMeeting:
    async def test_a_person_gets_one_account_however_often_they_write(self, scope: Scope) -> None:
        first = await accounts.resolve("telegram", "42", "Mei")
        again = await accounts.resolve("telegram", "42", "Mei")
        other = await accounts.resolve("discord", "42", "Mei")
        assert again == first
        assert other.id != first.id
        assert (first.name, first.display_name, first.role, first.is_admin) == (None, "Mei", "user", False)
        (identity,) = await accounts.identities(first.id)
        assert (identity.provider, identity.subject, identity.display) == ("telegram", "42", "Mei")

    async def test_two_first_messages_at_once_make_one_account(self, two: tuple[Scope, Scope]) -> None:
        async def meet(scope: Scope) -> AccountId:
            with bind(scope):
                return (await accounts.resolve("telegram", "42", "Mei")).id

        met = await asyncio.gather(*(meet(two[n % 2]) for n in range(8)))
        assert len(set(met)) == 1
        with bind(two[0]):
            assert len(await accounts.listing()) == 1

    async def test_a_new_name_on_the_platform_is_followed_until_the_account_has_its_own(self, scope: Scope) -> None:
        account = await accounts.resolve("telegram", "42", "Mei")
        assert (await accounts.get(account.id)).display_name == "Mei"
        assert (await accounts.resolve("telegram", "42", "Mei Lin")).display_name == "Mei Lin"
        assert (await accounts.get(account.id)).display_name == "Mei Lin"
        assert (await accounts.resolve("telegram", "42", "")).display_name == "Mei Lin"

    async def test_a_name_that_plays_tricks_is_shown_without_them(self, scope: Scope) -> None:
        account = await accounts.resolve("telegram", "42", "\u202eadmin\u0000 " + "x" * 500)
        assert account.display_name.startswith("admin x")
        assert len(account.display_name) == 100

    async def test_a_banned_person_is_not_let_in(self, scope: Scope) -> None:
        account = await accounts.resolve("telegram", "42", "Mei")
        await ban(account.id)
        with pytest.raises(NotAllowed, match="account_banned"):
            await accounts.resolve("telegram", "42", "Mei")


class TestFinding:
    async def test_an_account_is_found_by_every_reference(self, scope: Scope) -> None:
        mei, _ = await accounts.create("Mei", GOOD)
        bot = await accounts.resolve("telegram", "42", "Bo")
        assert await accounts.find(mei.id) == mei
        assert await accounts.find(" MEI ") == mei
        assert (await accounts.find("telegram:42")).id == bot.id
        for unknown in ("nobody", "telegram:43", "discord:42", "telegram:x", "acc_" + "0" * 26, ""):
            with pytest.raises(NotFound):
                await accounts.find(unknown)

    async def test_credits_may_be_given_to_a_person_who_has_not_written_yet(self, scope: Scope) -> None:
        made = await accounts.find("discord:77", create=True)
        assert (await accounts.resolve("discord", "77", "Kim")).id == made.id
        with pytest.raises(NotFound):
            await accounts.find("somebody", create=True)

    async def test_what_another_process_changed_is_seen_after_its_poll(self, two: tuple[Scope, Scope]) -> None:
        one, other = two
        with bind(one):
            account = await accounts.resolve("telegram", "42", "Mei")
        with bind(other):
            await changes.feed().catch_up()
            assert (await accounts.get(account.id)).default_model is None
        with bind(one):
            await accounts.set_default_model(account.id, "gpt-x")
            await accounts.set_locale(account.id, "zh-CN")
        with bind(other):
            assert (await accounts.get(account.id)).default_model is None
            await changes.feed().catch_up()
            seen = await accounts.get(account.id)
            assert (seen.default_model, seen.locale) == ("gpt-x", "zh-CN")

    async def test_an_unknown_account_is_not_found(self, scope: Scope) -> None:
        nobody = AccountId("acc_" + "0" * 26)
        for asked in (
            accounts.get(nobody),
            accounts.set_default_model(nobody, "m"),
            accounts.set_locale(nobody, "en"),
            accounts.set_password(nobody, GOOD),
        ):
            with pytest.raises(NotFound):
                await asked


class TestCreating:
    @pytest.mark.parametrize("name", ["a", "x" * 33, "mei lin", "méi", "a/b", "telegram:4", "acc_" + "0" * 26, ""])
    async def test_a_name_against_the_rules_is_refused(self, scope: Scope, name: str) -> None:
        with pytest.raises(BadInput, match="account_name_invalid"):
            await accounts.create(name, GOOD)

    @pytest.mark.parametrize("password", ["", "1234567", "x" * 257, "mei-lin-the-first"])
    async def test_a_password_against_the_rules_is_refused(self, scope: Scope, password: str) -> None:
        with pytest.raises(BadInput) as refused:
            await accounts.create("Mei-Lin-The-First", password)
        assert refused.value.code in {"password_length", "password_is_name"}
        assert await accounts.listing() == []

    async def test_a_taken_name_is_refused_also_to_two_at_once(self, two: tuple[Scope, Scope]) -> None:
        async def create(scope: Scope) -> str:
            with bind(scope):
                try:
                    await accounts.create("mei", GOOD)
                except Conflict as error:
                    return error.code
                return "made"

        assert sorted(await asyncio.gather(*(create(scope) for scope in two))) == ["account_name_taken", "made"]
        with bind(two[0]), pytest.raises(Conflict):
            await accounts.create("root", GOOD)

    async def test_a_generated_password_is_told_once_and_works(self, scope: Scope) -> None:
        account, password = await accounts.create("mei")
        assert password is not None
        assert await accounts.check_password("mei", password) == account
        assert looks_like("acc", account.id)
        (row,) = await read("SELECT password_hash FROM account")
        assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert password not in row["password_hash"]


class TestRoot:
    async def test_the_first_start_makes_root_and_no_later_one(self, two: tuple[Scope, Scope]) -> None:
        async def start(scope: Scope) -> str | None:
            with bind(scope):
                return await accounts.ensure_root(None)

        made = await asyncio.gather(*(start(scope) for scope in two))
        (password,) = [one for one in made if one is not None]
        with bind(two[0]):
            assert await accounts.ensure_root("another password") is None
            root = await accounts.check_password("root", password)
            assert (root.role, root.must_change_password, root.is_admin) == ("root", True, True)
            await accounts.change_password(root.id, password, GOOD)
            assert not (await accounts.check_password("ROOT", GOOD)).must_change_password

    async def test_a_given_password_need_not_be_changed(self, scope: Scope) -> None:
        with pytest.raises(BadInput):
            await accounts.ensure_root("short")
        assert await accounts.ensure_root(GOOD) is None
        assert not (await accounts.check_password("root", GOOD)).must_change_password


class TestPasswords:
    async def test_an_unknown_name_and_a_wrong_password_look_alike(
        self, scope: Scope, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await accounts.create("mei", GOOD)
        await accounts.resolve("telegram", "1", "Bo")
        work: list[str] = []
        real = passwords._hasher.verify

        class Counting:
            def verify(self, kept: str, password: str) -> bool:
                work.append(kept.rsplit("$", 2)[0])
                return bool(real(kept, password))

            hash = staticmethod(passwords._hasher.hash)

        monkeypatch.setattr(passwords, "_hasher", Counting())
        told: list[str] = []
        for name in ("mei", "nobody"):
            with pytest.raises(Unauthenticated) as refused:
                await accounts.check_password(name, "wrong password")
            told.append(str(refused.value))
        assert told == ["login_wrong", "login_wrong"]
        assert len(work) == 2
        assert work[0] == work[1]

    async def test_the_same_word_from_two_keyboards_is_one_password(self, scope: Scope) -> None:
        await accounts.create("mei", "pass\u00e9 compose")
        await accounts.check_password("mei", "passe\u0301 compose")

    async def test_changing_needs_the_current_one(self, scope: Scope) -> None:
        account, _ = await accounts.create("mei", GOOD)
        with pytest.raises(Unauthenticated, match="password_wrong"):
            await accounts.change_password(account.id, "wrong one", "another good one")
        with pytest.raises(BadInput):
            await accounts.change_password(account.id, GOOD, "short")
        await accounts.change_password(account.id, GOOD, "another good one")
        await accounts.check_password("mei", "another good one")

    async def test_two_changes_from_the_same_password_at_once_leave_one(self, scope: Scope) -> None:
        account, _ = await accounts.create("mei", GOOD)
        new = ["first new one", "second new one"]
        done = await asyncio.gather(
            *(accounts.change_password(account.id, GOOD, one) for one in new), return_exceptions=True
        )
        assert sum(one is None for one in done) == 1
        await accounts.check_password("mei", new[done.index(None)])

    async def test_an_administrator_sets_a_password_and_ends_the_sessions(self, scope: Scope) -> None:
        account, _ = await accounts.create("mei", GOOD)
        token = await accounts.open_session(account.id, "Firefox")
        made = await accounts.set_password(account.id, None, must_change=True)
        assert made is not None
        assert await accounts.session(token) is None
        assert (await accounts.check_password("mei", made)).must_change_password
        nameless = await accounts.resolve("telegram", "1", "Bo")
        with pytest.raises(Conflict, match="account_without_name"):
            await accounts.set_password(nameless.id, GOOD)

    async def test_a_banned_account_is_told_so_only_with_its_password(self, scope: Scope) -> None:
        account, _ = await accounts.create("mei", GOOD)
        await ban(account.id)
        with pytest.raises(Unauthenticated):
            await accounts.check_password("mei", "wrong password")
        with pytest.raises(NotAllowed):
            await accounts.check_password("mei", GOOD)


async def test_what_was_done_to_an_account_is_audited_without_secrets(scope: Scope) -> None:
    account, _ = await accounts.create("mei", GOOD, role="admin")
    await accounts.change_password(account.id, GOOD, "another good one")
    await accounts.set_password(account.id, "third good one", by="acc_root")
    rows = await read("SELECT actor, action, subject, after FROM audit ORDER BY id")
    assert {(row["actor"], row["action"], row["subject"]) for row in rows} == {
        ("cli", "account.created", account.id),
        (account.id, "account.password_changed", account.id),
        ("acc_root", "account.password_set", account.id),
    }
    assert "good one" not in str(rows)


async def test_an_error_within_a_unit_leaves_no_account(scope: Scope) -> None:
    account, _ = await accounts.create("mei", GOOD)

    async def body(work: Work) -> None:
        await store.set_locale(work, account.id, "zh-CN")
        raise Conflict("key_limit")

    with pytest.raises(AppError):
        await unit_of_work(body)
    assert (await accounts.get(account.id)).locale is None
