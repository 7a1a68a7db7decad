"""Dispatch: a message, command or button → its handler → a Reply or a turn; every error → an explained Reply.

One `Desk` per bot. The bot's loop calls `message` and `press` for one event at a time per chat and goes on when they
return; answers are then shown by tasks of the desk's own. `resume` shows what a former process left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable

import structlog

from bots.common.door import DoorContext, Platform, enter, label_of
from bots.common.inbound import Incoming, Press, ask, place_of, source_of
from bots.common.present import Showing, page_texts, present
from bots.common.surface import (
    Button,
    Flooded,
    Page,
    Place,
    Sent,
    SurfaceError,
    Uncertain,
    Unreachable,
    Unsent,
)
from core import commands, turns
from core.chat import Action, Message, Role, Verb, unpack
from core.commands import Buttons, Choices, CommandContext, Fields, Paragraph, Reply
from core.i18n import explain, match, t
from core.kit.errors import AppError, NotAllowed, NotFound, Unavailable
from core.kit.ids import DeliveryId, LinkId, TurnId
from core.kit.scope import current
from core.kit.supervisor import TURNS

log = structlog.get_logger(__name__)

Answer = Callable[[str], Awaitable[None]]
"""Tells the platform that a press was heard, with a line shown to the presser alone ("" for none). Called once."""

RESUME_EVERY_S = 60.0
"""How often open deliveries are looked for that nobody shows; they are the leavings of a failed task."""
REPLY_TRIES = 8
"""Tries of a command's reply; an answer of a turn has no such bound."""
WATCH_S = 1_260.0
"""How long a link request can move on: ten minutes for its code, ten more for the agreements."""
WATCH_EVERY_S = 1.0
ANSWER_WITHIN_S = 5.0
"""A press is answered by then, done or not."""


class Desk:
    """Everything that one bot does with what comes in."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._showing: dict[DeliveryId, asyncio.Task[None]] = {}
        self._shown: dict[DeliveryId, None] = {}

    async def finished(self) -> None:
        """Wait until every answer being shown has arrived."""
        while self._showing:
            await asyncio.wait(set(self._showing.values()))

    async def explain(self, incoming: Incoming, error: AppError) -> None:
        """Tell the person what is wrong, in their language."""
        await self.say(incoming.place, commands.said(explain(error, match(incoming.person.language))))

    # Messages.

    async def message(self, incoming: Incoming) -> None:
        """Answer a message or a command. Raises Unavailable when nothing has happened and trying again is right."""
        locale = match(incoming.person.language)
        try:
            context = await enter(self.platform, incoming.person)
            locale = context.locale
            if incoming.command is not None:
                await self._command(incoming, context)
            elif not incoming.text.strip() and not incoming.quote:
                if incoming.attachments or incoming.private:
                    key = "chat.pictures_later" if incoming.attachments else "command.help.intro"
                    await self.say(incoming.place, commands.said(t(key, locale)))
            else:
                await self._question(incoming, context)
        except Unavailable:
            raise
        except AppError as error:
            await self.say(incoming.place, commands.said(explain(error, locale)))

    async def _question(self, incoming: Incoming, context: DoorContext) -> None:
        name, bot = self.platform.name, self.platform.bot
        turn = await ask(name, bot, incoming, context.account, locale=context.locale)
        await self.show(turn, {**incoming.place, "locale": context.locale})
        if incoming.attachments:
            await self.say(incoming.place, commands.said(t("chat.pictures_later", context.locale)))

    async def _command(self, incoming: Incoming, context: DoorContext) -> None:
        command = commands.find(incoming.command or "")
        whisper = command is not None and command.private and not incoming.private
        if whisper and not self.platform.whispers:
            await self.say(incoming.place, commands.said(t("command.private_only", context.locale)))
            return
        source = await source_of(self.platform.name, self.platform.bot, incoming.chat, incoming.reply_to)
        asked = self._asked(incoming, context, source.turn if source else None)
        reply = await commands.run(incoming.command or "", incoming.text, asked)
        sent = await self.say(incoming.place, reply, whisper=whisper)
        if reply.watch is not None and sent is not None:
            self._watch(reply.watch, asked, incoming.place, sent)

    # Buttons.

    async def press(self, press: Press, answer: Answer) -> None:
        """Do what a button means; `answer` is called exactly once, within ANSWER_WITHIN_S."""
        told = _Once(answer)
        locale = match(press.person.language)
        doing = asyncio.ensure_future(self._pressed(press, told, locale))
        try:
            done, _ = await asyncio.wait({doing}, timeout=ANSWER_WITHIN_S)
            if not done:
                await told("")
            await doing
        finally:
            doing.cancel()
            await told("")

    async def _pressed(self, press: Press, told: _Once, locale: str) -> None:
        action = unpack(press.payload)
        if action is None:
            await told(t("chat.button_gone", locale))
            return
        try:
            context = await enter(self.platform, press.person)
            locale = context.locale
            await self._act(action, press, context, told)
        except (NotAllowed, NotFound) as error:
            foreign = error.code == "turn_unknown"
            await self._tell(press, told, t("chat.not_yours", locale) if foreign else explain(error, locale))
        except AppError as error:
            await self._tell(press, told, explain(error, locale))

    async def _act(self, action: Action, press: Press, context: DoorContext, told: _Once) -> None:
        account, locale = context.account, context.locale
        match action.verb:
            case Verb.STOP:
                await turns.cancel(TurnId(action.target), by=account.id)
                await told(t("chat.stopping", locale))
            case Verb.RETRY | Verb.CONTINUE:
                place = {**press.place, "locale": locale}
                target = turns.DeliveryTarget(self.platform.name, self.platform.bot, place)
                key = f"{self.platform.name}:{self.platform.bot}:{press.event}"
                turn = await turns.act(action, by=account.id, key=key, delivery=target, door=self.platform.name)
                await told("")
                await self.show(turn, place)
            case Verb.SHOW:
                await told("")
                await self._show_again(action.target, press, context)
            case _:
                asked = self._asked(press, context, None)
                reply = await commands.act(action, asked)
                in_place = press.private and press.message is not None
                # Where a toast would be a message of its own, the changed message says it already.
                await told("" if in_place and self.platform.whispers else reply.toast.replace("**", ""))
                if in_place and press.message is not None:
                    sent = await self.change(press.place, Sent(press.chat, press.message), reply)
                    if reply.watch is not None and sent is not None:
                        self._watch(reply.watch, asked, press.place, sent)

    async def _show_again(self, target: str, press: Press, context: DoorContext) -> None:
        """Put the text of a page, or of a whole turn, where the button was."""
        name, _, page = target.partition(".")
        turn = await turns.get(TurnId(name), by=context.account.id)
        view = await turns.answer_of(turn)
        text = Message(Role.ASSISTANT, view.parts).text if view is not None else ""
        surface = self.platform.surface(press.place)
        texts = page_texts(text, surface.limits.page) or [t("answer.empty", context.locale)]
        surface.close()
        wanted = texts[int(page) : int(page) + 1] if page.isdigit() else texts
        for number, one in enumerate(wanted or texts[-1:]):
            if number == 0 and press.message is not None:
                await self._written(press.place, Page(one), Sent(press.chat, press.message))
            else:
                await self._written(press.place, Page(one))

    async def _tell(self, press: Press, told: _Once, text: str) -> None:
        if not await told(text):
            await self.say(press.place, commands.said(text))

    # Turns.

    async def stopped(self, incoming: Incoming, payload: str | None) -> None:
        """The platform's own stop was used (Telegram's, under a draft): quietly end what was being written.

        `payload` is the packed STOP action of what was shown, None when this process does not know it.
        """
        context = await enter(self.platform, incoming.person)
        action = unpack(payload) if payload else None
        with contextlib.suppress(NotAllowed, NotFound):
            if action is not None and action.verb is Verb.STOP:
                await turns.cancel(TurnId(action.target), by=context.account.id)
            else:
                await commands.run("stop", "", self._asked(incoming, context, None))

    async def show(self, turn: turns.Turn, place: Place) -> None:
        """Show a turn where it was asked, unless that is being done or was done."""
        if turn.delivery is None or turn.delivery in self._showing or turn.delivery in self._shown:
            return
        for delivery in await turns.deliveries.open_of(self.platform.name, self.platform.bot):
            if delivery.id == turn.delivery:
                self._start(delivery)

    async def resume(self) -> None:
        """Show every open delivery of this bot that nobody shows; at start, and now and then."""
        for delivery in await turns.deliveries.open_of(self.platform.name, self.platform.bot):
            if delivery.id not in self._showing:
                self._start(delivery)

    async def resume_now_and_then(self) -> None:
        """A service: what a failed task left open is taken up again."""
        while True:
            await self.resume()
            await asyncio.sleep(RESUME_EVERY_S)

    def _start(self, delivery: turns.Delivery) -> None:
        place: Place = delivery.place
        surface = self.platform.surface(place)
        chat = str(place.get("chat", ""))
        sent = tuple(Sent(chat, message) if message else None for message in delivery.sent)
        showing = Showing(delivery.turn, delivery.id, str(place.get("locale") or "en"), sent, delivery.sending)
        self._shown[delivery.id] = None
        while len(self._shown) > 10_000:
            del self._shown[next(iter(self._shown))]
        scope = current()
        task = scope.supervisor.spawn(
            f"present {delivery.turn}",
            present(showing, surface, follow=turns.follow, book=turns.deliveries, stopping=lambda: scope.draining),
            group=TURNS,
        )
        self._showing[delivery.id] = task
        task.add_done_callback(lambda _: self._showing.pop(delivery.id, None))

    # Replies.

    async def say(self, place: Place, reply: Reply, *, whisper: bool = False) -> Sent | None:
        """Show a reply as a new message; None when the place is closed to us or it would not go through."""
        page = page_of(reply)
        return await self._written(place, Page(page.text, page.rows, whisper=whisper))

    async def change(self, place: Place, sent: Sent, reply: Reply) -> Sent | None:
        """Show a reply in the message that stands."""
        return await self._written(place, page_of(reply), sent)

    async def _written(self, place: Place, page: Page, sent: Sent | None = None) -> Sent | None:
        surface = self.platform.surface(place)
        key = secrets.token_hex(10)
        try:
            for tries in range(REPLY_TRIES):
                try:
                    return await (surface.edit(sent, page) if sent is not None else surface.post(page, key))
                except Flooded as flood:
                    await asyncio.sleep(flood.retry_after_s)
                except Uncertain:
                    if sent is None and not surface.limits.repeatable:
                        return None
                    await asyncio.sleep(min(30.0, 0.5 * 2**tries))
                except Unsent:
                    await asyncio.sleep(min(30.0, 0.5 * 2**tries))
        except Unreachable as closed:
            log.info("reply.unreachable", why=str(closed))
        except SurfaceError as fault:
            log.warning("reply.refused", why=f"{type(fault).__name__} {fault}")
        finally:
            surface.close()
        return None

    # Links.

    def _watch(self, link: LinkId, asked: CommandContext, place: Place, sent: Sent) -> None:
        current().supervisor.spawn(f"watch {link}", self._watched(link, asked, place, sent))

    async def _watched(self, link: LinkId, asked: CommandContext, place: Place, sent: Sent) -> None:
        """Tell this side of a link when it moves on: the question as a new message, its outcome in the same one."""
        shown: Reply | None = None
        deadline = asyncio.get_running_loop().time() + WATCH_S
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                news = await commands.link_news(link, asked)
            except NotFound:
                return
            if news is None or news == shown:
                continue
            if news.watch is None:
                await self.change(place, sent, news)
                return
            shown, sent = news, await self.say(place, news) or sent

    def _asked(self, incoming: Incoming | Press, context: DoorContext, turn: TurnId | None) -> CommandContext:
        return CommandContext(
            account=context.account,
            locale=context.locale,
            door=self.platform.name,
            place=place_of(self.platform.name, self.platform.bot, incoming),
            label=label_of(self.platform, incoming.person),
            private=incoming.private,
            turn=turn,
        )


class _Once:
    """Calls its function the first time only; says whether it was that time."""

    def __init__(self, function: Answer) -> None:
        self._function = function
        self._called = False

    async def __call__(self, text: str) -> bool:
        if self._called:
            return False
        self._called = True
        await self._function(text)
        return True


def page_of(reply: Reply) -> Page:
    """A reply as Markdown and rows of buttons."""
    texts: list[str] = []
    rows: list[tuple[Button, ...]] = []
    for block in reply.blocks:
        match block:
            case Paragraph(text):
                texts.append(text)
            case Fields(fields):
                texts.append("\n".join(f"- **{label}**: {value}" for label, value in fields))
            case Choices(options, chosen):
                rows += [
                    (Button(("✓ " if index == chosen else "") + label, action),)
                    for index, (label, action) in enumerate(options)
                ]
            case Buttons(options):
                rows.append(tuple(Button(label, action) for label, action in options))
    return Page("\n\n".join(texts), tuple(rows))
