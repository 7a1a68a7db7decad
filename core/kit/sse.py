"""Server-sent events: an incremental parser that forgives what real servers do, and a formatter. Pure.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html section 9.2.6. Beyond it: data lines need no
space, and the last event counts without its blank line, since many model servers end without one.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Pictures travel inside one line; more than this is an attack or a broken server."""

_BOM = b"\xef\xbb\xbf"


class LineTooLong(Exception):
    """A line, or the data of one event, is longer than the parser accepts; nothing after it can be trusted."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. A comment is an event whose `data` is None: nothing to read, but the other side is alive."""

    data: bytes | None
    """The data lines joined by a newline; not decoded, since JSON parsers take bytes."""
    kind: str = ""
    """The `event:` field; empty means a plain message."""


COMMENT = Event(None)


class Parser:
    """Bytes in, events out, at any cut: within a line end, within a character, within the byte order mark."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._begun = False
        self._data: list[bytes] = []
        self._data_size = 0
        self._kind = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes, in order. Raises LineTooLong."""
        if self._after_cr and chunk:
            # The carriage return that ended the last chunk has ended its line already.
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        events: list[Event] = []
        # Of bytes, splitlines() knows \n, \r\n and \r alone: exactly the line ends of the specification.
        for line in chunk.splitlines(keepends=True):
            bare = line.rstrip(b"\r\n")
            if len(bare) == len(line):
                self._keep(line)
                break
            if self._pieces:
                self._keep(bare)
                bare = b"".join(self._pieces)
                self._pieces.clear()
                self._size = 0
            self._line(bare, events)
        self._after_cr = chunk[-1:] == b"\r"
        return events

    def finish(self) -> list[Event]:
        """What is left when the connection ended: a last line and a last event need no line end."""
        events: list[Event] = []
        if self._pieces:
            line = b"".join(self._pieces)
            self._pieces.clear()
            self._line(line, events)
        self._dispatch(events)
        return events

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max:
            raise LineTooLong
        self._pieces.append(piece)

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if len(line) > self._max:
            raise LineTooLong
        if not line:
            self._dispatch(events)
            return
        if line[:1] == b":":
            events.append(COMMENT)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data_size += len(value)
            if self._data_size > self._max:
                raise LineTooLong
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            events.append(Event(self._data[0] if len(self._data) == 1 else b"\n".join(self._data), self._kind))
            self._data = []
            self._data_size = 0
        self._kind = ""


def format_event(data: bytes, *, kind: str = "", id: str = "") -> bytes:
    """One event as bytes, ended by its blank line; data of several lines becomes several data lines."""
    head = (f"id: {id}\n" if id else "") + (f"event: {kind}\n" if kind else "")
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return head.encode() + b"data: " + data + b"\n\n"


def format_comment(text: str = "") -> bytes:
    """A line that readers ignore and idle timers notice."""
    return f": {text}\n\n".encode()
