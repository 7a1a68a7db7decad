"""Channels: what is kept, what is refused, what other processes see, and that no secret lies open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core import catalog, channels
from core.adapters import Fault
from core.catalog import Charge
from core.channels import Channel
from core.kit import changes
from core.kit.errors import AppError, BadInput, Conflict, NotFound
from core.kit.orm import read
from core.kit.scope import Scope, bind
from core.kit.secrets import SealBroken, Sealer
from tests.core.scopes import opened
from tests.fakes.provider import Provider

URL = "http://127.0.0.1:9/v1"


@pytest_asyncio.fixture
async def p() -> AsyncIterator[Provider]:
    async with Provider() as running:
        yield running


async def add(name: str = "c", **fields: object) -> Channel:
    given = {"models": {"m": "up"}, "base_url": URL, "keys": ["sk-secret-0001"], "by": "cli", **fields}
    return await channels.add(name, **given)  # type: ignore[arg-type]


async def test_an_added_channel_offers_candidates_at_once(house: Scope) -> None:
    channel = await add(keys=["sk-secret-0001", "sk-secret-0002"], weight=4)
    found = channels.candidates("m", "default")
    assert [(c.channel, c.upstream_model, c.secret, c.weight) for c in found] == [
        (channel.id, "up", "sk-secret-0001", 2.0),
        (channel.id, "up", "sk-secret-0002", 2.0),
    ]
    assert channels.candidates("other", "default") == []
    assert channels.served("default") == {"m"}
    assert [key.hint for key in channel.keys] == ["0001", "0002"]


async def test_a_channel_brings_its_models_into_the_catalog(house: Scope) -> None:
    await add(
        models={"m": "", "n": "up-n"},
        window=1000,
        max_output=50,
        terms=catalog.terms(free=True, price_in=None, price_out=None),
    )
    for name in ("m", "n"):
        model = catalog.find(name)
        assert model is not None
        assert (model.charge, model.profile.window, model.profile.max_output) == (Charge.FREE, 1000, 50)
    assert {c.upstream_model for name in ("m", "n") for c in channels.candidates(name, "")} == {"m", "up-n"}


async def test_without_a_price_its_models_are_unpriced(house: Scope) -> None:
    await add()
    model = catalog.find("m")
    assert model is not None
    assert model.charge is Charge.UNPRICED


async def test_no_secret_stands_in_the_database_readable(house: Scope) -> None:
    await add()
    await channels.edit("c", keys=["sk-secret-0002"], by="cli")
    for table in ("channel", "channel_key", "audit", "change"):
        assert "sk-secret" not in repr(await read(f'SELECT * FROM "{table}"'))
    assert "sk-secret" not in repr(channels.listing())
    assert "sk-secret" not in repr(channels.candidates("m", ""))


async def test_a_sealed_key_opens_in_its_own_row_only(house: Scope) -> None:
    channel = await add(keys=["sk-secret-0001", "sk-secret-0002"])
    rows = await read("SELECT id, sealed FROM channel_key ORDER BY position")
    sealer = house.sealer
    assert sealer.open(rows[0]["sealed"], f"channel_key:{channel.keys[0].id}") == "sk-secret-0001"
    with pytest.raises(SealBroken):
        sealer.open(rows[0]["sealed"], f"channel_key:{channel.keys[1].id}")


async def test_with_another_sealing_key_the_channel_is_shown_but_out_of_service(
    house: Scope, database_url: str
) -> None:
    await add()
    async with opened(database_url) as other:
        other.sealer = Sealer("another-secret")
        with bind(other):
            await channels.load()
            assert [channel.name for channel in channels.listing()] == ["c"]
            assert channels.candidates("m", "") == []


async def test_another_process_hears_of_every_change(house: Scope, database_url: str) -> None:
    async with opened(database_url) as other:
        with bind(other):
            await channels.load()
        await add()

        async def names() -> list[str]:
            with bind(other):
                await changes.feed().catch_up()
                return [candidate.channel_name for candidate in channels.candidates("m", "")]

        assert await names() == ["c"]
        await channels.edit("c", name="d", by="cli")
        assert await names() == ["d"]
        await channels.pause("d", by="cli")
        assert await names() == []
        await channels.resume("d", by="cli")
        assert await names() == ["d"]
        await channels.remove("d", by="cli")
        assert await names() == []
        with bind(other):
            assert channels.listing() == []


async def test_groups_decide_who_may_use_it(house: Scope) -> None:
    await add(groups=["gold"])
    assert channels.candidates("m", "default") == []
    assert len(channels.candidates("m", "gold")) == 1
    assert (channels.withheld("m", "default"), channels.withheld("m", "gold"), channels.withheld("x", "")) == (
        True,
        False,
        False,
    )


async def test_a_name_is_taken_once(house: Scope) -> None:
    await add("one")
    await add("two")
    with pytest.raises(Conflict):
        await add("one")
    with pytest.raises(Conflict):
        await channels.edit("two", name="one", by="cli")
    assert [channel.name for channel in channels.listing()] == ["one", "two"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://10.0.0.5:8080/v1/", "http://10.0.0.5:8080/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        (" https://api.example.com/v1/chat/completions ", "https://api.example.com/v1"),
        ("http://localai", "http://localai"),
    ],
)
async def test_a_base_url_is_kept_without_its_end(house: Scope, given: str, kept: str) -> None:
    assert (await add(base_url=given)).base_url == kept


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"base_url": None}, "base_url_missing"),
        ({"base_url": "ftp://host/v1"}, "base_url_invalid"),
        ({"base_url": "host:80/v1"}, "base_url_invalid"),
        ({"base_url": "http://"}, "base_url_invalid"),
        ({"base_url": "http://host:99999/"}, "base_url_invalid"),
        ({"base_url": "http://user:pw@host/"}, "base_url_invalid"),
        ({"base_url": "http://host/v1?key=1"}, "base_url_invalid"),
        ({"base_url": "http://[::1/v1"}, "base_url_invalid"),
        ({"vendor": "nobody"}, "vendor_unknown"),
        ({"vendor": "openai", "keys": []}, "channel_key_missing"),
        ({"keys": ["sk-1\r\nX-Evil: 1"]}, "channel_key_invalid"),
        ({"keys": ["schlüssel-1"]}, "channel_key_invalid"),
        ({"models": {}}, "channel_models_missing"),
        ({"models": {"": "x"}}, "model_name_invalid"),
        ({"priority": 1001}, "priority_invalid"),
        ({"weight": 0}, "weight_invalid"),
        ({"window": 0}, "tokens_invalid"),
    ],
)
async def test_wrong_input_is_refused_and_leaves_nothing(house: Scope, fields: dict[str, object], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        await add("c", **fields)
    assert caught.value.code == code
    assert await read("SELECT id FROM channel") == []
    assert await read("SELECT name FROM model") == []


async def test_what_is_not_named_in_an_edit_stays(house: Scope) -> None:
    before = await add(priority=3, weight=2, groups=["gold"])
    after = await channels.edit(before.id, weight=5, by="cli")
    assert (after.priority, after.weight, after.groups, after.keys, after.models) == (
        3,
        5,
        ("gold",),
        before.keys,
        before.models,
    )
    assert channels.find("c") == after


async def test_an_unknown_channel_is_not_found(house: Scope) -> None:
    for act in (channels.pause, channels.resume, channels.remove):
        with pytest.raises(NotFound):
            await act("nobody", by="cli")
    with pytest.raises(AppError):
        await channels.test("nobody")


async def test_changes_are_audited_with_their_author(house: Scope) -> None:
    channel = await add(by="acc_1")
    await channels.pause("c", by="cli")
    rows = await read("SELECT actor, action FROM audit WHERE subject = $1 ORDER BY id", [channel.id])
    assert [(row["actor"], row["action"]) for row in rows] == [("acc_1", "channel.added"), ("cli", "channel.paused")]


async def test_the_demo_comes_once_and_never_back(house: Scope) -> None:
    demo = await channels.ensure_demo()
    assert demo is not None
    assert demo.demo
    assert await channels.ensure_demo() is None
    assert [candidate.vendor for candidate in channels.candidates("demo", "")] == ["demo"]
    model = catalog.find("demo")
    assert model is not None
    assert (model.demo, model.charge) == (True, Charge.FREE)
    await channels.remove("demo", by="cli")
    assert await channels.ensure_demo() is None
    assert channels.listing() == []


async def test_there_is_no_demo_beside_a_real_channel(house: Scope) -> None:
    await add()
    assert await channels.ensure_demo() is None


async def test_a_test_tells_that_a_channel_answers(house: Scope, p: Provider) -> None:
    await add(base_url=p.base_url)
    result = await channels.test("c")
    assert (result.ok, result.model, result.fault) == (True, "m", None)
    assert p.requests[0].body["model"] == "up"


async def test_a_test_names_the_key_that_fails_also_of_a_paused_channel(house: Scope, p: Provider) -> None:
    await add(base_url=p.base_url, keys=["sk-secret-0001", "sk-secret-0002"])
    await channels.pause("c", by="cli")
    p.script("ok", "401")
    result = await channels.test("c")
    assert (result.ok, result.fault, result.status, result.key_hint) == (False, Fault.KEY_DEAD, 401, "0002")
    assert "sk-" not in result.message


async def test_a_test_of_the_demo_needs_nobody(house: Scope) -> None:
    await channels.ensure_demo()
    assert (await channels.test("demo")).ok
