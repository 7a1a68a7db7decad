"""The Discord surface against a server that counts as Discord does: nonces, whispers, dying tokens, refusals."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from discord.http import Route

from bots.common.pager import Measure
from bots.common.surface import Button, Missing, Page, Place, Sent, Uncertain, Unreachable, Unsent
from bots.discord.app import ParleyClient
from bots.discord.surface import DiscordSurface, Traffic
from core.chat import Action, Verb
from tests.fakes.discord import BOT, GENERAL, TOKEN, FakeDiscord, Fault

STOP = Button("Stop", Action(Verb.STOP, "turn_1"), "danger")
CHANNEL: Place = {"chat": GENERAL, "reply": "7"}


@pytest_asyncio.fixture
async def client(discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ParleyClient]:
    monkeypatch.setattr(Route, "BASE", f"{discord.url}/api/v10")
    client = ParleyClient()
    await client.login(TOKEN)
    yield client
    await client.close()


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


def surface_of(client: ParleyClient, traffic: Traffic, place: Place = CHANNEL) -> DiscordSurface:
    return DiscordSurface(client.http, traffic, place)


async def interaction(discord: FakeDiscord, *, quiet: bool = False, outside: bool = False) -> Place:
    """The place of an acknowledged slash command."""
    token = await discord.slash("chat", channel=GENERAL)
    discord._acknowledge(token, {"type": 5, "data": {"flags": 64 if quiet else 0}})
    return {
        "chat": GENERAL,
        "app": BOT,
        "token": token,
        "until": int(time.time()) + 60,
        "original": True,
        "quiet": quiet,
        "outside": outside,
    }


async def test_a_page_is_a_reply_with_its_buttons_and_only_the_first_one(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    surface = surface_of(client, traffic)
    await surface.post(Page("one", ((STOP,),)), "turn.0")
    await surface.post(Page("two"), "turn.1")
    first, second = discord.bots(GENERAL)
    assert (first.content, first.reply_to, first.labels) == ("one", "7", ["Stop"])
    assert (second.content, second.reply_to) == ("two", None)
    assert discord.breaches == []


async def test_a_send_with_a_known_key_is_the_same_message_with_the_newest_text(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    surface = surface_of(client, traffic)
    discord.fault("POST /channels", Fault(drop="after"))
    with pytest.raises(Uncertain):
        await surface.post(Page("half", ((STOP,),)), "turn.0")
    await surface.post(Page("whole"), "turn.0")
    [shown] = discord.bots(GENERAL)
    assert (shown.content, shown.labels) == ("whole", [])


async def test_a_page_that_outgrew_a_message_becomes_two_and_no_character_is_lost(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    surface = surface_of(client, traffic)
    text = "word " * 380 + "\n\n" + "_a long footer_ " * 20
    sent = await surface.post(Page("word"), "turn.0")
    sent = await surface.edit(sent, Page(text, ((STOP,),)))
    await surface.edit(sent, Page(text, ((STOP,),)))
    first, second = discord.bots(GENERAL)
    assert (first.content + " " + second.content).split() == text.split()
    assert (first.labels, second.labels) == ([], ["Stop"])
    assert all(Measure.UTF16.of(one.content) <= 2000 for one in (first, second))


async def test_a_repeat_of_a_long_reply_goes_on_behind_what_arrived(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    surface = surface_of(client, traffic)
    discord.fault("POST /channels", Fault(), Fault(drop="after"))
    with pytest.raises(Uncertain):
        await surface.post(Page("x " * 2500), "key")
    await surface.post(Page("x " * 2500), "key")
    assert "".join(one.content for one in discord.bots(GENERAL)).replace(" ", "") == "x" * 2500


async def test_the_deferred_response_is_used_once_also_by_another_surface(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    place = await interaction(discord)
    first = await surface_of(client, traffic, place).post(Page("the answer"), "turn.0")
    await surface_of(client, traffic, place).post(Page("a notice"), "a0b1")
    response, notice = discord.bots(GENERAL)
    assert (response.id, response.content, response.loading) == (first.message, "the answer", False)
    assert (notice.content, notice.token) == ("a notice", None)


async def test_a_later_page_never_takes_the_response_of_the_first(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    place = await interaction(discord)
    await surface_of(client, traffic, place).post(Page("page two, after a restart"), "turn.1")
    response, page = discord.bots(GENERAL)
    assert response.loading
    assert page.content == "page two, after a restart"


async def test_a_response_without_an_answer_is_repeated_as_the_same_message(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    surface = surface_of(client, traffic, await interaction(discord))
    discord.fault("PATCH /webhooks", Fault(drop="after"))
    with pytest.raises(Unsent):
        await surface.post(Page("half"), "turn.0")
    await surface.post(Page("whole"), "turn.0")
    assert [one.content for one in discord.bots(GENERAL)] == ["whole"]


async def test_whispers_stay_whispers_and_need_the_interaction(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    place = await interaction(discord, quiet=True)
    surface = surface_of(client, traffic, place)
    sent = await surface.post(Page("for you"), "a0")
    await surface.post(Page("and this"), "a1")
    await surface.edit(sent, Page("for you alone"))
    assert [(one.content, one.whispered) for one in discord.bots(GENERAL)] == [
        ("for you alone", True),
        ("and this", True),
    ]
    over = surface_of(client, traffic, {**place, "until": 0})
    with pytest.raises(Unreachable):
        await over.post(Page("too late"), "a2")
    with pytest.raises(Unreachable):
        await over.edit(sent, Page("too late"))
    assert discord.breaches == []


async def test_a_token_that_died_early_sends_to_the_channel(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic
) -> None:
    surface = surface_of(client, traffic, await interaction(discord))
    discord.token_s = 0.0
    await surface.post(Page("the answer"), "turn.0")
    assert [one.content for one in discord.bots(GENERAL) if not one.loading] == ["the answer"]


async def test_follow_ups_are_not_called_repeatable(client: ParleyClient, traffic: Traffic) -> None:
    assert surface_of(client, traffic).limits.repeatable
    assert not surface_of(client, traffic, {**CHANNEL, "outside": True}).limits.repeatable


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=404, code=10008), Missing),
        (Fault(status=403, code=50001), Unreachable),
        (Fault(status=404, code=10003), Unreachable),
        (Fault(status=401), Unsent),
        (Fault(drop="before"), Uncertain),
    ],
)
async def test_refusals_are_told_in_the_words_of_the_presenter(
    discord: FakeDiscord, client: ParleyClient, traffic: Traffic, fault: Fault, told: type[Exception]
) -> None:
    surface = surface_of(client, traffic)
    sent = await surface.post(Page("one"), "turn.0")
    discord.fault("PATCH /channels", fault)
    with pytest.raises(told):
        await surface.edit(sent, Page("two"))


async def test_what_is_not_shown_yet_does_not_wait_and_answers_take_turns(
    client: ParleyClient, discord: FakeDiscord, traffic: Traffic
) -> None:
    first, second = surface_of(client, traffic), surface_of(client, traffic)
    assert first.live_wait(draft=False) == 0.0
    one = await first.post(Page("one"), "a.0")
    await first.edit(one, Page("one more"), live=True)
    assert 1.0 < first.live_wait(draft=False) <= 1.3
    assert second.live_wait(draft=False) == 0.0
    two = await second.post(Page("two"), "b.0")
    await second.edit(two, Page("two more"), live=True)
    assert 2.0 < first.live_wait(draft=False) <= 2.6
    second.close()
    assert first.live_wait(draft=False) <= 1.3


async def test_hints_stop_where_discord_shows_thinking_and_never_fail(
    client: ParleyClient, discord: FakeDiscord, traffic: Traffic
) -> None:
    discord.fault("typing", Fault(drop="before"))
    await surface_of(client, traffic).hint()
    await surface_of(client, traffic, await interaction(discord)).hint()
    assert [path for _, path, _ in discord.calls if "typing" in path] == [f"/channels/{GENERAL}/typing"]


async def test_blank_text_is_shown_as_a_sign(client: ParleyClient, discord: FakeDiscord, traffic: Traffic) -> None:
    sent = await surface_of(client, traffic).post(Page(" \n"), "a.0")
    assert isinstance(sent, Sent)
    assert discord.bots(GENERAL)[0].content == "…"
