"""The presenter against a surface that keeps what it was told, and a turn whose events the test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bots.common.pager import PageLimits
from bots.common.present import Showing, present
from bots.common.surface import (
    Flooded,
    Missing,
    Page,
    Sent,
    SurfaceError,
    SurfaceLimits,
    Uncertain,
    Unreachable,
    Unsent,
)
from core.chat import (
    Accepted,
    Action,
    Failed,
    Finished,
    FinishReason,
    Message,
    Notice,
    Role,
    Snapshot,
    TextAdded,
    TextPart,
    TurnEvent,
    Usage,
    Verb,
)
from core.kit.ids import ConversationId, DeliveryId, MessageId, ModelName, TurnId

TURN = TurnId("turn_0123456789abcdefghjkmnpqrs")
DELIVERY = DeliveryId("dlv_0123456789abcdefghjkmnpqrs")
ACCEPTED = Accepted(ConversationId("conv_1"), MessageId("msg_1"), MessageId("msg_2"), ModelName("demo"), 0)
RETRY = Action(Verb.RETRY, TURN)


def done(reason: FinishReason = FinishReason.STOP) -> Finished:
    return Finished(reason, Usage(1, 1), 0, 0, (RETRY,))


@dataclass(frozen=True)
class Event:
    event: TurnEvent


class Script:
    """Events of a turn; a float is a pause."""

    def __init__(self, *steps: TurnEvent | float) -> None:
        self.steps = steps

    async def follow(self, turn: TurnId) -> AsyncIterator[Event]:
        for step in self.steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield Event(step)


@dataclass
class Book:
    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def sending(self, delivery: DeliveryId, page: int | None) -> None:
        self.calls.append(("sending", page))

    async def sent(self, delivery: DeliveryId, page: int, chat: str, message: str) -> None:
        self.calls.append(("sent", page, message))

    async def end(self, delivery: DeliveryId, ok: bool = True) -> None:
        self.calls.append(("end", ok))


class FakeSurface:
    """A chat in memory; `faults` are raised by the next writes, one each."""

    def __init__(self, *, drafts: bool = False, repeatable: bool = False, pause_s: float = 0.01) -> None:
        self.limits = SurfaceLimits(
            page=PageLimits(100),
            spare=100,
            drafts=drafts,
            first_chars=5,
            first_s=0.05,
            step_chars=1,
            hint_s=5.0,
            keep_s=20.0 if drafts else None,
            repeatable=repeatable,
        )
        self.messages: dict[str, Page] = {}
        self.drafted: list[Page] = []
        self.edits = 0
        self.faults: list[SurfaceError] = []
        self.keys: list[str] = []
        self.pause_s = pause_s
        self.closed = 0
        self._free_at = 0.0

    def live_wait(self, *, draft: bool) -> float:
        return self._free_at - asyncio.get_running_loop().time()

    async def _write(self) -> None:
        await asyncio.sleep(0)
        self._free_at = asyncio.get_running_loop().time() + self.pause_s
        if self.faults:
            raise self.faults.pop(0)

    async def hint(self) -> None:
        return None

    async def draft(self, page: Page) -> None:
        await self._write()
        self.drafted.append(page)

    async def post(self, page: Page, key: str) -> Sent:
        await self._write()
        assert len(key) <= 25
        self.keys.append(key)
        name = str(len(self.messages) + 1)
        self.messages[name] = page
        return Sent("chat", name)

    async def edit(self, sent: Sent, page: Page, *, live: bool = False) -> Sent:
        await self._write()
        if sent.message not in self.messages:
            raise Missing
        self.edits += 1
        self.messages[sent.message] = page
        return sent

    async def remove(self, sent: Sent) -> None:
        self.messages.pop(sent.message, None)

    def close(self) -> None:
        self.closed += 1

    @property
    def texts(self) -> list[str]:
        return [page.text for page in self.messages.values()]


async def show(
    surface: FakeSurface, *steps: TurnEvent | float, sent: tuple[Sent | None, ...] = (), sending: int | None = None
) -> Book:
    book = Book()
    showing = Showing(TURN, DELIVERY, "en", sent, sending)
    async with asyncio.timeout(20):
        await present(showing, surface, follow=Script(*steps).follow, book=book)
    assert surface.closed == 1
    return book


async def test_a_short_answer_is_one_message_with_its_buttons() -> None:
    surface = FakeSurface()
    book = await show(surface, ACCEPTED, TextAdded(0, "Hello"), TextAdded(5, " you"), done())
    assert surface.texts == ["Hello you"]
    [page] = surface.messages.values()
    assert [button.action for row in page.rows for button in row] == [RETRY]
    assert book.calls == [("sending", 0), ("sent", 0, "1"), ("end", True)]


async def test_the_answer_grows_by_edits_and_ends_whole() -> None:
    surface = FakeSurface()
    steps: list[TurnEvent | float] = [ACCEPTED]
    for number in range(20):
        steps += [TextAdded(number * 3, "ab "), 0.01]
    await show(surface, *steps, done())
    assert surface.texts == ["ab " * 19 + "ab"]
    assert surface.edits > 3


async def test_unfinished_pages_carry_a_stop_button() -> None:
    surface = FakeSurface()
    task = asyncio.create_task(show(surface, ACCEPTED, TextAdded(0, "Hello"), 0.3, done()))
    await asyncio.sleep(0.15)
    [page] = surface.messages.values()
    assert page.rows[0][0].action == Action(Verb.STOP, TURN)
    await task


async def test_drafts_show_the_unfinished_text_and_a_message_ends_them() -> None:
    surface = FakeSurface(drafts=True)
    await show(surface, ACCEPTED, 0.03, TextAdded(0, "Hello"), 0.05, TextAdded(5, " you"), 0.05, done())
    assert surface.drafted[0].thinking
    assert [page.text for page in surface.drafted[-2:]] == ["Hello", "Hello you"]
    assert surface.texts == ["Hello you"]


@pytest.mark.parametrize("drafts", [False, True])
async def test_a_long_answer_arrives_in_pages_once_each(drafts: bool) -> None:
    text = "".join(f"Line number {number}.\n" for number in range(60))
    steps: list[TurnEvent | float] = [ACCEPTED]
    for at in range(0, len(text), 40):
        steps += [TextAdded(at, text[at : at + 40]), 0.005]
    surface = FakeSurface(drafts=drafts)
    book = await show(surface, *steps, done())
    assert "\n".join(surface.texts) == text.strip()
    assert all(len(one) <= 100 for one in surface.texts)
    posted = [call[1] for call in book.calls if call[0] == "sent"]
    assert posted == list(range(len(surface.messages)))
    assert [bool(page.rows) for page in surface.messages.values()] == [False] * (len(posted) - 1) + [True]


async def test_flood_answers_delay_the_end_and_lose_nothing() -> None:
    surface = FakeSurface()
    surface.faults = [Flooded(0.05), Flooded(0.1), Flooded(0.02)]
    await show(surface, ACCEPTED, TextAdded(0, "Hello you"), done())
    assert surface.texts == ["Hello you"]


async def test_a_send_that_failed_for_sure_is_tried_again() -> None:
    surface = FakeSurface()
    surface.faults = [Unsent("refused")]
    await show(surface, ACCEPTED, TextAdded(0, "Hello"), done())
    assert surface.texts == ["Hello"]


async def test_what_certainly_did_not_arrive_is_no_longer_being_sent() -> None:
    surface = FakeSurface()
    surface.faults = [Flooded(0.05)]
    book = await show(surface, ACCEPTED, TextAdded(0, "Hello"), done())
    assert book.calls == [("sending", 0), ("sending", None), ("sending", 0), ("sent", 0, "1"), ("end", True)]


async def test_a_send_of_unknown_outcome_becomes_a_line_with_a_button() -> None:
    surface = FakeSurface()
    surface.faults = [Uncertain()]
    await show(surface, ACCEPTED, TextAdded(0, "Hello"), done())
    [page] = surface.messages.values()
    assert "Hello" not in page.text
    assert page.rows[0][0].action == Action(Verb.SHOW, f"{TURN}.0")


async def test_where_a_repeat_cannot_double_it_is_repeated_with_its_key() -> None:
    surface = FakeSurface(repeatable=True)
    surface.faults = [Uncertain()]
    await show(surface, ACCEPTED, TextAdded(0, "Hello"), done())
    assert surface.texts == ["Hello"]


async def test_a_page_whose_post_was_cut_by_a_crash_is_not_posted_again() -> None:
    surface = FakeSurface()
    await show(surface, Snapshot(Message(Role.ASSISTANT, (TextPart("Hello"),)), 7), done(), sending=0)
    assert surface.messages["1"].rows[0][0].action.verb is Verb.SHOW


async def test_a_restart_goes_on_with_the_message_that_exists() -> None:
    surface = FakeSurface(drafts=True)
    surface.messages["1"] = Page("Hel")
    snapshot = Snapshot(Message(Role.ASSISTANT, (TextPart("Hello you"),)), 7)
    failed = Failed("interrupted", kept=True, offers=(RETRY,))
    book = await show(surface, snapshot, failed, sent=(Sent("chat", "1"),))
    assert len(surface.messages) == 1
    assert surface.texts[0].startswith("Hello you")
    assert book.calls == [("end", True)]


async def test_a_restart_after_two_pages_adds_only_the_third() -> None:
    text = "".join(f"Line number {number}.\n" for number in range(16))
    surface = FakeSurface()
    surface.messages = {"1": Page("first page"), "2": Page("second, unfinished")}
    snapshot = Snapshot(Message(Role.ASSISTANT, (TextPart(text),)), 7)
    await show(surface, snapshot, done(), sent=(Sent("chat", "1"), Sent("chat", "2")))
    assert surface.texts[0] == "first page"
    assert len(surface.texts) == 3
    assert surface.texts[2].endswith("Line number 15.")


async def test_a_message_deleted_meanwhile_is_posted_anew_at_the_end() -> None:
    surface = FakeSurface()
    task = asyncio.create_task(show(surface, ACCEPTED, TextAdded(0, "Hello"), 0.2, TextAdded(5, " you"), done()))
    await asyncio.sleep(0.1)
    surface.messages.clear()
    await task
    assert surface.texts == ["Hello you"]


@pytest.mark.parametrize("drafts", [False, True])
async def test_a_queued_question_says_so_and_is_answered_where_its_turn_came(drafts: bool) -> None:
    # Where answers are new messages, the one that said "queued" stood above answers that came before.
    surface = FakeSurface(drafts=drafts)
    task = asyncio.create_task(
        show(surface, Notice("queued", {"position": 2}), 0.2, ACCEPTED, TextAdded(0, "Hello"), done())
    )
    await asyncio.sleep(0.1)
    assert "2" in surface.texts[0]
    (notice,) = surface.messages
    surface.messages["between"] = Page("the answer before")
    await task
    assert (notice in surface.messages) is not drafts
    expected = ["the answer before", "Hello"] if drafts else ["Hello", "the answer before"]
    assert surface.texts == expected


async def test_notices_stand_under_the_answer() -> None:
    surface = FakeSurface()
    await show(surface, ACCEPTED, Notice("context_cut", {"dropped": 4}), TextAdded(0, "Hello"), done())
    assert surface.texts[0].startswith("Hello\n\n")
    assert "4" in surface.texts[0]


@pytest.mark.parametrize("reason", list(FinishReason))
async def test_every_end_says_something_even_without_words(reason: FinishReason) -> None:
    surface = FakeSurface()
    await show(surface, ACCEPTED, done(reason))
    assert surface.texts[0]
    assert "finish." not in surface.texts[0]


async def test_a_failure_keeps_the_text_and_explains_itself() -> None:
    surface = FakeSurface()
    await show(surface, ACCEPTED, TextAdded(0, "Half"), Failed("internal", {}, kept=True, offers=(RETRY,)))
    assert surface.texts[0].startswith("Half\n\n")
    assert "error." not in surface.texts[0]


async def test_a_closed_chat_ends_the_delivery_as_failed() -> None:
    surface = FakeSurface()
    surface.faults = [Unreachable("blocked")]
    book = await show(surface, ACCEPTED, TextAdded(0, "Hello"), done())
    assert book.calls[-1] == ("end", False)


async def test_cancelled_it_leaves_the_delivery_open() -> None:
    surface, book = FakeSurface(), Book()
    script = Script(ACCEPTED, TextAdded(0, "Hello"), 10.0, done())
    task = asyncio.create_task(present(Showing(TURN, DELIVERY, "en"), surface, follow=script.follow, book=book))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ("end", True) not in book.calls
    assert surface.closed == 1
