"""Models: their prices, who sees them, and that every process hears of a change."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core import catalog
from core.catalog import Charge
from core.kit import changes
from core.kit.errors import BadInput, NotFound
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import Scope, bind
from tests.core.scopes import opened


async def put(name: str, *, window: int | None = None, max_output: int | None = None, demo: bool = False) -> None:
    async def body(work: Work) -> None:
        await catalog.upsert(work, name, window=window, max_output=max_output, demo=demo)

    await unit_of_work(body)


async def test_a_new_model_is_unpriced_with_the_default_profile(house: Scope) -> None:
    await put("m")
    model = catalog.find("m")
    assert model is not None
    assert (model.charge, model.price, model.price_version) == (Charge.UNPRICED, None, 1)
    assert (model.profile.window, model.profile.max_output) == (32_768, 4_096)
    assert catalog.find("other") is None


async def test_an_unpriced_model_is_for_administrators(house: Scope) -> None:
    await put("m")
    assert [model.name for model in catalog.visible(is_admin=True)] == ["m"]
    assert catalog.visible(is_admin=False) == []
    await catalog.price("m", free=True, by="cli")
    assert [model.name for model in catalog.visible(is_admin=False)] == ["m"]
    assert catalog.visible(is_admin=False, served={"other"}) == []


async def test_a_price_is_exact_and_has_a_version(house: Scope) -> None:
    await put("m")
    model = await catalog.price("m", price_in="0.1", price_out=Decimal("2.50"), by="cli")
    assert model.price == catalog.Price(Decimal("0.1"), Decimal("2.50"), "CNY")
    assert (model.charge, model.price_version) == (Charge.TOKEN, 2)
    assert catalog.find("m") == model
    again = await catalog.price("m", free=True, by="cli")
    assert (again.charge, again.price, again.price_version) == (Charge.FREE, None, 3)


async def test_a_second_upsert_keeps_what_it_does_not_name(house: Scope) -> None:
    await put("m", window=1000)
    await catalog.price("m", free=True, by="cli")
    await put("m", max_output=100)
    model = catalog.find("m")
    assert model is not None
    assert (model.profile.window, model.profile.max_output, model.charge) == (1000, 100, Charge.FREE)


async def test_demos_come_last(house: Scope) -> None:
    await put("a-demo", demo=True)
    await put("z")
    await catalog.price("z", free=True, by="cli")
    assert [model.name for model in catalog.visible(is_admin=False)] == ["z", "a-demo"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "price_incomplete"),
        ({"price_in": "1"}, "price_incomplete"),
        ({"free": True, "price_in": "1", "price_out": "1"}, "price_or_free"),
        ({"price_in": "-1", "price_out": "1"}, "price_invalid"),
        ({"price_in": "1", "price_out": "NaN"}, "price_invalid"),
        ({"price_in": "one", "price_out": "1"}, "price_invalid"),
    ],
)
async def test_a_wrong_price_is_refused(house: Scope, fields: dict[str, str], code: str) -> None:
    await put("m")
    with pytest.raises(BadInput) as caught:
        await catalog.price("m", by="cli", **fields)  # type: ignore[arg-type]
    assert caught.value.code == code


async def test_an_unknown_model_cannot_be_priced(house: Scope) -> None:
    with pytest.raises(NotFound):
        await catalog.price("nobody", free=True, by="cli")


@pytest.mark.parametrize("name", ["", " ", "x" * 121, "a\nb"])
async def test_a_name_that_nobody_could_type_is_refused(house: Scope, name: str) -> None:
    with pytest.raises(BadInput):
        await put(name)


async def test_changes_are_audited(house: Scope) -> None:
    await put("m")
    await catalog.price("m", free=True, by="cli")
    rows = await read("SELECT actor, action FROM audit WHERE subject = 'm' ORDER BY id")
    assert [(row["actor"], row["action"]) for row in rows] == [("system", "model.added"), ("cli", "model.priced")]


async def test_another_process_hears_of_a_price(house: Scope, database_url: str) -> None:
    async with opened(database_url) as other:
        with bind(other):
            await catalog.load()
        await put("m")
        with bind(other):
            assert catalog.find("m") is None
            await changes.feed().catch_up()
            assert catalog.find("m") is not None
