"""Text from outside made fit to show and store: grapheme-safe cuts, names without tricks, slugs.

Grapheme clusters follow https://unicode.org/reports/tr29/ as far as the standard library's tables reach: combining
marks, emoji with joiners, modifiers and flags, and Hangul hold together; Indic conjuncts may be cut between letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_ZWJ = "\u200d"
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f"  # controls; tab and the line ends are spaces
    "\u00ad\u200b\u200e\u200f\u061c\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, fillers, annotation
    "\U000e0000-\U000e001f\U000e0080-\U000e0fff\ud800-\udfff]"  # tags outside flags, halves of pairs
)
_STRAY_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARKS_AT_MOST = 16
"""Combining marks kept on one letter; more only deface their surroundings."""


def graphemes(text: str) -> Iterator[str]:
    """What a reader would call the characters of a text, in order; joined they are the text."""
    begin = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not _together(text, begin, at):
            yield text[begin:at]
            begin = at


def cut(text: str, limit: int, *, code_points: int | None = None, ellipsis: str = "") -> str:
    """At most `limit` graphemes of the text (and at most `code_points`), never a part of one.

    `ellipsis` ends a text that was cut, within the limits.
    """
    room = len(text) if code_points is None else code_points
    if len(text) <= min(limit, room):
        return text
    if len(ellipsis) > min(limit, room):
        ellipsis = ""
    taken: list[str] = []
    length = 0
    for one in graphemes(text):
        if len(taken) == limit or length + len(one) > room:
            break
        taken.append(one)
        length += len(one)
    else:
        return text
    while ellipsis and (len(taken) + len(ellipsis) > limit or length + len(ellipsis) > room):
        length -= len(taken.pop())
    return "".join(taken).rstrip() + ellipsis if ellipsis else "".join(taken)


def clean(text: str) -> str:
    """Without control, direction and other invisible characters; line ends become newlines.

    The joiners that emoji and several scripts need stay. Nothing that remains can reorder or hide its neighbours.
    """
    text = _LINE_ENDS.sub("\n", text)
    return _STRAY_TAGS.sub("", _INVISIBLE.sub("", text))


def one_line(text: str, limit: int) -> str:
    """A name or title for a column of `limit` code points: clean, on one line, single spaces, no heaps of marks."""
    line = " ".join(clean(text[: 16 * limit + 1024]).split())
    if len(line) > 1:
        line = "".join(_unadorned(one) for one in graphemes(line))
    # A name of joiners alone would show as nothing.
    return cut(line, limit, code_points=limit) if line.strip("\u200c\u200d\ufe0e\ufe0f ") else ""


def slug(text: str, limit: int = 40) -> str:
    """Lower-case ASCII letters, digits and single hyphens, for file names and keys; may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain).strip("-")[:limit].strip("-")


def _together(text: str, begin: int, at: int) -> bool:
    """Whether no boundary lies before `text[at]` in the cluster that began at `begin`."""
    before, after = text[at - 1], text[at]
    if before == "\r":
        return after == "\n"
    if before in "\n\u2028\u2029" or unicodedata.category(before) == "Cc":
        return False
    if _extends(after):
        return True
    if before == _ZWJ:
        return _pictograph(after) and _pictograph(text[begin])
    if _regional(before) and _regional(after):
        return (at - begin) % 2 == 1
    return _hangul(before, after)


def _extends(char: str) -> bool:
    number = ord(char)
    return (
        unicodedata.category(char) in {"Mn", "Me", "Mc"}
        or number in {0x200C, 0x200D, 0xFF9E, 0xFF9F}
        or 0x1F3FB <= number <= 0x1F3FF
        or 0xE0020 <= number <= 0xE007F
    )


def _pictograph(char: str) -> bool:
    return unicodedata.category(char) == "So" or 0x1F000 <= ord(char) <= 0x1FAFF


def _regional(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


def _hangul(before: str, after: str) -> bool:
    kind, next_kind = _hangul_kind(before), _hangul_kind(after)
    return (
        (kind == "L" and next_kind in {"L", "V", "LV", "LVT"})
        or (kind in {"LV", "V"} and next_kind in {"V", "T"})
        or (kind in {"LVT", "T"} and next_kind == "T")
    )


def _hangul_kind(char: str) -> str:
    number = ord(char)
    if 0x1100 <= number <= 0x115F or 0xA960 <= number <= 0xA97C:
        return "L"
    if 0x1160 <= number <= 0x11A7 or 0xD7B0 <= number <= 0xD7C6:
        return "V"
    if 0x11A8 <= number <= 0x11FF or 0xD7CB <= number <= 0xD7FB:
        return "T"
    if 0xAC00 <= number <= 0xD7A3:
        return "LV" if (number - 0xAC00) % 28 == 0 else "LVT"
    return ""


def _unadorned(cluster: str) -> str:
    marks = sum(unicodedata.category(char) in {"Mn", "Me"} for char in cluster)
    return cluster if marks <= _MARKS_AT_MOST else cluster[: _MARKS_AT_MOST + 1]
