"""Settings: typed, checked, audited, and the same in every process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from core import i18n, settings
from core.kit import changes
from core.kit.errors import BadInput, NotFound
from core.kit.orm import Work, read, unit_of_work
from core.kit.scope import Scope, bind
from tests.core.scopes import opened


@pytest_asyncio.fixture
async def two(database_url: str) -> AsyncIterator[tuple[Scope, Scope]]:
    async with opened(database_url) as one, opened(database_url) as other:
        for scope in (other, one):
            with bind(scope):
                await settings.load()
        yield one, other


async def test_a_setting_has_its_default_until_a_person_sets_it(two: tuple[Scope, Scope]) -> None:
    with bind(two[0]):
        assert settings.get(settings.CREDITS_PER_UNIT) == Decimal(10)
        view = await settings.set("billing.credits_per_unit", " 12.50 ", by="cli")
        assert (view.value, view.default, view.changed) == ("12.50", "10", True)
        assert settings.get(settings.CREDITS_PER_UNIT) == Decimal("12.5")
        view = await settings.set("billing.credits_per_unit", None, by="cli")
        assert (view.value, view.changed) == ("10", False)


async def test_another_process_follows_and_a_later_one_reads_it(two: tuple[Scope, Scope], database_url: str) -> None:
    one, other = two
    with bind(one):
        await settings.set("turns.parallel", "7", by="cli")
    with bind(other):
        assert settings.get(settings.TURNS_PARALLEL) == 3
        await changes.feed().catch_up()
        assert settings.get(settings.TURNS_PARALLEL) == 7
    async with opened(database_url) as third:
        with bind(third):
            assert settings.get(settings.TURNS_PARALLEL) == 3
            await settings.load()
            assert settings.get(settings.TURNS_PARALLEL) == 7


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("turns.parallel", "0"),
        ("turns.parallel", "three"),
        ("turns.parallel", "1e2"),
        ("turns.parallel", "³"),
        ("billing.credits_per_unit", "0"),
        ("billing.credits_per_unit", "NaN"),
        ("billing.credits_per_unit", "0.0000001"),
        ("site.name", ""),
        ("site.name", "x" * 61),
        ("site.name", "two\nlines"),
        ("site.currency", "RMB¥"),
    ],
)
async def test_a_wrong_value_is_refused_with_what_is_expected(two: tuple[Scope, Scope], key: str, text: str) -> None:
    with bind(two[0]):
        with pytest.raises(BadInput) as refused:
            await settings.set(key, text, by="cli")
        for locale in i18n.LOCALES:
            told = i18n.explain(refused.value, locale)
            assert key in told
            assert "…" not in told
        assert await read("SELECT key FROM setting") == []


async def test_an_unknown_setting_is_not_found(two: tuple[Scope, Scope]) -> None:
    with bind(two[0]), pytest.raises(NotFound):
        await settings.set("no.such", "1", by="cli")


async def test_a_change_is_audited_once(two: tuple[Scope, Scope]) -> None:
    with bind(two[0]):
        await settings.set("site.name", "Tea House", by="acc_1")
        await settings.set("site.name", "Tea House", by="acc_1")
        rows = await read("SELECT actor, action, subject, before, after FROM audit")
    assert rows == [
        {
            "actor": "acc_1",
            "action": "setting.changed",
            "subject": "site.name",
            "before": None,
            "after": '{"value":"Tea House"}',
        }
    ]


async def test_what_another_release_wrote_does_not_stop_the_start(two: tuple[Scope, Scope]) -> None:
    async def body(work: Work) -> None:
        for key, value in (("turns.parallel", '"9999"'), ("gone.setting", '"x"'), ("turns.queued", "4")):
            await work.change(
                "INSERT INTO setting (key, value, updated_at) VALUES ($1, $2, '2026-01-01T00:00:00+00:00')",
                [key, value],
            )

    with bind(two[0]):
        await unit_of_work(body)
        await settings.load()
        assert settings.get(settings.TURNS_PARALLEL) == 3
        assert settings.get(settings.TURNS_QUEUED) == 4


async def test_the_listing_names_every_setting(two: tuple[Scope, Scope]) -> None:
    with bind(two[0]):
        shown = {view.key: view for view in settings.listing()}
    assert shown["site.name"].value == "Parley"
    assert {view.caption_key for view in shown.values()} == {f"setting.{key}" for key in shown}
    for view in shown.values():
        assert i18n.has(view.caption_key), view.key
