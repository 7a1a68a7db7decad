"""The end of a transaction, the same on both databases: COMMIT or ROLLBACK, then what was taken is given back."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import structlog
from tortoise.backends.base.client import TransactionContext
from tortoise.connection import ConnectionHandler, get_connections

log = structlog.get_logger(__name__)


class Transacting(TransactionContext):
    """Base of both backends' contexts: they say how to take (`__aenter__`) and how to give back.

    `_entered` sets the context variable; call it only after BEGIN, so that a failed one leaves nothing set.
    """

    __slots__ = ("_handler", "_token", "client")

    def __init__(self) -> None:
        self._handler: ConnectionHandler = get_connections()
        self.client: Any

    def _entered(self) -> None:
        self._token = self._handler.set(self.client.connection_name, self.client)

    async def _give_back(self) -> None:
        """Return the lock or the connection of the pool."""
        raise AssertionError("each backend says how")

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            if self.client._finalized:
                return
            if exc_type is None:
                await self.client.commit()
                return
            try:
                await self.client.rollback()
            except Exception as exc:
                # The body's own error goes on; the connection is as broken as this says.
                log.warning("database.rollback_failed", error=type(exc).__name__)
        finally:
            self._handler.reset(self._token)
            await self._give_back()
