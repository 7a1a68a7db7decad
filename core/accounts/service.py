"""The use cases of accounts: recognise, find, create, passwords, preferences."""

from __future__ import annotations

from dataclasses import replace

from core import audit
from core.accounts import passwords, rules, store
from core.accounts.types import Account, Identity, Role
from core.kit import changes
from core.kit.cache import Cache
from core.kit.errors import Conflict, NotAllowed, NotFound, Unauthenticated
from core.kit.ids import AccountId, IdentityId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope, current
from core.kit.text import one_line

CACHED = 4_096
"""Accounts a process remembers."""
DISPLAY_MOST = 100


class _Known:
    """The accounts this process remembers; the change feed makes it forget."""

    def __init__(self, _scope: Scope) -> None:
        self.cache: Cache[AccountId, Account] = Cache(CACHED)
        changes.feed().subscribe("account", self.forget)

    def forget(self, id: str) -> None:
        if id:
            self.cache.drop(AccountId(id))
        else:
            self.cache.clear()


async def resolve(provider: str, subject: str, display: str = "") -> Account:
    """The account of a person a bot has met; made silently at the first meeting, once however many ask.

    Raises NotAllowed `account_banned`.
    """
    display = one_line(display, DISPLAY_MOST)
    known = await store.by_identity(provider, subject)
    if known is None:
        await unit_of_work(lambda work: _meet(work, provider, subject, display))
        known = await store.by_identity(provider, subject)
        assert known is not None
    identity, account = known
    if account.state == "banned":
        raise NotAllowed("account_banned")
    if display and display != identity.display:

        async def rename(work: Work) -> None:
            await store.rename_identity(work, identity.id, identity.display, display)
            await changes.record(work, "account", account.id)

        await unit_of_work(rename)
        if account.display_name == identity.display:
            account = replace(account, display_name=display)
    return account


async def get(id: AccountId) -> Account:
    """The account, at most a second behind another process. Raises NotFound.

    A merged one is returned as such; `merged_into` says who lives on.
    """
    account = await current().state(_Known).cache.get(id, lambda: store.account(id))
    if account is None:
        raise NotFound("account_unknown")
    return account


async def find(ref: str, *, create: bool = False) -> Account:
    """By what an administrator types: an id, a log-in name, `telegram:123` or `discord:456`. Raises NotFound.

    With `create`, a person of a platform who has not written yet gets an account.
    """
    ref = ref.strip()
    found: Account | None
    if platform := rules.identity_reference(ref):
        known = await store.by_identity(*platform)
        if known is None and create:
            return await resolve(*platform)
        found = None if known is None else known[1]
    else:
        found = await store.account(ref) or await store.account_named(ref.lower())
    while found is not None and found.merged_into is not None:
        found = await store.account(found.merged_into)
    if found is None:
        raise NotFound("account_not_found", ref=one_line(ref, 64))
    return found


async def create(
    name: str, password: str | None = None, role: Role = "user", *, by: str = "cli"
) -> tuple[Account, str | None]:
    """A new account with a log-in name, and the password where we made it, else None.

    Raises BadInput for a name or password against the rules, Conflict when the name is taken.
    """
    name = rules.login_name(name)
    if name == rules.ROOT_NAME:
        raise Conflict("account_name_taken", field="name", name=name)
    made = passwords.generated() if password is None else None
    account = _new_account(name=name, display_name=name, role=role)
    if not await _insert_with_password(account, made or password or "", by):
        raise Conflict("account_name_taken", field="name", name=name)
    return account, made


async def ensure_root(password: str | None) -> str | None:
    """At the first start: make `root`, with this password or a generated one, which is returned once.

    A generated one must be changed at the first log-in. Nothing happens when there is an account of role root;
    of several processes that start at once, one makes it. Raises BadInput for a password against the rules.
    """
    if await store.has_root():
        return None
    made = passwords.generated() if password is None else None
    account = _new_account(
        name=rules.ROOT_NAME, display_name=rules.ROOT_NAME, role="root", must_change_password=made is not None
    )
    return made if await _insert_with_password(account, made or password or "", "system") else None


async def listing() -> list[Account]:
    """Every account, the oldest first; without those that were merged into others."""
    return await store.all_accounts()


async def set_password(
    id: AccountId, password: str | None, must_change: bool = False, *, by: str = "cli"
) -> str | None:
    """Replace a password without knowing it, end every web session, and return the one we made, if we did.

    Raises NotFound, BadInput, Conflict `account_without_name`.
    """
    account = await _account(id)
    if account.name is None:
        raise Conflict("account_without_name")
    made = passwords.generated() if password is None else None
    hashed = await passwords.hashed(rules.password(made or password or "", name=account.name))

    async def body(work: Work) -> None:
        await store.set_password(work, id, hashed, must_change=must_change)
        await store.delete_sessions(work, id, None)
        await audit.write(work, by, "account.password_set", id)
        await changes.record(work, "account", id)

    await unit_of_work(body)
    return made


async def change_password(id: AccountId, current_password: str, new: str) -> None:
    """Replace one's own password. Raises Unauthenticated `password_wrong`, BadInput for a new one against the rules."""
    known = await store.credentials(id=id)
    prepared = rules.password(new, name=known[0].name if known else None)
    kept = known[1] if known else None
    if not await passwords.matches(rules.prepare_password(current_password), kept) or kept is None:
        raise Unauthenticated("password_wrong", field="current")
    hashed = await passwords.hashed(prepared)

    async def body(work: Work) -> None:
        if not await store.replace_password(work, id, kept, hashed):
            raise Unauthenticated("password_wrong", field="current")
        await audit.write(work, id, "account.password_changed", id)
        await changes.record(work, "account", id)

    await unit_of_work(body)


async def check_password(name: str, password: str) -> Account:
    """The account of a name and its password. Callers limit guessing.

    Raises Unauthenticated `login_wrong`, alike and after the same work for an unknown name, an account without
    password and a wrong password; NotAllowed `account_banned` to who knows the password.
    """
    known = await store.credentials(name=name.strip().lower())
    account, kept = known or (None, None)
    longest = password[: rules.PASSWORD_MOST + 1]
    if not await passwords.matches(rules.prepare_password(longest), kept) or account is None:
        raise Unauthenticated("login_wrong")
    if account.state != "active":
        raise NotAllowed("account_banned")
    return account


async def set_default_model(id: AccountId, model: str | None) -> None:
    """The model this account's questions go to unless they say otherwise; None follows the site. Raises NotFound."""

    async def body(work: Work) -> None:
        if not await store.set_default_model(work, id, model):
            raise NotFound("account_unknown")
        await changes.record(work, "account", id)

    await unit_of_work(body)


async def set_locale(id: AccountId, locale: str | None) -> None:
    """The language of this account's doors; None follows what each door knows. Raises NotFound."""

    async def body(work: Work) -> None:
        if not await store.set_locale(work, id, locale):
            raise NotFound("account_unknown")
        await changes.record(work, "account", id)

    await unit_of_work(body)


async def identities(id: AccountId) -> list[Identity]:
    """The ways the account is recognised, the oldest first."""
    return await store.identities(id)


async def _account(id: AccountId) -> Account:
    account = await store.account(id)
    if account is None:
        raise NotFound("account_unknown")
    return account


async def _insert_with_password(account: Account, password: str, by: str) -> bool:
    hashed = await passwords.hashed(rules.password(password, name=account.name))

    async def body(work: Work) -> bool:
        if not await store.insert_account(work, account, hashed):
            return False
        await audit.write(work, by, "account.created", account.id, after={"name": account.name, "role": account.role})
        return True

    return await unit_of_work(body)


async def _meet(work: Work, provider: str, subject: str, display: str) -> None:
    """Make account and identity, or nothing when someone was faster."""
    account = _new_account(name=None, display_name=display)
    identity = Identity(IdentityId(new_id("idn")), account.id, provider, subject, display)
    await store.insert_account(work, account)
    if not await store.insert_identity(work, identity, account.created_at):
        await store.delete_account(work, account.id)


def _new_account(
    *, name: str | None, display_name: str, role: Role = "user", must_change_password: bool = False
) -> Account:
    return Account(
        id=AccountId(new_id("acc")),
        name=name,
        display_name=display_name,
        role=role,
        group="default",
        locale=None,
        default_model=None,
        state="active",
        must_change_password=must_change_password,
        created_at=current().clock.now(),
    )
