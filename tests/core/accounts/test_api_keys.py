"""API keys: shown once, kept as hashes, checked from memory, ended everywhere within a poll."""

from __future__ import annotations

import asyncio

import pytest

from core import accounts
from core.accounts import api_keys, store
from core.kit import changes
from core.kit.errors import Conflict, NotFound
from core.kit.ids import AccountId, ApiKeyId
from core.kit.orm import read
from core.kit.scope import Scope, bind


async def test_a_secret_authenticates_its_account_and_is_kept_nowhere(scope: Scope) -> None:
    account = await accounts.resolve("telegram", "1", "Mei")
    key, secret = await accounts.create_key(account.id, "laptop\n")
    assert secret.startswith("sk-parley-")
    assert (key.name, key.hint) == ("laptop", secret[:14])
    assert await accounts.authenticate(secret) == (key, account)
    assert await accounts.keys(account.id) == [key]
    rows = str(await read("SELECT * FROM api_key")) + str(await read("SELECT * FROM audit"))
    assert secret not in rows


@pytest.mark.parametrize("secret", ["", "sk-parley-", "sk-other-" + "x" * 43, "sk-parley-" + "x" * 10_000, "\x00"])
async def test_a_wrong_secret_is_nobody(scope: Scope, secret: str) -> None:
    assert await accounts.authenticate(secret) is None


async def test_a_known_key_costs_no_query(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await accounts.resolve("telegram", "1", "Mei")
    _, secret = await accounts.create_key(account.id, "")
    await accounts.authenticate(secret)

    async def forbidden(_: object) -> None:
        raise AssertionError("asked the database")

    monkeypatch.setattr(store, "live_key", forbidden)
    monkeypatch.setattr(store, "account", forbidden)
    assert await accounts.authenticate(secret) is not None


async def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_after_the_poll(two: tuple[Scope, Scope]) -> None:
    one, other = two
    with bind(one):
        account = await accounts.resolve("telegram", "1", "Mei")
        key, secret = await accounts.create_key(account.id, "")
        kept, kept_secret = await accounts.create_key(account.id, "")
    with bind(other):
        await changes.feed().catch_up()
        assert await accounts.authenticate(secret) is not None
    with bind(one):
        await accounts.revoke_key(key.id, account.id)
        await accounts.revoke_key(key.id, account.id)
        assert await accounts.authenticate(secret) is None
        assert await accounts.authenticate(kept_secret) is not None
    with bind(other):
        await changes.feed().catch_up()
        assert await accounts.authenticate(secret) is None
        assert [row.revoked_at is None for row in await accounts.keys(account.id)] == [False, True]
        await accounts.revoke_key(kept.id, None)
        assert await accounts.authenticate(kept_secret) is None


async def test_nobody_revokes_anothers_key(scope: Scope) -> None:
    mei, bo = await accounts.resolve("telegram", "1", "Mei"), await accounts.resolve("telegram", "2", "Bo")
    key, secret = await accounts.create_key(mei.id, "")
    for id, by in ((key.id, bo.id), (ApiKeyId("key_" + "0" * 26), mei.id), (ApiKeyId("key_" + "0" * 26), None)):
        with pytest.raises(NotFound):
            await accounts.revoke_key(id, by)
    assert await accounts.authenticate(secret) is not None


async def test_an_account_has_a_bounded_number_of_live_keys(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "KEYS_MOST", 3)
    account = await accounts.resolve("telegram", "1", "Mei")
    made = await asyncio.gather(*(accounts.create_key(account.id, "") for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in made) == 3
    await accounts.revoke_key((await accounts.keys(account.id))[0].id, account.id)
    await accounts.create_key(account.id, "")
    with pytest.raises(NotFound):
        await accounts.create_key(AccountId("acc_" + "0" * 26), "")
