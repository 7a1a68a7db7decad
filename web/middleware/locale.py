"""The reader's language: the account's choice, else what the browser asks for."""

from __future__ import annotations

from aiohttp import web

from core import i18n
from web.keys import ACCOUNT


def locale_of(request: web.Request) -> str:
    """A locale that we have."""
    account = request.get(ACCOUNT)
    if account is not None and account.locale:
        return i18n.match(account.locale)
    first, _, _ = request.headers.get("Accept-Language", "en").partition(",")
    return i18n.match(first.partition(";")[0].strip())
