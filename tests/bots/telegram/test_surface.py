"""The Telegram surface against a server that counts as Telegram does: floods, fallbacks, drafts, unknown outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bots.common.pacing import Rate
from bots.common.surface import Button, Flooded, Missing, Page, Uncertain, Unreachable, Unsent
from bots.telegram import surface as under_test
from bots.telegram.api import ApiError, BotApi, NoAnswer, NotSent
from bots.telegram.entities import as_entities, rich_markdown
from bots.telegram.surface import Chats
from core.chat import Action, Verb, unpack
from tests.fakes.telegram import TOKEN, FakeTelegram, Fault

PRIVATE = {"chat": "7", "thread": "0"}
GROUP = {"chat": "-100", "thread": "0", "reply_to": "5"}
STOP = Button("Stop", Action(Verb.STOP, "turn_1"), "danger")


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as server:
        yield server


@pytest.fixture
async def chats(telegram: FakeTelegram) -> AsyncIterator[Chats]:
    async with BotApi(telegram.url, TOKEN) as api:
        yield Chats(api)


async def test_a_page_is_sent_rich_with_its_buttons(telegram: FakeTelegram, chats: Chats) -> None:
    sent = await chats.surface(GROUP).post(Page("# Hi\n\nthere", ((STOP,),)), "key")
    [shown] = telegram.messages
    assert (shown.rich, shown.text, shown.reply_to, str(shown.id)) == (True, "# Hi\n\nthere", 5, sent.message)
    assert unpack(shown.data("Stop")) == STOP.action


async def test_what_rich_refuses_goes_out_as_entities_for_that_message_only(
    telegram: FakeTelegram, chats: Chats
) -> None:
    surface = chats.surface(PRIVATE)
    telegram.refuse_rich = "RICH_MESSAGE_DEPTH_TOO_MUCH"
    await surface.post(Page("so **bold**"), "key")
    telegram.refuse_rich = ""
    await surface.post(Page("so **bold**"), "key2")
    first, second = telegram.messages
    assert (first.rich, first.text, first.entities[0]["type"]) == (False, "so bold", "bold")
    assert second.rich


async def test_what_entities_refuse_goes_out_plain(telegram: FakeTelegram, chats: Chats) -> None:
    telegram.refuse_rich = "RICH_MESSAGE_TOO_LONG"
    telegram.fault("sendMessage", Fault(400, "Bad Request: ENTITY_BOUNDS_INVALID"))
    await chats.surface(PRIVATE).post(Page("so **bold**"), "key")
    assert telegram.texts() == ["so **bold**"]


async def test_a_page_that_falls_back_is_several_messages_and_loses_nothing(
    telegram: FakeTelegram, chats: Chats
) -> None:
    telegram.refuse_rich = "RICH_MESSAGE_TOO_LONG"
    telegram.fault("sendMessage", Fault(), Fault(429, retry_after=0))
    text = " ".join(f"word{number}" for number in range(1500))
    surface, page = chats.surface(PRIVATE), Page(text, ((STOP,),))
    with pytest.raises(Flooded):
        await surface.post(page, "key")
    sent = await surface.post(page, "key")
    assert len(telegram.messages) == 1 + len(sent.more) == 4
    assert "".join(telegram.texts()).replace(" ", "") == text.replace(" ", "")
    assert [bool(one.keyboard) for one in telegram.messages] == [False, False, False, True]


async def test_floods_are_told_with_their_wait_and_then_obeyed(telegram: FakeTelegram, chats: Chats) -> None:
    surface = chats.surface(PRIVATE)
    telegram.fault("sendRichMessage", Fault(429, "Too Many Requests", retry_after=1))
    with pytest.raises(Flooded) as told:
        await surface.post(Page("hi"), "key")
    assert told.value.retry_after_s >= 1
    began = asyncio.get_running_loop().time()
    await surface.post(Page("hi"), "key")
    assert asyncio.get_running_loop().time() - began >= 1


async def test_ten_messages_at_once_never_meet_a_flood(telegram: FakeTelegram, chats: Chats) -> None:
    await asyncio.gather(*(chats.surface(PRIVATE).post(Page(f"number {n}"), f"k{n}") for n in range(8)))
    assert telegram.breaches == []
    assert len(telegram.messages) == 8


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_lost_answer_is_an_unknown_outcome_and_is_not_repeated(
    telegram: FakeTelegram, chats: Chats, drop: str
) -> None:
    telegram.fault("sendRichMessage", Fault(drop=drop))
    with pytest.raises(Uncertain):
        await chats.surface(PRIVATE).post(Page("hi"), "key")
    assert len(telegram.messages) == (1 if drop == "after" else 0)


async def test_a_proxys_page_is_an_unknown_outcome(telegram: FakeTelegram, chats: Chats) -> None:
    telegram.fault("sendRichMessage", Fault(502, html=True))
    with pytest.raises(Uncertain):
        await chats.surface(PRIVATE).post(Page("hi"), "key")


async def test_the_servers_own_failure_is_a_known_one(telegram: FakeTelegram, chats: Chats) -> None:
    telegram.fault("sendRichMessage", Fault(500, "Internal Server Error"))
    with pytest.raises(Unsent):
        await chats.surface(PRIVATE).post(Page("hi"), "key")


async def test_a_server_that_is_not_there_is_a_known_failure() -> None:
    async with BotApi("http://127.0.0.1:9", TOKEN) as api:
        with pytest.raises(NotSent):
            await api.call("getMe")


async def test_no_error_text_names_the_token(telegram: FakeTelegram) -> None:
    telegram.fault("getMe", Fault(400), Fault(drop="before"), Fault(502, html=True))
    async with BotApi(telegram.url, TOKEN) as api:
        for _ in range(3):
            with pytest.raises((ApiError, NoAnswer)) as failure:
                await api.call("getMe")
            assert TOKEN not in str(failure.value)


async def test_an_edit_without_a_change_is_success(telegram: FakeTelegram, chats: Chats) -> None:
    surface = chats.surface(PRIVATE)
    sent = await surface.post(Page("hi"), "key")
    assert await surface.edit(sent, Page("hi")) == sent


async def test_an_edit_of_a_deleted_message_says_so(telegram: FakeTelegram, chats: Chats) -> None:
    surface = chats.surface(PRIVATE)
    sent = await surface.post(Page("hi"), "key")
    telegram.messages.clear()
    with pytest.raises(Missing):
        await surface.edit(sent, Page("ho"))


async def test_a_blocked_bot_gives_up(telegram: FakeTelegram, chats: Chats) -> None:
    telegram.fault("sendRichMessage", Fault(403, "Forbidden: bot was blocked by the user"))
    with pytest.raises(Unreachable):
        await chats.surface(PRIVATE).post(Page("hi"), "key")


async def test_drafts_get_a_new_id_after_each_message(telegram: FakeTelegram, chats: Chats) -> None:
    surface = chats.surface(PRIVATE)
    await surface.draft(Page("a", ((STOP,),)))
    await chats.surface(PRIVATE).post(Page("a reply to a command"), "key")
    await surface.draft(Page("ab", ((STOP,),)))
    assert telegram.drafts[0][1] != telegram.drafts[1][1]
    assert telegram.breaches == []
    assert unpack(chats.chat("7").stops[telegram.drafts[1][1]]) == STOP.action


async def test_only_one_answer_of_a_chat_is_drafted(chats: Chats) -> None:
    first, second = chats.surface(PRIVATE), chats.surface(PRIVATE)
    await first.draft(Page("a"))
    assert second.live_wait(draft=True) == float("inf")
    first.close()
    assert second.live_wait(draft=True) < 5


async def test_a_stopped_draft_is_not_written_again(telegram: FakeTelegram, chats: Chats) -> None:
    surface = chats.surface(PRIVATE)
    await surface.draft(Page("a"))
    surface.halted = True
    with pytest.raises(Flooded):
        await surface.draft(Page("ab"))
    assert len(telegram.drafts) == 1


async def test_live_edits_in_a_group_keep_their_distance_and_give_way_to_crowds(chats: Chats) -> None:
    surfaces = [chats.surface(GROUP) for _ in range(5)]
    assert surfaces[0].live_wait(draft=False) == 0
    sent = await surfaces[0].post(Page("a"), "key")
    await surfaces[0].edit(sent, Page("ab"), live=True)
    assert 3 < surfaces[0].live_wait(draft=False) <= 4.4
    assert [surface.live_wait(draft=False) for surface in surfaces][-1] == float("inf")


async def test_a_group_that_became_a_supergroup_is_followed(
    telegram: FakeTelegram, chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    async def call(method: str, params: dict[str, object], **_: object) -> object:
        calls.append(params["chat_id"])
        if params["chat_id"] == "-100":
            raise ApiError(400, "Bad Request: group chat was upgraded", migrated_to=-1007)
        return {"message_id": 1}

    monkeypatch.setattr(chats.api, "call", call)
    await chats.surface(GROUP).post(Page("hi"), "key")
    await chats.surface(GROUP).post(Page("hi"), "key")
    assert calls == ["-100", "-1007", "-1007"]


def test_our_paces_are_slower_than_the_platforms() -> None:
    def slower(ours: Rate, per_s: float, burst: float) -> bool:
        return ours.per_s < per_s and ours.burst < burst

    assert slower(under_test.PRIVATE, 1.0, 5)
    assert slower(under_test.GROUP, 20 / 60, 20)
    assert slower(under_test.EVERYWHERE, 30, 30)


def test_formulas_are_written_telegrams_way_outside_code() -> None:
    assert rich_markdown("a \\(x^2\\) `\\(y\\)` \\[z\\]") == "a $x^2$ `\\(y\\)` $$\nz\n$$"


def test_entity_texts_stay_within_the_limit() -> None:
    for text in as_entities("😀 **word** " * 2000):
        assert len(text.text.encode("utf-16-le")) // 2 <= 4096
        assert len(text.entities) <= 100
