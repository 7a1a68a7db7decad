"""The witness writes in the changing unit of work, or not at all."""

from __future__ import annotations

import contextlib

from core import audit
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import bind
from tests.core.scopes import opened


async def test_an_entry_says_who_changed_what(database_url: str) -> None:
    async def body(work: Work) -> None:
        await audit.write(
            work, "cli", "channel.edited", "ch_" + "1" * 300, before={"name": "a"}, after={"name": "b", "keys": 2}
        )

    async with opened(database_url) as scope:
        with bind(scope):
            await unit_of_work(body)
            (row,) = await read("SELECT actor, action, subject, before, after FROM audit")
    assert (row["actor"], row["action"], len(row["subject"])) == ("cli", "channel.edited", 200)
    assert (row["before"], row["after"]) == ('{"name":"a"}', '{"name":"b","keys":2}')


async def test_what_is_rolled_back_was_not_witnessed(database_url: str) -> None:
    async def body(work: Work) -> None:
        await audit.write(work, "cli", "channel.removed", "ch_1")
        raise LookupError

    async with opened(database_url) as scope:
        with bind(scope):
            with contextlib.suppress(LookupError):
                await unit_of_work(body)
            assert await read("SELECT id FROM audit") == []
