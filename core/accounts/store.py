"""The queries of the accounts room."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from core.accounts.tables import AccountRow, ApiKeyRow, IdentityRow, SessionRow
from core.accounts.types import Account, ApiKey, Identity, Link, LinkState, Role, Session, State
from core.kit.ids import AccountId, ApiKeyId, IdentityId, LinkId, SessionId
from core.kit.orm import Row, Work, moment, read


async def account(id: str) -> Account | None:
    """By its id; inside a unit of work, as that work sees it."""
    row = await AccountRow.get_or_none(id=id)
    return None if row is None else _account(row)


async def account_named(name: str) -> Account | None:
    row = await AccountRow.get_or_none(name=name)
    return None if row is None else _account(row)


async def has_root() -> bool:
    return await AccountRow.filter(role="root").exists()


async def all_accounts() -> list[Account]:
    """Without those that were merged into others, the oldest first."""
    rows = await AccountRow.exclude(state="merged").order_by("created_at", "id")
    return [_account(row) for row in rows]


async def insert_account(work: Work, account: Account, password_hash: str | None = None) -> bool:
    """Whether it was inserted; False when its name is taken."""
    return bool(
        await work.change(
            'INSERT INTO account (id, name, display_name, password_hash, must_change_password, role, "group",'
            " locale, default_model, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
            " ON CONFLICT DO NOTHING",
            [
                account.id,
                account.name,
                account.display_name,
                password_hash,
                account.must_change_password,
                account.role,
                account.group,
                account.locale,
                account.default_model,
                account.state,
                account.created_at,
            ],
        )
    )


async def delete_account(work: Work, id: AccountId) -> None:
    """Take back an account made in the same unit of work."""
    await work.change("DELETE FROM account WHERE id = $1", [id])


async def lock_account(work: Work, id: AccountId) -> Account | None:
    """The account, which nobody else changes until this work ends."""
    if not await work.change("UPDATE account SET state = state WHERE id = $1", [id]):
        return None
    return await account(id)


async def set_default_model(work: Work, id: AccountId, model: str | None) -> bool:
    return bool(await work.change("UPDATE account SET default_model = $2 WHERE id = $1", [id, model]))


async def set_locale(work: Work, id: AccountId, locale: str | None) -> bool:
    return bool(await work.change("UPDATE account SET locale = $2 WHERE id = $1", [id, locale]))


async def set_password(work: Work, id: AccountId, password_hash: str, *, must_change: bool) -> bool:
    return bool(
        await work.change(
            "UPDATE account SET password_hash = $2, must_change_password = $3 WHERE id = $1",
            [id, password_hash, must_change],
        )
    )


async def replace_password(work: Work, id: AccountId, before: str, after: str) -> bool:
    """Whether the hash was still the one that was checked, and is now the new one."""
    return bool(
        await work.change(
            "UPDATE account SET password_hash = $3, must_change_password = $4 WHERE id = $1 AND password_hash = $2",
            [id, before, after, False],
        )
    )


async def credentials(*, name: str | None = None, id: AccountId | None = None) -> tuple[Account, str | None] | None:
    """An account and its password hash, by name or id."""
    row = await (AccountRow.get_or_none(name=name) if id is None else AccountRow.get_or_none(id=id))
    return None if row is None else (_account(row), row.password_hash)


async def absorb(work: Work, survivor: AccountId, loser: AccountId) -> None:
    """Give the survivor what only the loser had (log-in, language, model, group), and retire the loser."""
    kept, lost = await AccountRow.get(id=survivor), await AccountRow.get(id=loser)
    # The loser first: a log-in name is unique at every moment.
    await work.change(
        "UPDATE account SET state = $2, merged_into = $3, name = NULL, password_hash = NULL WHERE id = $1",
        [loser, "merged", survivor],
    )
    takes_login = kept.name is None and lost.name is not None
    login = lost if takes_login else kept
    await work.change(
        "UPDATE account SET name = $2, password_hash = $3, must_change_password = $4, display_name = $5, locale = $6,"
        ' default_model = $7, "group" = $8 WHERE id = $1',
        [
            survivor,
            login.name,
            login.password_hash,
            login.must_change_password,
            kept.display_name or lost.display_name,
            kept.locale or lost.locale,
            kept.default_model or lost.default_model,
            lost.group if kept.group == "default" else kept.group,
        ],
    )


async def move_belongings(work: Work, survivor: AccountId, loser: AccountId) -> None:
    """Identities, API keys and web sessions get their new owner, and what was merged into the loser follows."""
    for table in ("identity", "api_key", "web_session"):
        await work.change(f"UPDATE {table} SET account_id = $1 WHERE account_id = $2", [survivor, loser])
    await work.change("UPDATE account SET merged_into = $1 WHERE merged_into = $2", [survivor, loser])


async def by_identity(provider: str, subject: str) -> tuple[Identity, Account] | None:
    row = await IdentityRow.get_or_none(provider=provider, subject=subject).prefetch_related("account")
    return None if row is None else (_identity(row), _account(cast(AccountRow, row.account)))


async def insert_identity(work: Work, identity: Identity, at: datetime) -> bool:
    """Whether it was inserted; False when this person is known by now."""
    return bool(
        await work.change(
            "INSERT INTO identity (id, account_id, provider, subject, display, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            [identity.id, identity.account, identity.provider, identity.subject, identity.display, at],
        )
    )


async def rename_identity(work: Work, id: IdentityId, before: str, after: str) -> None:
    """The person changed their name on the platform; an account that was shown by it follows."""
    await work.change("UPDATE identity SET display = $2 WHERE id = $1", [id, after])
    await work.change(
        "UPDATE account SET display_name = $3 WHERE display_name = $2"
        " AND id = (SELECT account_id FROM identity WHERE id = $1)",
        [id, before, after],
    )


async def identities(account: AccountId) -> list[Identity]:
    return [_identity(row) for row in await IdentityRow.filter(account_id=account).order_by("created_at", "id")]


async def insert_key(work: Work, key: ApiKey, token_hash: str) -> None:
    await work.change(
        "INSERT INTO api_key (id, account_id, name, token_hash, hint, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        [key.id, key.account, key.name, token_hash, key.hint, key.created_at],
    )


async def keys(account: AccountId) -> list[ApiKey]:
    return [_key(row) for row in await ApiKeyRow.filter(account_id=account).order_by("created_at", "id")]


async def key(id: ApiKeyId) -> ApiKey | None:
    row = await ApiKeyRow.get_or_none(id=id)
    return None if row is None else _key(row)


async def live_key(token_hash: str) -> ApiKey | None:
    row = await ApiKeyRow.get_or_none(token_hash=token_hash, revoked_at=None)
    return None if row is None else _key(row)


async def revoke_key(work: Work, id: ApiKeyId, at: datetime) -> bool:
    """Whether it was live until now."""
    return bool(await work.change("UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", [id, at]))


async def insert_session(
    work: Work, id: SessionId, account: AccountId, token_hash: str, user_agent: str, *, now: datetime, ends: datetime
) -> None:
    await work.change(
        "INSERT INTO web_session (id, account_id, token_hash, user_agent, created_at, seen_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $5, $6)",
        [id, account, token_hash, user_agent, now, ends],
    )


async def prune_sessions(work: Work, account: AccountId, *, now: datetime, idle_since: datetime, keep: int) -> None:
    """Remove the account's sessions that are over, and the oldest beyond `keep`."""
    await work.change(
        "DELETE FROM web_session WHERE account_id = $1 AND (expires_at <= $2 OR seen_at <= $3)",
        [account, now, idle_since],
    )
    await work.change(
        "DELETE FROM web_session WHERE account_id = $1 AND id NOT IN"
        " (SELECT id FROM web_session WHERE account_id = $1 ORDER BY seen_at DESC, id DESC LIMIT $2)",
        [account, keep],
    )


async def session(token_hash: str) -> Session | None:
    """The session of a token, whatever its age."""
    row = await SessionRow.get_or_none(token_hash=token_hash).prefetch_related("account")
    if row is None:
        return None
    return Session(SessionId(row.id), _account(cast(AccountRow, row.account)), row.seen_at, row.expires_at)


async def session_seen(work: Work, id: SessionId, now: datetime) -> None:
    await work.change("UPDATE web_session SET seen_at = $2 WHERE id = $1", [id, now])


async def delete_session(work: Work, token_hash: str) -> None:
    await work.change("DELETE FROM web_session WHERE token_hash = $1", [token_hash])


async def delete_sessions(work: Work, account: AccountId, except_hash: str | None) -> None:
    await work.change(
        "DELETE FROM web_session WHERE account_id = $1 AND token_hash <> $2", [account, except_hash or ""]
    )


async def insert_link(work: Work, link: Link, code_hash: str, at: datetime) -> bool:
    """Whether it was inserted; False when the code is in use."""
    return bool(
        await work.change(
            "INSERT INTO link (id, code_hash, issuer_id, issuer_label, issuer_agreed, claimant_agreed, state,"
            " created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            [
                link.id,
                code_hash,
                link.issuer,
                link.issuer_label,
                False,
                False,
                LinkState.OPEN,
                at,
                link.expires_at,
            ],
        )
    )


async def link(id: LinkId) -> Link | None:
    rows = await read("SELECT * FROM link WHERE id = $1", [id])
    return _link(rows[0]) if rows else None


async def link_by_code(code_hash: str) -> Link | None:
    rows = await read("SELECT * FROM link WHERE code_hash = $1", [code_hash])
    return _link(rows[0]) if rows else None


async def claim_link(
    work: Work, id: LinkId, claimant: AccountId, label: str, *, now: datetime, expires_at: datetime
) -> bool:
    """Whether it was open until now and is the claimant's."""
    return bool(
        await work.change(
            "UPDATE link SET claimant_id = $2, claimant_label = $3, state = 'claimed', expires_at = $5"
            " WHERE id = $1 AND state = 'open' AND expires_at > $4",
            [id, claimant, label, now, expires_at],
        )
    )


async def agree_link(work: Work, id: LinkId, by: AccountId, now: datetime) -> bool:
    """Mark the side of `by`; whether the request was one that can be agreed to. Locks it either way."""
    return bool(
        await work.change(
            "UPDATE link SET issuer_agreed = CASE WHEN issuer_id = $2 THEN $4 ELSE issuer_agreed END,"
            " claimant_agreed = CASE WHEN claimant_id = $2 THEN $4 ELSE claimant_agreed END"
            " WHERE id = $1 AND state = 'claimed' AND expires_at > $3",
            [id, by, now, True],
        )
    )


async def end_link(work: Work, id: LinkId, state: LinkState) -> bool:
    """Whether it was undecided until now."""
    return bool(
        await work.change("UPDATE link SET state = $2 WHERE id = $1 AND state IN ('open', 'claimed')", [id, state])
    )


async def merged_since(moment: datetime) -> list[tuple[AccountId, AccountId]]:
    """Accounts merged by requests that would have ended after this moment, each with the one that lives on."""
    rows = await read(
        "SELECT id, merged_into FROM account WHERE state = 'merged' AND id IN"
        " (SELECT issuer_id FROM link WHERE state = 'done' AND expires_at > $1"
        " UNION SELECT claimant_id FROM link WHERE state = 'done' AND expires_at > $1) ORDER BY id",
        [moment],
    )
    return [(AccountId(row["id"]), AccountId(row["merged_into"])) for row in rows]


async def end_links_of(work: Work, issuer: AccountId) -> None:
    """Refuse what this account issued and nobody claimed: one code at a time."""
    await work.change("UPDATE link SET state = 'refused' WHERE issuer_id = $1 AND state = 'open'", [issuer])


def _account(row: AccountRow) -> Account:
    return Account(
        id=AccountId(row.id),
        name=row.name,
        display_name=row.display_name,
        role=cast(Role, row.role),
        group=row.group,
        locale=row.locale,
        default_model=row.default_model,
        state=cast(State, row.state),
        must_change_password=bool(row.must_change_password),
        created_at=row.created_at,
        merged_into=None if row.merged_into is None else AccountId(row.merged_into),
    )


def _identity(row: IdentityRow) -> Identity:
    return Identity(
        id=IdentityId(row.id),
        account=AccountId(row.account_id),  # type: ignore[attr-defined]
        provider=row.provider,
        subject=row.subject,
        display=row.display,
    )


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row.id),
        account=AccountId(row.account_id),  # type: ignore[attr-defined]
        name=row.name,
        hint=row.hint,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


def _link(row: Row) -> Link:
    return Link(
        id=LinkId(row["id"]),
        issuer=AccountId(row["issuer_id"]),
        issuer_label=row["issuer_label"],
        claimant=None if row["claimant_id"] is None else AccountId(row["claimant_id"]),
        claimant_label=row["claimant_label"],
        issuer_agreed=bool(row["issuer_agreed"]),
        claimant_agreed=bool(row["claimant_agreed"]),
        state=LinkState(row["state"]),
        expires_at=moment(row["expires_at"]),
    )
