"""Right after a start, while aiogram is still being imported: everything a person does is answered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bots.telegram import app
from tests.bots.telegram.conftest import House
from tests.bots.telegram.test_bot import asked, last, settled


@pytest.fixture
def importing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import never ends."""

    async def never(*_: object) -> Callable[[object], Awaitable[None]]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr(app, "_handlers", never)


async def test_messages_commands_and_presses_do_not_wait_for_aiogram(importing: None, house: House) -> None:
    first = await asked(house, "hi")
    assert first.text == "Hello world"
    assert "/help" in (await asked(house, "/help")).text
    before = len(house.telegram.texts(7))
    house.telegram.press(first, first.data("Retry"))
    await house.telegram.until(lambda: len(house.telegram.texts(7)) > before)
    await settled(house)
    assert last(house).text == "Hello world"
    assert house.telegram.breaches == []


async def test_an_update_of_an_odd_shape_stops_nothing_meanwhile(importing: None, house: House) -> None:
    house.telegram.update(message={"message_id": "x", "chat": 5})
    assert (await asked(house, "after it")).text == "Hello world"
