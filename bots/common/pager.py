"""The pager: Markdown → pages within a limit, fences and tables kept whole; pure.

`pages(text, limits)` cuts greedily from the left. Promises, each tested as a property:

* joining the bodies gives the input, character for character;
* every page fits its limit and every step advances;
* a fence that is cut is closed and reopened with its language, a table that is cut repeats its header;
* a page that is not the last never changes when more text is appended, so that it may be posted while the answer
  still streams, and so that pages computed again after a restart are the same ones.

The last promise is why every choice looks only at the characters inside the page and the one behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

MIN_CHARS = 16
"""No page limit may be smaller: below it not even a fence can be closed."""
_ENOUGH = 0.5
"""A page that is at least this full may end at a good boundary instead of being filled up."""
_SPAN = 500
"""How far back a cut moves to keep a link, a formula or inline code whole."""
_INFO = 24
"""Characters of a fence's language that are repeated."""

_JOINERS = "\u200d\ufe0f\ufe0e"
_FENCE = re.compile(r"( {0,8})(`{3,}|~{3,})([^\n]*)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
_SEPARATOR = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_SENTENCE = re.compile(r"(?:[.!?…][\"')\]]?\s)|[。！？；]")


class Measure(Enum):
    """How a platform counts characters."""

    CODE_POINTS = "code points"
    UTF16 = "UTF-16 units"

    def of(self, text: str) -> int:
        """The length of `text` in this unit."""
        if self is Measure.CODE_POINTS:
            return len(text)
        return len(text) + sum(1 for character in text if character > "\uffff")

    def fitting(self, text: str, start: int, budget: int) -> int:
        """The largest end such that text[start:end] is no longer than `budget`."""
        if self is Measure.CODE_POINTS:
            return min(len(text), start + max(0, budget))
        end = start
        while end < len(text):
            budget -= 2 if text[end] > "\uffff" else 1
            if budget < 0:
                break
            end += 1
        return end


@dataclass(frozen=True, slots=True)
class PageLimits:
    """What one page may hold."""

    chars: int
    """At least MIN_CHARS; counts what the pager adds as well."""
    blocks: int | None = None
    """Paragraphs, list items, table rows and fences, counted from above; None for no limit."""
    measure: Measure = Measure.CODE_POINTS

    def __post_init__(self) -> None:
        if self.chars < MIN_CHARS or (self.blocks is not None and self.blocks < 4):
            raise ValueError("page limits are too small")


@dataclass(frozen=True, slots=True)
class Piece:
    """One page: a slice of the input between what the pager added."""

    head: str
    """A reopened fence or a repeated table header; else empty."""
    body: str
    tail: str
    """A closing fence; else empty."""

    @property
    def text(self) -> str:
        """What is shown: blank lines at both ends are left out."""
        body = self.body if self.tail else self.body.rstrip()
        return self.head + (body if self.head else _BLANK_LINES.sub("", body)) + self.tail


@dataclass(frozen=True, slots=True)
class _State:
    """What is open at a position that begins a line."""

    fence: str = ""
    """The opening line's indent and marker while inside a fence."""
    info: str = ""
    table: str = ""
    """Header and separator lines while inside a table."""
    row: str = ""
    """The line before, when it may turn out to be a table's header."""


_NOTHING = _State()


def pages(text: str, limits: PageLimits) -> list[Piece]:
    """Cut `text`; empty or blank input gives no page."""
    if not text.strip():
        return []
    found: list[Piece] = []
    position, state = 0, _NOTHING
    while position < len(text):
        piece, position, state = _next_page(text, position, state, limits)
        if not (state.fence or text[position:].strip()):  # blanks at the end are not shown: no page of their own
            piece, position = Piece(piece.head, piece.body + text[position:], piece.tail), len(text)
        found.append(piece)
    return found


def mend(text: str) -> str:
    """Unfinished Markdown made presentable: what is open is closed, a table without its separator row is left out."""
    state = _NOTHING
    lines = text.splitlines(keepends=True)
    for line in lines:
        state = _after(state, line)
    if state.fence:
        return text + _closing(state, text)
    if state.row and lines and not state.table:
        text = text[: len(text) - len(lines[-1])].rstrip()
    elif lines and len(lines) > 1 and _looks_like_row(lines[-2]) and not state.table and "|" in lines[-1]:
        text = text[: len(text) - len(lines[-1]) - len(lines[-2])].rstrip()
    if text.count("$$") % 2:
        return text + ("\n$$" if "\n" in text[text.rindex("$$") :] else "$$")
    paragraph = text[text.rfind("\n\n") + 1 :]
    if paragraph.count("`") % 2:
        text += "`"
    elif paragraph.count("**") % 2:
        text = text.rstrip()
        text = text[:-2].rstrip() if text.endswith("**") else text + "**"
    return text


def _next_page(text: str, start: int, state: _State, limits: PageLimits) -> tuple[Piece, int, _State]:
    head = _opening(state, text, start, limits)
    if state.fence and not head:  # too long to be repeated: the rest goes out as plain lines
        state = _NOTHING
    measure = limits.measure
    used, blocks = measure.of(head), 2 if head else 0
    least = used + (limits.chars - used) * _ENOUGH
    best: tuple[int, int, _State] | None = None
    at, begun = start, bool(head)
    while at < len(text):
        line_end = text.find("\n", at) + 1 or len(text)
        line = text[at:line_end]
        after = _after(state, line)
        cost = measure.of(line) if begun or line.strip() else 0  # blank lines at the top are not shown
        weight = _blocks_of(state, line)
        if limits.blocks is not None and blocks + weight > limits.blocks:
            best = best or (0, at, state)
            break
        if used + cost + _closing_cost(after) > limits.chars:
            break
        begun = begun or bool(line.strip())
        used, blocks, at, state = used + cost, blocks + weight, line_end, after
        if at < len(text) and line.endswith("\n"):
            quality = _quality(state, line, text[at])
            if used >= least and begun and (best is None or quality >= best[0]):
                best = (quality, at, state)
    if at >= len(text):
        return Piece(head, text[start:], _closing(state, text) if state.fence else ""), len(text), state
    if best is not None:
        _, end, state = best
        body = text[start:end]
        return Piece(head, body, _closing(state, body) if state.fence else ""), end, state
    return _inside_a_line(text, start, at, head=head, used=used, state=state, limits=limits)


def _inside_a_line(
    text: str, start: int, at: int, *, head: str, used: int, state: _State, limits: PageLimits
) -> tuple[Piece, int, _State]:
    """No boundary makes the page full enough: cut the line that begins at `at`, or continues there."""
    room = limits.chars - used - _closing_cost(state)
    limit = limits.measure.fitting(text, at, room)
    line_end = text.find("\n", at) + 1 or len(text)
    end = min(limit, line_end)
    floor = max(at, start + 1) if at == start else at
    end = _good_cut(text, floor, end, fenced=bool(state.fence))
    if end <= start:
        end = max(start + 1, limit)
    body = text[start:end]
    # A cut row is not a row of the table any more; a fence goes on.
    rest = _State(fence=state.fence, info=state.info)
    return Piece(head, body, _closing(state, body) if state.fence else ""), end, rest


def _good_cut(text: str, low: int, high: int, *, fenced: bool) -> int:
    """The best end in (low, high] within one line: after a sentence, after a word, else at a whole character."""
    window = text[low:high]
    if not fenced:
        opened = _opened(window[-2 * _SPAN :])
        if opened is not None:
            whole = len(window) - len(window[-2 * _SPAN :]) + opened
            if len(window) - whole <= _SPAN and whole > 0:
                window = window[:whole]
        half = len(window) // 2
        sentences = [match.end() for match in _SENTENCE.finditer(window, half)]
        if sentences:
            return low + sentences[-1]
    space = max(window.rfind(" "), window.rfind("\t"), window.rfind("\u3000"))
    if space >= len(window) // 2:
        return low + space + 1
    end = low + len(window)
    while end > low + 1 and end < len(text) and _joins(text[end]):
        end -= 1
    return end


def _opened(text: str) -> int | None:
    """Where the first still open link, formula or code span of `text` begins."""
    code: int | None = None
    formula: int | None = None
    link: int | None = None
    for index, character in enumerate(text):
        if character == "`":
            code = index if code is None else None
        elif code is not None:
            continue
        elif character == "$":
            formula = index if formula is None else None
        elif character == "[" and link is None:
            link = index
        elif character == ")" or (character == "]" and text[index + 1 : index + 2] not in {"(", ""}):
            link = None
    starts = [start for start in (code, formula, link) if start is not None]
    address = re.search(r"https?://\S*$", text)
    if address:
        starts.append(address.start())
    return min(starts) if starts else None


def _joins(character: str) -> bool:
    """Whether a character belongs to the one before it: joiners, variation selectors, combining marks, skin tones."""
    return character in _JOINERS or "\u0300" <= character <= "\u036f" or "\U0001f3fb" <= character <= "\U0001f3ff"


def _after(state: _State, line: str) -> _State:
    if state.fence:
        return _NOTHING if _closes(state.fence, line) else state
    opened = _FENCE.match(line)
    if opened and not ("`" in opened[2] and "`" in opened[3]):
        return _State(fence=opened[1] + opened[2], info=opened[3].strip()[:_INFO])
    if state.table:
        return state if _looks_like_row(line) else _NOTHING
    if state.row and "|" in line and "-" in line and _SEPARATOR.fullmatch(line.rstrip("\n")) and line.endswith("\n"):
        return _State(table=state.row + line)
    return _State(row=line) if _looks_like_row(line) and line.endswith("\n") else _NOTHING


def _closes(fence: str, line: str) -> bool:
    marker = fence.strip()
    stripped = line.strip()
    return stripped.startswith(marker) and not stripped.strip(marker[0])


def _looks_like_row(line: str) -> bool:
    return "|" in line.strip()


def _opening(state: _State, text: str, start: int, limits: PageLimits) -> str:
    if state.fence:
        head = f"{state.fence}{state.info}\n"
        if limits.measure.of(head) + _closing_cost(state) > limits.chars // 2:
            head = f"{state.fence}\n"
        return head if limits.measure.of(head) + _closing_cost(state) <= limits.chars // 2 else ""
    if state.table:
        line_end = text.find("\n", start)
        line = text[start:] if line_end < 0 else text[start:line_end]
        if _looks_like_row(line) and limits.measure.of(state.table) <= limits.chars // 3:
            return state.table
    return ""


def _closing(state: _State, body: str) -> str:
    return state.fence if body.endswith("\n") else f"\n{state.fence}"


def _closing_cost(state: _State) -> int:
    return len(state.fence) + 1 if state.fence else 0


def _blocks_of(state: _State, line: str) -> int:
    if state.fence or not line.strip():
        return 0
    return 2 if _ITEM.match(line) else 1


def _quality(after: _State, line: str, ahead: str) -> int:
    """How good it is to end a page behind `line`; `ahead` is the character that follows."""
    if after.fence:
        return 0 if not _FENCE.match(line) else -1
    if after.table or after.row:
        return 1 if after.table and ahead == "|" else (2 if after.table else -1)
    if ahead == "#":
        return 6
    if not line.strip():
        return 5
    if ahead in "`~":
        return 4
    return 3 if ahead in "-*+0123456789\n" else 2
