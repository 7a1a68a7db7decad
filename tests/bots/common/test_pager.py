"""The pager's promises as properties, and the cuts people look at."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.common.pager import Measure, PageLimits, Piece, mend, pages

_WORDS = st.text(alphabet="abc d.é漢😀`*$[]()|#-\n", max_size=60)
_BLOCKS = st.one_of(
    _WORDS,
    st.builds("# {}\n\n".format, st.text("abc ", min_size=1, max_size=20)),
    st.builds("```{}\n{}\n```\n".format, st.sampled_from(["", "python", "c++"]), st.text("ab \n|`", max_size=200)),
    st.builds(lambda n: "| a | b |\n|---|:-:|\n" + "| 1 | 22 |\n" * n + "\n", st.integers(0, 30)),
    st.builds("- {}\n".format, st.text("abc ", max_size=40)),
    st.sampled_from(["\n\n", "~~~\n", "````md\n", "$$\nx\n$$\n", "[link](http://x.org/a) ", "https://a.b/c "]),
)
_TEXTS = st.lists(_BLOCKS, max_size=12).map("".join)
_LIMITS = st.builds(
    PageLimits, st.integers(40, 400), st.one_of(st.none(), st.integers(4, 30)), st.sampled_from(Measure)
)


@settings(max_examples=150)
@given(_TEXTS, _LIMITS)
def test_joining_the_bodies_gives_the_input(text: str, limits: PageLimits) -> None:
    found = pages(text, limits)
    assert "".join(piece.body for piece in found) == (text if text.strip() else "")
    assert all(piece.body for piece in found)


@settings(max_examples=150)
@given(_TEXTS, _LIMITS)
def test_every_page_fits_and_says_something(text: str, limits: PageLimits) -> None:
    for piece in pages(text, limits):
        assert limits.measure.of(piece.text) <= limits.chars
        assert piece.text.strip()


@settings(max_examples=150)
@given(_TEXTS, _TEXTS, _LIMITS)
def test_more_text_never_changes_a_page_that_was_not_the_last(text: str, more: str, limits: PageLimits) -> None:
    before, after = pages(text, limits)[:-1], pages(text + more, limits)
    assert [piece.text for piece in after[: len(before)]] == [piece.text for piece in before]


@settings(max_examples=100)
@given(st.text("ab\n ", max_size=900), st.integers(60, 200))
def test_a_cut_fence_is_closed_and_reopened_with_its_language(code: str, limit: int) -> None:
    found = pages(f"```python\n{code}\n```\n", PageLimits(limit))
    for piece in found:
        lines = piece.text.rstrip().split("\n")
        assert lines[0] == "```python"
        assert lines[-1] == "```"


def test_a_cut_table_repeats_its_header() -> None:
    found = pages("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 60, PageLimits(300))
    assert len(found) > 2
    assert all(piece.text.startswith("| a | b |\n|---|---|\n| 1 |") for piece in found)


def test_a_page_prefers_to_end_before_a_heading() -> None:
    text = "# One\n\n" + "word " * 40 + "\n\n# Two\n\n" + "word " * 30
    assert pages(text, PageLimits(320))[1].text.startswith("# Two")


def test_a_link_is_never_cut() -> None:
    link = "[the whole story of it](https://example.org/a/long/path)"
    text = "word " * 35 + link + " and more" * 20
    assert any(link in piece.text for piece in pages(text, PageLimits(200)))


def test_a_long_line_is_cut_after_a_sentence() -> None:
    found = pages("A sentence of words. " * 30, PageLimits(100))
    assert all(piece.text.endswith("words.") for piece in found)


def test_block_limit_makes_pages_too() -> None:
    found = pages("- item\n" * 50, PageLimits(8000, blocks=40))
    assert [piece.body.count("item") for piece in found] == [20, 20, 10]


def test_surrogate_pairs_count_double_where_the_platform_counts_so() -> None:
    found = pages("😀" * 100, PageLimits(40, measure=Measure.UTF16))
    assert [len(piece.body) for piece in found] == [20, 20, 20, 20, 20]


def test_blank_text_gives_no_page() -> None:
    assert pages("", PageLimits(100)) == []
    assert pages(" \n\n", PageLimits(100)) == []


def test_limits_too_small_to_work_with_are_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        PageLimits(5)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("```python\nprint(", "```python\nprint(\n```"),
        ("```\na\n", "```\na\n```"),
        ("so **bold", "so **bold**"),
        ("so **", "so"),
        ("run `ls", "run `ls`"),
        ("$$\nx", "$$\nx\n$$"),
        ("text\n| a | b |\n", "text"),
        ("text\n| a | b |\n|--", "text"),
        ("| a | b |\n|---|---|\n| 1 |", "| a | b |\n|---|---|\n| 1 |"),
        ("done.", "done."),
    ],
)
def test_unfinished_markdown_is_mended(text: str, shown: str) -> None:
    assert mend(text) == shown


def test_blank_lines_around_a_page_are_not_shown() -> None:
    assert Piece("", "\n\nhello\n\n", "").text == "hello"
