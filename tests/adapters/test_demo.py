"""The demo says what it is, shows every kind of Markdown, and keeps to the limits of a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core import adapters
from core.adapters import Pause, Target
from core.adapters.demo import Demo, answer
from core.chat import Call, Finish, FinishReason, Options, Role, TextDelta, UsageDelta, text_message
from core.chat.tokens import estimate
from core.kit.ids import ModelName

TARGET = Target(adapters.vendor("demo"), "", "demo")


def ask(question: str, max_output: int | None = None) -> Call:
    return Call(ModelName("demo"), (text_message(Role.USER, question),), Options(max_output=max_output))


@pytest.mark.parametrize(
    ("question", "label"), [("What is **this**?", "No AI model wrote this"), ("这是什么?", "不是 AI 模型写的")]
)
def test_it_streams_a_labelled_answer_that_shows_everything(question: str, label: str) -> None:
    steps = list(Demo().play(ask(question), TARGET))
    text = "".join(step.text for step in steps if isinstance(step, TextDelta))
    assert text == answer(ask(question))
    for piece in (label, f"> {question}", "# ", "1. ", "```python", "|:--", "$$\n", "$e^{i\\pi}"):
        assert piece in text
    chunks = sum(isinstance(step, TextDelta) for step in steps)
    seconds = sum(step.seconds for step in steps if isinstance(step, Pause))
    assert 60 <= chunks / seconds <= 100
    assert 1.5 <= seconds <= 8
    assert steps[-1] == Finish(FinishReason.STOP)
    assert isinstance(steps[-2], UsageDelta)
    assert steps[-2].usage.output == estimate(text)


def test_a_long_question_is_quoted_shortly_on_one_line() -> None:
    text = answer(ask("word\n# heading\n" * 500))
    quoted = next(line for line in text.splitlines() if line.startswith("> "))
    assert len(quoted) <= 130


def test_it_keeps_to_the_limit_of_the_call() -> None:
    steps = list(Demo().play(ask("Hi", max_output=20), TARGET))
    text = "".join(step.text for step in steps if isinstance(step, TextDelta))
    assert 15 <= estimate(text) <= 20
    assert steps[-1] == Finish(FinishReason.LENGTH)


def test_who_waits_for_the_whole_does_not_wait_long() -> None:
    steps = list(Demo().play(replace(ask("Hi"), stream=False), TARGET))
    assert not any(isinstance(step, Pause) for step in steps)


def test_braces_in_a_question_are_only_text() -> None:
    assert "> {x} {0} {quote}" in answer(ask("{x} {0} {quote}"))
