"""Message: a role and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.chat.parts import Part, TextPart


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Message:
    """One utterance; equality is by content. Ids belong to storage."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    """The speaker, where several people share a conversation; None in private ones."""

    @property
    def text(self) -> str:
        """All text parts joined; pictures, reasoning and tools left out."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


def text_message(role: Role, text: str, name: str | None = None) -> Message:
    """A message of a single text part."""
    return Message(role, (TextPart(text),), name)
