"""The presenter: follows one turn and shows it on one surface, from the first sign to the last page.

One reader takes the turn's events into an `_Answer`, one writer shows the newest state of it: frames are never
queued, so a slow platform sees fewer of them and never old ones. Unfinished text goes out as the platform's draft or as
paced edits of a message; a page that can no longer change is shown for good while the rest still streams; the end
waits out every flood answer.

The Delivery row is written before and after each new message and at the end, so that a restart goes on here:
`Showing.sent` are the messages that exist, `Showing.sending` a page whose post was begun and never confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol, assert_never

import structlog

from bots.common import pager
from bots.common.surface import (
    Button,
    Flooded,
    Missing,
    Page,
    Refused,
    Sent,
    Surface,
    SurfaceError,
    Uncertain,
    Unreachable,
    Unsent,
    Waits,
)
from core.chat import (
    Accepted,
    Action,
    Failed,
    Finished,
    FinishReason,
    Notice,
    ReasoningAdded,
    Snapshot,
    TextAdded,
    ToolUsed,
    TurnEvent,
    Verb,
)
from core.i18n import t
from core.kit.ids import DeliveryId, TurnId

log = structlog.get_logger(__name__)

PATIENCE_S = 30.0
"""The longest pause between two tries of a write that failed; the tries themselves never end."""
FAILED_S = 0.5
"""The pause after an unfinished page that did not get through; the surface itself knows of longer ones."""
LOOK_S = 0.5
"""How often the writer looks again while it may not write: what is to be shown, and where, may change."""
QUEUED_S = 1.0
"""How often a question in the queue looks whether the process is stopping."""
IDLE_S = 20.0
"""How long the writer sleeps when nothing happens."""


class Numbered(Protocol):
    """One event of a followed turn."""

    @property
    def event(self) -> TurnEvent: ...


Follow = Callable[[TurnId], AsyncIterator[Numbered]]


class Book(Protocol):
    """The Delivery row as the presenter writes it (`core.turns.deliveries`)."""

    async def sending(self, delivery: DeliveryId, page: int | None, /) -> object: ...
    async def sent(self, delivery: DeliveryId, page: int, chat: str, message: str, /) -> object: ...
    async def end(self, delivery: DeliveryId, /, ok: bool = True) -> object: ...


@dataclass(frozen=True, slots=True)
class Showing:
    """What is to be shown, and what a former process already showed of it."""

    turn: TurnId
    delivery: DeliveryId
    locale: str
    sent: tuple[Sent | None, ...] = ()
    """Messages that exist, in page order."""
    sending: int | None = None
    """A page whose post was begun by a process that then ended."""


@dataclass(slots=True)
class _Answer:
    """The newest state of the answer."""

    text: str = ""
    running: bool = False
    position: int | None = None
    """Place in the queue while waiting."""
    doing: str | None = None
    """A tool at work, until more text comes."""
    notices: list[Notice] = field(default_factory=list)
    end: Finished | Failed | None = None

    def take(self, event: TurnEvent) -> None:
        """Render one event into the state."""
        match event:
            case Accepted():
                self.running, self.position = True, None
            case TextAdded(offset, text):
                self.doing = None
                if offset <= len(self.text):
                    self.text = self.text[:offset] + text + self.text[offset + len(text) :]
            case ReasoningAdded():
                self.running = True
            case ToolUsed(name):
                self.doing = name
            case Notice("queued", params):
                self.position = int(params.get("position", 1))
            case Notice():
                self.notices.append(event)
            case Snapshot(message):
                self.running, self.text = True, message.text
            case Finished() | Failed():
                self.end = event
            case _:
                assert_never(event)


async def present(
    showing: Showing,
    surface: Surface,
    *,
    follow: Follow,
    book: Book,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Show a turn to its end; returns when the last page arrived or the place turned out to be closed.

    Cancelled, or waiting in the queue while the process is `stopping`, it leaves the delivery open for the next
    process. Closes the surface.
    """
    presenter = _Presenter(showing, surface, book)
    reader = asyncio.create_task(presenter.read(follow), name=f"follow {showing.turn}")
    try:
        if not await presenter.live(stopping):
            return
        await presenter.final()
        await book.end(showing.delivery, ok=True)
    except Unreachable as closed:
        log.info("delivery.unreachable", turn=showing.turn, why=str(closed))
        await book.end(showing.delivery, ok=False)
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        surface.close()


def page_texts(text: str, limits: pager.PageLimits) -> list[str]:
    """An answer as the texts of its pages; the same text always gives the same pages."""
    return [piece.text for piece in pager.pages(text, limits)]


class _Presenter:
    def __init__(self, showing: Showing, surface: Surface, book: Book) -> None:
        self.showing = showing
        self.surface = surface
        self.limits = surface.limits
        self.book = book
        self.answer = _Answer()
        self.shown: list[Sent | None] = list(showing.sent)
        self.settled = max(0, len(self.shown) - 1)
        self.unsure = {showing.sending} if showing.sending is not None and showing.sending >= len(self.shown) else set()
        self.written: Page | None = None
        self.noticed = False
        """The message of the first page says only that the question waits."""
        self.changed, self.ended = asyncio.Event(), asyncio.Event()
        self.failure: Exception | None = None

    # Reading.

    async def read(self, follow: Follow) -> None:
        try:
            async with aclosing(follow(self.showing.turn)) as events:  # type: ignore[type-var]
                async for numbered in events:
                    self.answer.take(numbered.event)
                    self.changed.set()
                    if self.answer.end is not None:
                        break
            if self.answer.end is None:
                raise RuntimeError("the turn's events ended without an end")
        except Exception as failure:  # handed to the writer, which raises it
            self.failure = failure
        finally:
            self.changed.set()
            self.ended.set()

    # Unfinished showings.

    async def live(self, stopping: Callable[[], bool]) -> bool:
        """Show the unfinished answer until its end is known; False when that will not be in this process."""
        clock = asyncio.get_running_loop().time
        began = clock()
        await self.surface.hint()
        hinted = written = clock()
        while not self.ended.is_set():
            self.changed.clear()
            if self._waiting_in_queue and stopping():
                return False
            if not self._waiting_in_queue:
                await self._take_back_the_notice()
            texts = page_texts(self.answer.text, self.limits.page)
            if len(texts) - 1 > self.settled:
                await self.deliver(self.settled, Page(texts[self.settled]))
                self.settled += 1
                self.written, written = None, clock()
                continue
            page = self._unfinished(texts[self.settled] if len(texts) > self.settled else "")
            fades = written + self.limits.keep_s if self._drafting and self.limits.keep_s else float("inf")
            now = clock()
            wait = self.surface.live_wait(draft=self._drafting and not self._waiting_in_queue)
            worth = self._worth_showing(page, now - began) or now >= fades
            if worth and wait <= 0:
                await self._show(page)
                written = clock()
                continue
            if now >= max(hinted, written) + self.limits.hint_s:
                await self.surface.hint()
                hinted = clock()
            timers = [QUEUED_S if self._waiting_in_queue else IDLE_S, max(hinted, written) + self.limits.hint_s - now]
            if worth:
                await self._sleep(self.ended, min(wait, LOOK_S, *timers))
                continue
            first = began + self.limits.first_s - now
            timers += [fades - now, first if first > 0 and self._message is None else IDLE_S]
            await self._sleep(self.changed, min(timers))
        if self.failure is not None:
            raise self.failure
        return True

    @property
    def _drafting(self) -> bool:
        """Whether unfinished text goes into a draft: it does until the page has a message of its own."""
        return self.limits.drafts and self._message is None

    @property
    def _message(self) -> Sent | None:
        return self.shown[self.settled] if len(self.shown) > self.settled else None

    def _unfinished(self, text: str) -> Page:
        locale = self.showing.locale
        line = ""
        if self.answer.position is not None and not self.answer.running:
            line = t("notice.queued", locale, position=self.answer.position)
        elif self.answer.doing is not None:
            line = t("answer.tool", locale, name=self.answer.doing)
        elif not text:
            line = t("answer.thinking", locale)
        shown = "\n\n".join(part for part in (pager.mend(text), line) if part)
        stop = Button(t("button.stop", locale), Action(Verb.STOP, self.showing.turn), "danger")
        return Page(shown, rows=((stop,),), thinking=not text)

    def _worth_showing(self, page: Page, waited_s: float) -> bool:
        if self.written is not None and page.text == self.written.text:
            return False
        if self._drafting and not self._waiting_in_queue:
            return True
        if self._message is None:
            enough = not page.thinking and len(page.text) >= self.limits.first_chars
            return enough or self._waiting_in_queue or waited_s >= self.limits.first_s
        if self.written is None or self.written.thinking != page.thinking or page.thinking:
            return True
        return abs(len(page.text) - len(self.written.text)) >= self.limits.step_chars

    @property
    def _waiting_in_queue(self) -> bool:
        return self.answer.position is not None and not self.answer.running

    async def _show(self, page: Page) -> None:
        """Write an unfinished page once; what does not get through is overtaken by the next one."""
        self.written = page
        try:
            if self._message is not None:
                self.shown[self.settled] = await self.surface.edit(self._message, page, live=True)
            elif self._drafting and not self._waiting_in_queue:
                await self.surface.draft(page)
            else:
                await self._post(self.settled, page)
                self.noticed = self._waiting_in_queue and self.limits.drafts
        except Missing:
            self.shown[self.settled] = None
            self.written = None
        except (Flooded, Unsent, Uncertain):
            self.written = None
            await self._sleep(self.ended, FAILED_S)
        except Refused as refused:
            log.info("page.live_refused", turn=self.showing.turn, why=str(refused))

    async def _take_back_the_notice(self) -> None:
        """Where answers are new messages, the notice "queued" goes: what stood behind it in the chat came first."""
        notice = self._message
        if not self.noticed or notice is None:
            return
        self.noticed = False
        await self.surface.remove(notice)
        self.shown[self.settled], self.written = None, None

    @staticmethod
    async def _sleep(until: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.01, seconds)):
                await until.wait()
        except TimeoutError:
            return

    # What must arrive.

    async def final(self) -> None:
        """Show the finished answer whole: what is not settled yet, the last page with its footer and buttons."""
        end = self.answer.end
        assert end is not None
        await self._take_back_the_notice()
        texts = page_texts(self.answer.text, self.limits.page)
        footer = self._footer(end, empty=not texts)
        if not texts:
            texts = [footer]
        elif footer:
            texts[-1] = f"{texts[-1]}\n\n{footer}"
        last = max(len(texts) - 1, self.settled)
        rows = self._offers(end.offers)
        for index in range(self.settled, last + 1):
            text = texts[index] if index < len(texts) else footer or "⋯"
            await self.deliver(index, Page(text, rows if index == last else ()))

    async def deliver(self, index: int, page: Page) -> None:
        """Make this page stand, however long the platform makes us wait."""
        tries = 0
        if index in self.unsure and not self.limits.repeatable:
            page = self._line_instead(index)
        while True:
            message = self.shown[index] if index < len(self.shown) else None
            try:
                if message is not None:
                    self.shown[index] = await self.surface.edit(message, page)
                else:
                    await self._post(index, page)
                return
            except Flooded as flood:
                await asyncio.sleep(flood.retry_after_s)
                continue
            except Missing:
                self.shown[index] = None
                continue
            except Refused as refused:
                log.warning("page.refused", turn=self.showing.turn, page=index, why=str(refused))
                if tries > 2:
                    return
                page = Page(t("answer.unshowable", self.showing.locale), page.rows)
            except Unsent as unsent:
                log.info("page.unsent", turn=self.showing.turn, page=index, why=str(unsent))
            except Uncertain as unknown:
                log.info("page.uncertain", turn=self.showing.turn, page=index, why=str(unknown))
                if message is None and not self.limits.repeatable:
                    page = self._line_instead(index)
            tries += 1
            await asyncio.sleep(min(PATIENCE_S, 0.5 * 2 ** min(tries, 8)))

    async def _post(self, index: int, page: Page) -> None:
        delivery = self.showing.delivery
        if isinstance(self.surface, Waits):
            await self.surface.ready()
        await self.book.sending(delivery, index)
        try:
            sent = await self.surface.post(page, f"{delivery[-20:]}.{index}")
        except Uncertain:
            raise
        except SurfaceError as known:
            if not known.partly:
                await self.book.sending(delivery, None)
            raise
        self.shown.extend([None] * (index + 1 - len(self.shown)))
        self.shown[index] = sent
        self.unsure.discard(index)
        for message in (*sent.more, sent.message):  # the first message of a page is the one a restart goes on with
            await self.book.sent(delivery, index, sent.chat, message)

    def _line_instead(self, index: int) -> Page:
        locale = self.showing.locale
        show = Button(t("button.show", locale), Action(Verb.SHOW, f"{self.showing.turn}.{index}"), "primary")
        return Page(t("answer.uncertain", locale), ((show,),))

    def _offers(self, offers: tuple[Action, ...]) -> tuple[tuple[Button, ...], ...]:
        labels = {Verb.RETRY: "button.retry", Verb.CONTINUE: "button.continue"}
        row = tuple(
            Button(t(labels[action.verb], self.showing.locale), action) for action in offers if action.verb in labels
        )
        return (row,) if row else ()

    def _footer(self, end: Finished | Failed, *, empty: bool) -> str:
        locale = self.showing.locale
        lines = [t(f"notice.{notice.code}", locale, **notice.params) for notice in self.answer.notices]
        match end:
            case Failed(code, params):
                lines.append(t(f"error.{code}", locale, **params))
            case Finished(FinishReason.STOP | FinishReason.TOOL | FinishReason.OTHER):
                if empty:
                    lines.append(t("answer.empty", locale))
            case Finished(reason):
                lines.append(t(f"finish.{reason.value}", locale))
        return "\n\n".join(f"_{line}_" if not empty and "_" not in line else line for line in lines)
