"""Parts: the typed pieces of a message's content. Values without ids, equal by content."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextPart:
    """Markdown as the person or the model wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What a model thought aloud; shown folded, and sent back only where its family asks for it."""

    text: str
    state: str | None = None
    """Opaque JSON of the vendor's family (signatures), replayed unread; None when there is none."""


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture by https URL, `data:` URL or stored file."""

    url: str
    detail: str | None = None
    """OpenAI's hint `low`, `high` or `auto`; None leaves it to the upstream."""


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A model's wish to call a function."""

    id: str
    name: str
    arguments: str
    """JSON text exactly as the model produced it; may be invalid."""


@dataclass(frozen=True, slots=True)
class ToolResultPart:
    """The answer to one ToolCallPart."""

    call_id: str
    text: str
    is_error: bool = False


Part = TextPart | ReasoningPart | ImagePart | ToolCallPart | ToolResultPart
