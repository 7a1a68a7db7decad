"""Every TurnEvent is rendered by every door: the bots' presenter, the browser's stream, the page's follower."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from bots.common.present import _Answer
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
    Usage,
    Verb,
    text_message,
    wire,
)
from core.chat.message import Role
from core.kit.ids import ConversationId, MessageId, ModelName

PAGE = Path(__file__).resolve().parents[2] / "web" / "ui" / "src" / "chat"

EXAMPLES: tuple[TurnEvent, ...] = (
    Accepted(ConversationId("conv_x"), MessageId("msg_a"), MessageId("msg_b"), ModelName("m"), 7),
    TextAdded(0, "Hello"),
    ReasoningAdded(0, "Hmm"),
    ToolUsed("weather"),
    Notice("queued", {"position": 1}),
    Finished(FinishReason.STOP, Usage(1, 2), 3, 4, (Action(Verb.RETRY, "turn_x"),)),
    Failed("upstream_timeout", {}, kept=True),
    Snapshot(text_message(Role.ASSISTANT, "Hello"), 9),
)


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in EXAMPLES} == set(typing.get_args(TurnEvent))


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_bots_render_it(event: TurnEvent) -> None:
    answer = _Answer()
    answer.take(event)
    assert answer != _Answer()


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_the_browser_hears_it_and_the_page_knows_it(event: TurnEvent) -> None:
    shown = wire.dump_event(event)
    assert wire.load_event(wire.decode(wire.encode(shown))) == event
    known = "".join(path.read_text() for path in PAGE.glob("*.ts") if not path.name.endswith(".test.ts"))
    assert f'"{shown["type"]}"' in known or f"'{shown['type']}'" in known
