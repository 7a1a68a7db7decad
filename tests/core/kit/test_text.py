"""Cuts never split what a reader sees as one character; names carry no tricks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kit.text import clean, cut, graphemes, one_line, slug

FAMILY = "👨‍👩‍👧‍👦"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("abc", ["a", "b", "c"]),
        ("e\u0301a", ["e\u0301", "a"]),
        (FAMILY + "x", [FAMILY, "x"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("🇨🇳🇩🇪🇫", ["🇨🇳", "🇩🇪", "🇫"]),
        ("❤️a", ["❤️", "a"]),
        ("1️⃣2", ["1️⃣", "2"]),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿!", ["🏴󠁧󠁢󠁥󠁮󠁧󠁿", "!"]),
        ("한국", ["한", "국"]),
        ("\u1112\u1161\u11ab가", ["\u1112\u1161\u11ab", "가"]),
        ("नि", ["नि"]),
        ("\r\n\n", ["\r\n", "\n"]),
        ("", []),
    ],
)
def test_what_a_reader_sees_as_one_stays_one(text: str, parts: list[str]) -> None:
    assert list(graphemes(text)) == parts


@given(st.text(max_size=60), st.integers(0, 40), st.integers(0, 40))
def test_a_cut_is_a_beginning_within_its_limits(text: str, limit: int, room: int) -> None:
    short = cut(text, limit, code_points=room)
    assert text.startswith(short)
    assert len(list(graphemes(short))) <= limit
    assert len(short) <= room
    assert "".join(graphemes(text)) == text
    marked = cut(text, limit, code_points=room, ellipsis="…")
    assert len(marked) <= min(room, 2 * len(text)) or not text
    assert len(list(graphemes(marked))) <= limit


def test_an_ellipsis_tells_of_a_cut_and_of_nothing_else() -> None:
    assert cut("short", 40, ellipsis="…") == "short"
    assert cut("hello world", 7, ellipsis="…") == "hello…"
    assert cut(FAMILY * 3, 2, ellipsis="…") == FAMILY + "…"
    assert cut(FAMILY * 2, 2) == FAMILY * 2


def test_invisible_and_turning_characters_are_taken_out() -> None:
    assert clean("a\u202eb\u2066c\u200bd\x00e\x1b[0m\ufeff") == "abcde[0m"
    assert clean("one\r\ntwo\u2028three") == "one\ntwo\nthree"
    assert clean("hi\U000e0041\U000e0042") == "hi"
    assert clean("🏴󠁧󠁢󠁥󠁮󠁧󠁿") == "🏴󠁧󠁢󠁥󠁮󠁧󠁿"
    assert clean(FAMILY) == FAMILY


def test_a_name_is_one_clean_line_that_fits_its_column() -> None:
    assert one_line("  Mei \n\t Lin\u202e ", 100) == "Mei Lin"
    assert one_line("\u200d\ufe0f \u200d", 100) == ""
    assert len(one_line(FAMILY * 50, 100)) <= 100
    assert one_line(FAMILY * 50, 100).endswith(FAMILY)
    assert len(one_line("a" + "\u0301" * 500 + "b", 100)) == 18
    assert one_line("x" * 10**6, 100) == "x" * 100


def test_a_slug_is_plain() -> None:
    assert slug("  Über Größe / 中文 -- v2 ") == "uber-groe-v2"
    assert slug("中文") == ""
    assert slug("a" * 39 + " b") == "a" * 39
