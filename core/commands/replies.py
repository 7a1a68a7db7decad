"""Reply blocks: what a command answers, for any door to lay out; values only."""

from __future__ import annotations

from dataclasses import dataclass

from core.chat import Action
from core.kit.ids import LinkId


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Markdown text."""

    text: str


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values, such as a balance."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """One of many to pick: label and what picking means. Doors show as many as fit; `chosen` marks the present one."""

    options: tuple[tuple[str, Action], ...]
    chosen: int | None = None


@dataclass(frozen=True, slots=True)
class Buttons:
    """A row of buttons: label and meaning."""

    options: tuple[tuple[str, Action], ...]


Block = Paragraph | Fields | Choices | Buttons


@dataclass(frozen=True, slots=True)
class Reply:
    """Blocks in reading order."""

    blocks: tuple[Block, ...]
    watch: LinkId | None = None
    """A link request that is not decided yet: the door tells in this place when it moves on (`commands.link_news`)."""
    secret: bool = False
    """For the asker's eyes only."""

    @property
    def toast(self) -> str:
        """The first paragraph, for doors that show one line."""
        return next((block.text for block in self.blocks if isinstance(block, Paragraph)), "")


def said(text: str) -> Reply:
    """A reply of one paragraph."""
    return Reply((Paragraph(text),))
