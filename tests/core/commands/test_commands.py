"""Commands against the rooms they ask: what they answer, to whom, and in which language."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from core import accounts, catalog, channels, commands, conversations, db, settings
from core.accounts import LinkState
from core.chat import Action, Verb, pack
from core.commands import Buttons, Choices, CommandContext, Fields, Paragraph, Reply
from core.i18n import LOCALES, has, t
from core.kit import changes, scope
from core.kit.clock import SystemClock
from core.kit.errors import NotFound
from core.kit.ids import OwnerId, new_id
from core.kit.redis import Keys, close_redis, open_redis
from core.kit.supervisor import Supervisor

LONG = "a-model-with-a-name-that-no-button-of-sixty-four-bytes-can-carry-whole"


@pytest_asyncio.fixture
async def opened(database: db.Database, redis_url: str) -> AsyncIterator[scope.Scope]:
    redis = open_redis(redis_url)
    made = scope.Scope(
        config=cast(Any, SimpleNamespace(embedded=True)),
        role="test",
        owner=OwnerId(new_id("own")),
        database=database,
        redis=redis,
        keys=Keys(f"test:{new_id('req')}:"),
        http=cast(Any, None),
        sealer=cast(Any, None),
        clock=SystemClock(),
        supervisor=Supervisor(),
    )
    with scope.bind(made):
        made.supervisor.capture()
        for load in (settings.load, catalog.load, channels.load):
            await load()
        models = {"small": "small", "Big-One": "big", LONG: "long", "unpriced": "unpriced"}
        await channels.add("script", vendor="script", base_url="script:none", models=models, by="test")
        for name in ("small", "Big-One", LONG):
            await catalog.price(name, free=True, by="test")
        await settings.set("chat.default_model", "small", by="test")
        await changes.feed().catch_up()
        yield made
        await made.supervisor.cancel_all(timeout_s=5)
    await close_redis(redis)


async def context(person: str = "7", locale: str = "en") -> CommandContext:
    account = await accounts.resolve("telegram", person, f"User{person}")
    place = conversations.place("telegram", "42", person)
    return CommandContext(account, locale, "telegram", place, f"Telegram User{person}")


def text(reply: Reply) -> str:
    lines = []
    for block in reply.blocks:
        match block:
            case Paragraph(words):
                lines.append(words)
            case Fields(rows):
                lines += [f"{label} {value}" for label, value in rows]
            case Choices(options) | Buttons(options):
                lines += [label for label, _ in options]
    return "\n".join(lines)


def targets(reply: Reply) -> dict[str, str]:
    [choices] = [block for block in reply.blocks if isinstance(block, Choices)]
    return {label: action.target for label, action in choices.options}


def test_names_and_captions_suit_both_platforms() -> None:
    for command in commands.COMMANDS:
        assert re.fullmatch(r"[a-z]{1,32}", command.name)
        for key in (command.caption_key, command.argument_key):
            for locale in LOCALES:
                assert key is None or (has(key) and 1 <= len(t(key, locale)) <= 100)


def test_commands_are_found_in_any_case() -> None:
    found = commands.find("BALANCE")
    assert found is not None
    assert found.name == "balance"
    assert commands.find("sudo") is None


async def test_an_unknown_command_is_said_to_be_one(opened: scope.Scope) -> None:
    with pytest.raises(NotFound, match="command_unknown"):
        await commands.run("sudo", "", await context())


async def test_help_names_every_command_in_the_readers_language(opened: scope.Scope) -> None:
    for locale in LOCALES:
        told = text(await commands.run("help", "", await context(locale=locale)))
        for command in commands.COMMANDS:
            assert f"/{command.name} {t(command.caption_key, locale)}" in told


async def test_models_are_offered_with_the_present_one_marked(opened: scope.Scope) -> None:
    reply = await commands.run("model", "", await context())
    offered = targets(reply)
    assert {"small", "Big-One", LONG} <= set(offered)
    assert "unpriced" not in offered
    [choices] = [block for block in reply.blocks if isinstance(block, Choices)]
    assert choices.chosen is not None
    assert choices.options[choices.chosen][0] == "small"


async def test_every_choice_fits_into_a_button_and_chooses_its_model(opened: scope.Scope) -> None:
    asked = await context()
    for name, target in targets(await commands.run("model", "", asked)).items():
        action = Action(Verb.MODEL, target)
        pack(action)
        await commands.act(action, asked)
        assert (await accounts.get(asked.account.id)).default_model == name


@pytest.mark.parametrize("typed", ["Big-One", "big-one", "  BIG-ONE "])
async def test_a_model_is_chosen_by_its_name_in_any_case(opened: scope.Scope, typed: str) -> None:
    asked = await context()
    await commands.run("model", typed, asked)
    assert (await accounts.get(asked.account.id)).default_model == "Big-One"


@pytest.mark.parametrize("typed", ["nothing", "unpriced", "#0000"])
async def test_a_model_that_is_not_offered_cannot_be_chosen(opened: scope.Scope, typed: str) -> None:
    with pytest.raises(NotFound, match="model_unknown"):
        await commands.run("model", typed, await context())


async def test_choosing_a_model_changes_ones_own_conversation_only(opened: scope.Scope) -> None:
    owner, guest = await context("7"), await context("8")
    shared = await conversations.create(owner.account.id, "telegram", place=owner.place)
    await conversations.bind(guest.place, shared.id)
    await commands.run("model", "Big-One", guest)
    assert (await conversations.get(shared.id, owner.account.id)).model is None
    await commands.run("model", "Big-One", owner)
    assert (await conversations.get(shared.id, owner.account.id)).model == "Big-One"


async def test_new_frees_the_place_and_keeps_the_conversation(opened: scope.Scope) -> None:
    asked = await context()
    old = await conversations.create(asked.account.id, "telegram", place=asked.place)
    await commands.act(Action(Verb.NEW), asked)
    assert await conversations.bound(asked.place) is None
    assert [view.id for view in await conversations.listing(asked.account.id)] == [old.id]


async def test_stop_says_when_nothing_runs(opened: scope.Scope) -> None:
    assert "Nothing" in text(await commands.run("stop", "", await context()))


async def test_the_balance_is_for_the_askers_eyes(opened: scope.Scope) -> None:
    reply = await commands.run("balance", "", await context())
    assert reply.secret
    assert "0.00" in text(reply)


async def test_both_sides_of_a_link_are_asked_before_accounts_are_joined(opened: scope.Scope) -> None:
    issuer, claimant = await context("7"), await context("8")
    issued = await commands.run("link", "", issuer)
    assert issued.secret
    assert issued.watch is not None
    code = text(issued).split("`")[1]
    assert await commands.link_news(issued.watch, issuer) is None
    asked = await commands.run("link", code, claimant)
    assert "Telegram User7" in text(asked)
    told = await commands.link_news(issued.watch, issuer)
    assert told is not None
    assert "Telegram User8" in text(told)
    waiting = await commands.act(Action(Verb.LINK_ACCEPT, issued.watch), claimant)
    assert waiting.watch is not None
    assert (await accounts.get_link(issued.watch, issuer.account.id)).state is LinkState.CLAIMED
    done = await commands.act(Action(Verb.LINK_ACCEPT, issued.watch), issuer)
    assert done.watch is None
    ids = {(await accounts.resolve("telegram", person, "")).id for person in ("7", "8")}
    assert len(ids) == 1
    news = [await commands.link_news(issued.watch, side) for side in (issuer, claimant)]
    assert [one and text(one) for one in news] == [text(done), text(done)]


async def test_a_refused_link_is_told_to_the_other_side(opened: scope.Scope) -> None:
    issuer, claimant = await context("7"), await context("8")
    issued = await commands.run("link", "", issuer)
    await commands.run("link", text(issued).split("`")[1], claimant)
    assert issued.watch is not None
    await commands.act(Action(Verb.LINK_REFUSE, issued.watch), claimant)
    told = await commands.link_news(issued.watch, issuer)
    assert told is not None
    assert "Not joined" in text(told)


async def test_a_stranger_cannot_agree_to_a_link(opened: scope.Scope) -> None:
    issued = await commands.run("link", "", await context("7"))
    assert issued.watch is not None
    with pytest.raises(NotFound):
        await commands.act(Action(Verb.LINK_ACCEPT, issued.watch), await context("9"))


async def test_the_handlers_never_answer_with_a_missing_text(opened: scope.Scope) -> None:
    for command in commands.COMMANDS:
        for locale in LOCALES:
            reply = await commands.run(command.name, "", replace(await context(), locale=locale))
            assert not re.search(r"\b(command|button|error)\.[a-z_]+", text(reply))
