"""API keys: bearer secrets for `/v1`, kept as hashes, checked from memory."""

from __future__ import annotations

from core import audit
from core.accounts import service, store
from core.accounts.types import Account, ApiKey
from core.kit import changes
from core.kit.cache import Cache
from core.kit.errors import Conflict, NotFound
from core.kit.ids import AccountId, ApiKeyId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope, current
from core.kit.secrets import new_token, token_hash
from core.kit.text import one_line

PREFIX = "sk-parley-"
CACHED = 4_096
"""Keys a process remembers."""
KEYS_MOST = 100
"""Live keys of one account."""
SECRET_MOST = 200


class _Known:
    """The live keys this process remembers, by the hash of their secret; the change feed makes it forget."""

    def __init__(self, _scope: Scope) -> None:
        self.cache: Cache[str, ApiKey] = Cache(CACHED)
        changes.feed().subscribe("api_key", self.forget)

    def forget(self, id: str) -> None:
        if id:
            self.cache.drop_where(lambda key: key.id == id)
        else:
            self.cache.clear()


async def create_key(account_id: AccountId, name: str, *, by: str = "") -> tuple[ApiKey, str]:
    """A new key and its secret, which nobody can read again. Raises NotFound, Conflict when there are too many."""
    account = await service.get(account_id)
    secret = new_token(PREFIX)
    key = ApiKey(
        id=ApiKeyId(new_id("key")),
        account=account.id,
        name=one_line(name, 100),
        hint=secret[: len(PREFIX) + 4],
        created_at=current().clock.now(),
        revoked_at=None,
    )

    async def body(work: Work) -> None:
        await store.lock_account(work, account.id)
        if sum(one.revoked_at is None for one in await store.keys(account.id)) >= KEYS_MOST:
            raise Conflict("key_limit", most=KEYS_MOST)
        await store.insert_key(work, key, token_hash(secret))
        await audit.write(
            work, by or account.id, "api_key.created", key.id, after={"account": account.id, "name": key.name}
        )

    await unit_of_work(body)
    return key, secret


async def keys(account_id: AccountId) -> list[ApiKey]:
    """Every key of the account, revoked ones too, the oldest first."""
    return await store.keys(account_id)


async def revoke_key(key_id: ApiKeyId, account_id: AccountId | None, *, by: str = "") -> None:
    """End a key, everywhere within two seconds; harmless when it is revoked. None for `account_id` ends anyone's.

    Raises NotFound when there is no such key, or it is not of this account.
    """
    key = await store.key(key_id)
    if key is None or account_id not in {None, key.account}:
        raise NotFound("key_unknown")

    async def body(work: Work) -> None:
        if await store.revoke_key(work, key_id, current().clock.now()):
            await audit.write(work, by or account_id or "cli", "api_key.revoked", key_id)
            await changes.record(work, "api_key", key_id)

    await unit_of_work(body)


async def authenticate(secret: str) -> tuple[ApiKey, Account] | None:
    """The key and the account behind a secret; None when it is unknown or revoked.

    The account may be banned: the caller looks at its `state`. Known keys cost no query.
    """
    if not secret.startswith(PREFIX) or len(secret) > SECRET_MOST:
        return None
    hashed = token_hash(secret)
    known = current().state(_Known).cache
    for _ in range(2):
        key = await known.get(hashed, lambda: store.live_key(hashed))
        if key is None:
            return None
        account = await service.get(key.account)
        if account.state != "merged":
            return key, account
        # The key moved with its account, and this process has not heard of it yet.
        known.drop(hashed)
    return None
