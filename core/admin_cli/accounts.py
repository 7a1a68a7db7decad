"""Verbs about accounts, their keys and their credits."""

from __future__ import annotations

import argparse

from core import accounts, audit, billing
from core.accounts import Account, ApiKey
from core.admin_cli.output import Shown, table
from core.kit.errors import BadInput
from core.kit.ids import ApiKeyId, new_id
from core.kit.money import format_credits, parse_credits
from core.kit.orm import Work, unit_of_work

BY = "cli"


async def listing(_args: argparse.Namespace) -> Shown:
    """Every account with its balance."""
    rows = [(account, await billing.balance(account.id)) for account in await accounts.listing()]
    items = [
        {
            "id": account.id,
            "name": account.name,
            "display_name": account.display_name,
            "role": account.role,
            "group": account.group,
            "state": account.state,
            "balance": format_credits(balance.balance),
        }
        for account, balance in rows
    ]
    lines = table(
        ("id", "name", "role", "state", "credits"),
        [(a.id, a.name or a.display_name, a.role, a.state, format_credits(b.balance)) for a, b in rows],
    )
    return Shown({"items": items}, lines)


async def create(args: argparse.Namespace) -> Shown:
    """An account with a log-in name; the generated password is shown once."""
    account, generated = await accounts.create(args.name, args.password, role="admin" if args.admin else "user")
    lines = [f"Created {account.name} ({account.id})."]
    if generated:
        lines.append(f"Password, to be changed at the first log-in: {generated}")
    return Shown({"id": account.id, "name": account.name, "password": generated}, lines)


async def set_password(args: argparse.Namespace) -> Shown:
    """Replace a password and end every session of the account."""
    account = await accounts.find(args.account)
    generated = await accounts.set_password(account.id, args.password, must_change=args.password is None)
    await accounts.close_sessions(account.id)
    lines = [f"The password of {account.name or account.id} is changed; its sessions have ended."]
    if generated:
        lines.append(f"Password, to be changed at the next log-in: {generated}")
    return Shown({"id": account.id, "name": account.name, "password": generated}, lines)


async def credit(args: argparse.Namespace) -> Shown:
    """Give or take credits; an entry with the reason, and an audit line."""
    try:
        amount = parse_credits(args.amount)
    except ValueError as error:
        raise BadInput("amount_invalid", field="amount") from error
    if amount == 0:
        raise BadInput("amount_invalid", field="amount")
    reason = args.reason.strip()
    if not reason or len(reason) > 200:
        raise BadInput("field_invalid", field="reason")
    account = await accounts.find(args.account, create=True)

    async def body(work: Work) -> None:
        await audit.write(work, BY, "credits.granted", account.id, after={"amount_micro": amount, "reason": reason})
        move = billing.credit if amount > 0 else billing.debit
        await move(
            work,
            account.id,
            abs(amount),
            key=f"grant:{new_id('ent')}",
            reason=billing.Reason.GRANT,
            memo={"note": reason, "by": BY},
        )

    await unit_of_work(body)
    balance = await billing.balance(account.id)
    return Shown(
        {"account": account.id, "amount": format_credits(amount), "balance": format_credits(balance.balance)},
        [f"{_named(account)} has {format_credits(balance.balance)} credits now."],
    )


async def key_create(args: argparse.Namespace) -> Shown:
    """A new key; only now is its secret readable."""
    account = await accounts.find(args.account)
    key, secret = await accounts.create_key(account.id, args.name)
    return Shown({"id": key.id, "key": secret}, [f"Key {key.id} of {_named(account)}, shown only now:", secret])


async def key_list(args: argparse.Namespace) -> Shown:
    """The keys of an account, by their visible beginnings."""
    account = await accounts.find(args.account)
    keys = await accounts.keys(account.id)
    lines = table(
        ("id", "name", "begins", "created", "state"),
        [(k.id, k.name, k.hint, f"{k.created_at:%Y-%m-%d %H:%M}", "revoked" if k.revoked_at else "live") for k in keys],
    )
    return Shown({"items": [_key(k) for k in keys]}, lines)


async def key_revoke(args: argparse.Namespace) -> Shown:
    """End a key; the server notices within two seconds."""
    owner = (await accounts.find(args.account)).id if args.account else None
    await accounts.revoke_key(ApiKeyId(args.key), owner)
    return Shown({"id": args.key, "revoked": True}, [f"Key {args.key} is revoked."])


def _key(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


def _named(account: Account) -> str:
    return account.name or account.display_name or account.id
