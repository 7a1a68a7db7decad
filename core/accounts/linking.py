"""Linking: two accounts of one person become one by a one-time code, typed on the other side, and two agreements.

Without the second question a code sent to a victim would join the victim's account to the attacker's. Here requests
only move on; `core.care` merges.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta

from core import limits
from core.accounts import rules, store
from core.accounts.types import Link, LinkState
from core.chat import LinkChanged
from core.kit.errors import BadInput, Conflict, NotFound
from core.kit.ids import AccountId, LinkId, new_id
from core.kit.orm import Work, unit_of_work
from core.kit.scope import current
from core.kit.secrets import token_hash
from core.kit.text import one_line
from core.live import tell

LIFE = timedelta(minutes=10)
"""From the code to the claim, and from the claim to the agreements."""
CLAIM_TRIES, CLAIM_PER_S = 5, 600.0
START_TRIES, START_PER_S = 20, 600.0
LABEL_MOST = 120


async def start_link(issuer_id: AccountId, label: str) -> tuple[Link, str]:
    """A request and its one-time code of 8 characters; a code issued before and not yet typed is dead.

    `label` is how the other side will see the issuer, such as `Telegram @mei`. Raises TooMany.
    """
    await limits.guess("link.start", issuer_id, START_TRIES, START_PER_S)
    now = current().clock.now()
    fresh = Link(
        id=LinkId(new_id("lnk")),
        issuer=issuer_id,
        issuer_label=one_line(label, LABEL_MOST),
        claimant=None,
        claimant_label=None,
        issuer_agreed=False,
        claimant_agreed=False,
        state=LinkState.OPEN,
        expires_at=now + LIFE,
    )

    async def body(work: Work) -> str:
        await store.end_links_of(work, issuer_id)
        code = _new_code()
        while not await store.insert_link(work, fresh, token_hash(code), now):
            code = _new_code()
        return code

    return fresh, await unit_of_work(body)


async def claim_link(code: str, claimant_id: AccountId, label: str) -> Link:
    """Answer a request by its code; both sides are then asked to agree. Typing it twice is harmless.

    Raises NotFound `link_code_wrong` for a code that is unknown, used or over, alike; BadInput `link_own_code` to the
    issuer; TooMany after 5 tries in 10 minutes; Unavailable when the tries cannot be counted.
    """
    await limits.guess("link.claim", claimant_id, CLAIM_TRIES, CLAIM_PER_S)
    typed = rules.link_code(code)
    found = await store.link_by_code(token_hash(typed)) if typed else None
    now = current().clock.now()
    if found is None or found.expires_at <= now:
        raise NotFound("link_code_wrong", field="code")
    if found.issuer == claimant_id:
        raise BadInput("link_own_code", field="code")

    async def body(work: Work) -> Link:
        claimed = await store.claim_link(
            work, found.id, claimant_id, one_line(label, LABEL_MOST), now=now, expires_at=now + LIFE
        )
        link = await store.link(found.id)
        if link is None or (not claimed and (link.state is not LinkState.CLAIMED or link.claimant != claimant_id)):
            raise NotFound("link_code_wrong", field="code")
        _tell(work, link)
        return link

    link = await unit_of_work(body)
    await limits.forget("link.claim", claimant_id)
    return link


async def get_link(id: LinkId, by: AccountId) -> Link:
    """The request, to its two sides only. Raises NotFound."""
    return _as_of_now(_visible(await store.link(id), by))


async def agree(work: Work, id: LinkId, by: AccountId) -> Link:
    """Say yes for one side; the request as it stands then, which nobody else moves until this work ends.

    Idempotent. Raises NotFound; Conflict `link_unclaimed`, `link_refused`, `link_expired`.
    """
    marked = await store.agree_link(work, id, by, current().clock.now())
    link = _as_of_now(_visible(await store.link(id), by))
    if not marked and link.state is not LinkState.DONE:
        raise Conflict("link_unclaimed" if link.state is LinkState.OPEN else f"link_{link.state}")
    _tell(work, link)
    return link


async def finish(work: Work, id: LinkId) -> Link:
    """Mark an agreed request as done, after the merge in the same work."""
    ended = await store.end_link(work, id, LinkState.DONE)
    assert ended, "a request is finished once, under its lock"
    link = await store.link(id)
    assert link is not None
    return link


async def refuse_link(id: LinkId, by: AccountId) -> Link:
    """Say no; the code and the other side's agreement are void. Idempotent.

    Raises NotFound; Conflict `link_done` when the accounts are one by now.
    """

    async def body(work: Work) -> Link:
        _visible(await store.link(id), by)
        ended = await store.end_link(work, id, LinkState.REFUSED)
        link = _visible(await store.link(id), by)
        if link.state is LinkState.DONE:
            raise Conflict("link_done")
        if ended:
            _tell(work, link)
        return link

    return await unit_of_work(body)


def _new_code() -> str:
    return "".join(secrets.choice(rules.CODE_ALPHABET) for _ in range(rules.CODE_LENGTH))


def _visible(link: Link | None, by: AccountId) -> Link:
    if link is None or by not in {link.issuer, link.claimant}:
        raise NotFound("link_unknown")
    return link


def _as_of_now(link: Link) -> Link:
    over = link.state in {LinkState.OPEN, LinkState.CLAIMED} and link.expires_at <= current().clock.now()
    return replace(link, state=LinkState.EXPIRED) if over else link


def _tell(work: Work, link: Link) -> None:
    async def tell_both() -> None:
        for side in (link.issuer, link.claimant):
            if side is not None:
                await tell(side, LinkChanged(link.id))

    work.after_commit(tell_both)
