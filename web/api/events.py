"""Event streams: one turn's, resumable by `after=epoch.seq`; and the account's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import orjson
from aiohttp import web

from core import i18n, live, turns
from core.chat import Failed, Finished, Notice, wire
from core.kit.errors import BadInput
from core.kit.ids import AccountId, TurnId
from core.kit.money import format_credits
from web.api.turns import turn_id
from web.middleware.locale import locale_of
from web.middleware.session import logged_in, still_in
from web.sse import serve


async def turn_events(request: web.Request) -> web.StreamResponse:
    """Replay, then live, until the turn ends."""
    account = logged_in(request)
    turn = await turns.get(turn_id(request), by=account.id)
    after = _cursor(request)
    return await serve(request, _turn_frames(turn.id, after, locale_of(request)), welcome=lambda: still_in(request))


async def account_events(request: web.Request) -> web.StreamResponse:
    """What changes for this account, as ids; live from now on, or from `after`."""
    account = logged_in(request)
    return await serve(request, _account_frames(account.id, _cursor(request)), welcome=lambda: still_in(request))


async def _turn_frames(turn: TurnId, after: live.Cursor | None, locale: str) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(turns.follow(turn, after=after)) as events:  # type: ignore[type-var]
        async for numbered in events:
            shown = wire.dump_event(numbered.event)
            match numbered.event:
                case Notice(code, params):
                    shown["message"] = i18n.t(f"notice.{code}", locale, **params)
                case Failed(code, params):
                    shown["message"] = i18n.explain_code(code, params, locale)
                case Finished():
                    shown["cost_text"] = format_credits(numbered.event.cost_micro)
                case _:
                    pass
            yield _frame(str(numbered.cursor), shown)


async def _account_frames(account: AccountId, after: live.Cursor | None) -> AsyncIterator[bytes]:
    log, topic = live.log(), live.account_topic(account)
    async with contextlib.aclosing(log.follow(topic, after or await log.tail(topic))) as entries:  # type: ignore[type-var]
        async for entry in entries:
            if entry.gap:
                yield _frame(str(entry.cursor), {"type": "missed"})
            yield _framed(str(entry.cursor), entry.data)


def _cursor(request: web.Request) -> live.Cursor | None:
    text = request.query.get("after") or request.headers.get("Last-Event-ID")
    if not text:
        return None
    try:
        return live.Cursor.parse(text)
    except ValueError as error:
        raise BadInput("field_invalid", field="after") from error


def _frame(identity: str, value: object) -> bytes:
    return _framed(identity, orjson.dumps(value))


def _framed(identity: str, data: bytes) -> bytes:
    return b"id: " + identity.encode() + b"\ndata: " + data + b"\n\n"
