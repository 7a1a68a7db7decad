"""Estimates of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import ImagePart, Message, Role, TextPart, Tool, text_message
from core.chat.tokens import estimate, estimate_messages


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 2),
        ("a" * 36, 10),
        ("你好", 2),
        ("你好ab", 3),
        ("こんにちは", 5),
        ("한국어", 3),
        ("é", 1),
    ],
)
def test_a_text_counts_by_script(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


def test_half_an_emoji_is_counted_rather_than_raised() -> None:
    assert estimate("\ud83d") >= 1


@given(st.text(), st.text())
def test_more_text_never_counts_less(one: str, more: str) -> None:
    assert estimate(one) <= estimate(one + more) <= estimate(one) + estimate(more)
    assert estimate(one) > 0 or one == ""


def test_messages_pictures_and_tools_add_up() -> None:
    plain = (text_message(Role.USER, "a" * 36),)
    assert estimate_messages(plain) == 14
    assert estimate_messages(plain * 2) == 28
    assert estimate_messages((Message(Role.USER, (ImagePart("data:,"), TextPart("a"))),)) == 805
    assert estimate_messages(plain, (Tool("weather", "by city", {"type": "object"}),)) > 14
