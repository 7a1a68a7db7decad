"""The parser gives the same events however the bytes are cut, and forgives what servers do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kit.sse import COMMENT, Event, LineTooLong, Parser, format_comment, format_event

STREAM = (
    b'\xef\xbb\xbf: hello\r\n\r\ndata: {"a": 1}\r\n\r\nevent: error\ndata:no space\ndata: two\n\n'
    b"id: 7\nretry: 10\ndata\r\rdata: \xe4\xb8\xad\xf0\x9f\x99\x82\n\ngarbage\n\ndata: last"
)
EVENTS = [
    COMMENT,
    Event(b'{"a": 1}'),
    Event(b"no space\ntwo", "error"),
    Event(b""),
    Event("中🙂".encode()),
    Event(b"last"),
]


def parse(pieces: list[bytes]) -> list[Event]:
    parser = Parser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.finish()


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_cut_gives_the_same_events(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[a:b] for a, b in pairwise(places)]) == EVENTS


def test_single_bytes_give_the_same_events() -> None:
    assert parse([STREAM[at : at + 1] for at in range(len(STREAM))]) == EVENTS


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_break_it(data: bytes, size: int) -> None:
    assert parse([data[at : at + size] for at in range(0, len(data), size)]) == parse([data])


@given(st.text().filter(lambda text: text != "" and not any(c in text for c in "\r\n")), st.sampled_from(["", "ping"]))
def test_what_is_formatted_is_read_again(text: str, kind: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    assert parse([format_comment("x"), format_event(data, kind=kind, id="3")]) == [COMMENT, Event(data, kind)]


def test_lines_survive_formatting() -> None:
    assert parse([format_event(b"one\ntwo\r\nthree")]) == [Event(b"one\ntwo\nthree")]


def test_a_line_beyond_the_limit_is_refused_whole_or_in_pieces() -> None:
    with pytest.raises(LineTooLong):
        Parser(10).feed(b"data: 0123456789\n")
    parser = Parser(10)
    parser.feed(b"data: 0123")
    with pytest.raises(LineTooLong):
        parser.feed(b"4")
    parser = Parser(10)
    parser.feed(b"data:12345\n")
    parser.feed(b"data:12345\n")
    with pytest.raises(LineTooLong):
        parser.feed(b"data:12345\n")
