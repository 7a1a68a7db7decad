"""Logs: one line an event, context bound at the door, and no secret on any way in."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from core.kit.logging import bound, configure, redacted

OWN = "own-secret-of-this-deployment"
SECRETS = {
    "bearer": ("Authorization: Bearer abcDEF123456789", "abcDEF123456789"),
    "key": ("key sk-parley-Abc_def-123456789 refused", "Abc_def-123456789"),
    "telegram": ("POST /bot123456789:AAHk-abcdefghijklmnopqrstuvwxyz12345/getMe", "AAHk-abcdefghij"),
    "discord": ("login MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcDe.abcdefghijklmnopqrstuvwxyz0123456789AB", "GabcDe.abc"),
    "address": ("postgres://user:hunter2secret@db/parley", "hunter2secret"),
    "password": ('{"password": "hunter2secret"}', "hunter2secret"),
    "query": ("GET /?api_key=hunter2secret&x=1", "hunter2secret"),
    "google": ("AIzaSyA1234567890abcdefghijklmnopqrs", "SyA1234567890"),
    "row": ("null value\nDETAIL:  Failing row contains (m1, my words\nin lines).\nHINT: x", "words\nin lines"),
    "input": ("1 error [type=missing, input_value={'text': 'my words'}, input_type=dict]", "my words"),
    "known": (f"something {OWN} else", OWN),
}


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    output = io.StringIO()
    configure("debug", stream=output, secrets=[OWN])
    yield output
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS.keys())
def test_a_planted_secret_reaches_no_line(stream: io.StringIO, text: str, secret: str) -> None:
    ours, theirs = structlog.get_logger("core.room"), logging.getLogger("aiogram.event")
    ours.info("thing.happened", detail=text, nested={"inner": [text]}, thing=ValueError(text))
    theirs.error("failed with %s", text)
    with bound(place=text):
        ours.warning("thing.bound")
    try:
        raise RuntimeError(text)
    except RuntimeError:
        ours.exception("thing.failed")
        theirs.exception("it failed")
    assert len(lines(stream)) == 5
    assert secret not in stream.getvalue()


def test_values_under_a_secrets_name_are_struck_out_and_counts_are_not(stream: io.StringIO) -> None:
    structlog.get_logger("core.room").info(
        "x", password="p", api_key="abc", telegram_token="t", output_tokens=12, token_hash="ab", tokens="many"
    )
    [line] = lines(stream)
    assert (line["password"], line["api_key"], line["telegram_token"]) == ("***", "***", "***")
    assert (line["output_tokens"], line["token_hash"], line["tokens"]) == (12, "ab", "many")


def test_a_line_carries_level_name_time_and_bound_context(stream: io.StringIO) -> None:
    log = structlog.get_logger("core.turns.runner")
    with bound(turn="turn_1", account="acc_1"):
        log.info("turn.finished", cost_micro=5)
    log.info("turn.finished")
    first, second = lines(stream)
    assert (first["event"], first["level"], first["logger"]) == ("turn.finished", "info", "core.turns.runner")
    assert (first["turn"], first["account"], first["cost_micro"]) == ("turn_1", "acc_1", 5)
    assert first["timestamp"].endswith("Z")
    assert "turn" not in second


def test_foreign_libraries_speak_in_the_same_form_from_warnings_up(stream: io.StringIO) -> None:
    logging.getLogger("discord.gateway").info("connected")
    logging.getLogger("discord.gateway").warning("late by %d s", 3)
    [line] = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("late by 3 s", "warning", "discord.gateway")


def test_at_debug_foreign_libraries_do_not_quote_their_queries(stream: io.StringIO) -> None:
    logging.getLogger("aiosqlite").debug("executing INSERT … with %s", ["what somebody wrote"])
    structlog.get_logger("web.v1").debug("ours")
    assert [line["event"] for line in lines(stream)] == ["ours"]


def test_a_line_of_any_size_stays_bounded(stream: io.StringIO) -> None:
    structlog.get_logger("core.room").info("x", text="long " * 100_000)
    assert len(stream.getvalue()) < 30_000


@pytest.mark.parametrize(
    "text", ["turn_01m864pzypeypx94349yz9e77w", "12:30:45 on 127.0.0.1:8000", "gpt-5-mini", "a.b.c"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redacted(text) == text
