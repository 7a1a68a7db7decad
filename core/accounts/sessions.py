"""Web sessions: a random token in the browser, its hash here; they end by idling and by age."""

from __future__ import annotations

from datetime import timedelta

from core import settings
from core.accounts import store
from core.accounts.types import Account
from core.kit.ids import AccountId, SessionId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current
from core.kit.secrets import new_token, token_hash
from core.kit.text import one_line

SEEN_EVERY = timedelta(minutes=5)
"""How exact `seen_at` is: a write for each request would make every page a writer."""
SESSIONS_MOST = 50
"""Of one account; the ones unused for longest leave."""
TOKEN_MOST = 128


async def open_session(account_id: AccountId, user_agent: str) -> str:
    """A new session; its token is known to the caller alone. Open one at each log-in, never reuse."""
    token = new_token()
    now = current().clock.now()
    ends = now + timedelta(seconds=settings.get(settings.SESSION_MOST_S))

    async def body(work: Work) -> None:
        await store.prune_sessions(work, account_id, now=now, idle_since=now - _idle_after(), keep=SESSIONS_MOST - 1)
        await store.insert_session(
            work,
            SessionId(new_id("ses")),
            account_id,
            token_hash(token),
            one_line(user_agent, 200),
            now=now,
            ends=ends,
        )

    await unit_of_work(body)
    return token


async def session(token: str) -> Account | None:
    """The account that is logged in by this token; None when the session is unknown or over, or the account banned."""
    if not token or len(token) > TOKEN_MOST:
        return None
    found = await store.session(token_hash(token))
    now = current().clock.now()
    if found is None or found.account.state != "active":
        return None
    if found.expires_at <= now or found.seen_at + _idle_after() <= now:
        return None
    if found.seen_at + SEEN_EVERY <= now:

        async def body(work: Work) -> None:
            await store.session_seen(work, found.id, now)

        await unit_of_work(body)
    return found.account


async def close_session(token: str) -> None:
    """Log out; harmless for a token that is none."""

    async def body(work: Work) -> None:
        await store.delete_session(work, token_hash(token))

    await unit_of_work(body)


async def close_sessions(account_id: AccountId, except_token: str | None = None) -> None:
    """Log out everywhere, or everywhere else."""

    async def body(work: Work) -> None:
        await store.delete_sessions(work, account_id, token_hash(except_token) if except_token else None)

    await unit_of_work(body)


def _idle_after() -> timedelta:
    return timedelta(seconds=settings.get(settings.SESSION_IDLE_S))
