"""The poller: asks getUpdates for raw JSON, stores every update, and only then moves the offset.

A crash between the two brings the same updates again, and the inbox knows them by their ids. The server keeps what was
not confirmed for 24 hours.
"""

from __future__ import annotations

import asyncio

import orjson
import structlog

from bots.common.feed import Feed
from bots.telegram.api import ApiError, BotApi, Json, NoAnswer, NotSent
from bots.telegram.updates import KINDS
from core.kit.errors import Unavailable
from core.kit.scope import current

log = structlog.get_logger(__name__)

LONG_POLL_S = 25
LIMIT = 100
CONFLICT_S = 10.0
"""Another process polls with this token: each getUpdates ends the other's, so step back for a while."""
PAUSE_MOST_S = 30.0


class Poller:
    """Receives the updates of one bot."""

    def __init__(self, api: BotApi, feed: Feed) -> None:
        self._api, self._feed = api, feed
        self._offset = 0

    async def run(self) -> None:
        """A service: receive until the process drains."""
        pause_s = 0.5
        while not current().draining:
            try:
                await self._once()
                pause_s = 0.5
                continue
            except ApiError as error:
                wait_s = await self._refused(error, pause_s)
            except (NotSent, NoAnswer) as error:
                log.warning("telegram.away", why=str(error))
                wait_s = pause_s
            except Unavailable as error:
                log.warning("telegram.not_stored", code=error.code)
                wait_s = pause_s
            pause_s = min(PAUSE_MOST_S, pause_s * 2)
            await asyncio.sleep(wait_s)

    async def _once(self) -> None:
        params: dict[str, Json] = {"timeout": LONG_POLL_S, "limit": LIMIT, "allowed_updates": list(KINDS)}
        if self._offset:
            params["offset"] = self._offset
        updates = await self._api.call("getUpdates", params, timeout_s=LONG_POLL_S + 15)
        if not isinstance(updates, list) or not updates:
            return
        known = [one for one in updates if isinstance(one, dict) and isinstance(one.get("update_id"), int)]
        if len(known) < len(updates):
            log.error("telegram.nameless_updates", count=len(updates) - len(known))
        if not known:
            await asyncio.sleep(1.0)
            return
        await self._feed.store([(str(one["update_id"]), orjson.dumps(one).decode()) for one in known])
        self._offset = max(one["update_id"] for one in known) + 1

    async def _refused(self, error: ApiError, pause_s: float) -> float:
        if error.retry_after_s is not None:
            return error.retry_after_s + 0.3
        if error.code == 409 and "webhook" in error.description:
            log.warning("telegram.webhook_removed")
            await self._api.call("deleteWebhook", {})
            return 0.1
        if error.code == 409:
            log.warning("telegram.conflict", hint="another process polls with this bot's token")
            return max(CONFLICT_S, pause_s)
        log.error("telegram.poll_refused", why=str(error))
        return pause_s if error.code >= 500 else max(CONFLICT_S, pause_s)
