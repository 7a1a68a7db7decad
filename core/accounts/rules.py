"""Pure decisions: names, passwords, link codes, and which of two accounts survives a merge."""

from __future__ import annotations

import re
import unicodedata

from core.accounts.types import Account
from core.kit.errors import BadInput, Conflict
from core.kit.ids import looks_like

NAME = re.compile(r"[a-z0-9._-]{2,32}")
ROOT_NAME = "root"
PASSWORD_LEAST, PASSWORD_MOST = 8, 256
CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 signs without 0, O, 1 and I."""
CODE_LENGTH = 8
PROVIDERS = ("telegram", "discord")

_RANK = {"user": 0, "admin": 1, "root": 2}


def login_name(text: str) -> str:
    """The name as it is kept: lower case. Raises BadInput."""
    name = text.strip().lower()
    if not NAME.fullmatch(name) or looks_like("acc", name):
        raise BadInput("account_name_invalid", field="name")
    return name


def password(text: str, *, name: str | None) -> str:
    """The password in the form that is hashed. Raises BadInput for one that is too short, too long or the name."""
    prepared = prepare_password(text)
    if not PASSWORD_LEAST <= len(prepared) <= PASSWORD_MOST:
        raise BadInput("password_length", field="password", least=PASSWORD_LEAST, most=PASSWORD_MOST)
    if name is not None and prepared.casefold() == name:
        raise BadInput("password_is_name", field="password")
    return prepared


def prepare_password(text: str) -> str:
    """One form for what keyboards write in several (https://www.rfc-editor.org/rfc/rfc8265#section-4.2.2)."""
    return unicodedata.normalize("NFC", text)


def link_code(text: str) -> str | None:
    """A typed code without the gaps and in the case it was made; None when it cannot be one."""
    code = re.sub(r"[\s-]", "", text[:64]).upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(CODE_ALPHABET) else None


def identity_reference(ref: str) -> tuple[str, str] | None:
    """`telegram:123` as provider and subject; None for anything else."""
    provider, colon, subject = ref.strip().partition(":")
    if not colon or provider.lower() not in PROVIDERS or not re.fullmatch("[0-9]{1,20}", subject):
        return None
    return provider.lower(), subject


def survivor(one: Account, other: Account) -> tuple[Account, Account]:
    """Which account stays and which is merged into it: by role, then who has a log-in name, then by age.

    Raises Conflict when both have a log-in name: nobody may lose a way to log in.
    """
    if one.name is not None and other.name is not None:
        raise Conflict("link_two_logins")

    def standing(account: Account) -> tuple[int, bool]:
        return _RANK[account.role], account.name is not None

    older, younger = sorted((one, other), key=lambda account: (account.created_at, account.id))
    return (younger, older) if standing(younger) > standing(older) else (older, younger)
