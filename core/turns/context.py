"""The context of a call, pure: which messages of a branch fit the model's window.

The system text always stays; of the conversation the oldest pairs give way, and the question itself never does. An
answer without words is left out, and questions that then follow each other become one, since several model families
refuse two questions in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.chat import ImagePart, Message, Part, Profile, ReasoningPart, Role, TextPart, text_message
from core.chat.tokens import estimate_message

MARGIN = 0.05
"""The part of the window left free: token counts are estimates."""
SHARE_FOR_ANSWER = 0.5
"""Of a window that question and answer cannot share, what the answer may ask for at most."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is sent."""

    messages: tuple[Message, ...]
    dropped: int
    """Messages of the branch that did not fit."""
    input_tokens: int
    """The estimate of the prompt."""
    max_output: int
    """Tokens the answer may have."""


def build(system: str, branch: Sequence[Message], profile: Profile) -> Context:
    """The call's messages for a branch that ends with the question."""
    assert branch, "a context needs a question"
    room = int(profile.window * (1 - MARGIN))
    head = [text_message(Role.SYSTEM, system)] if system else []
    fixed = sum(map(estimate_message, head))
    said = _joined([_sendable(message, profile) for message in branch])
    question = estimate_message(said[-1])
    max_output = max(1, min(profile.max_output, max(room - fixed - question, int(room * SHARE_FOR_ANSWER))))
    left = room - max_output - fixed - question
    first = len(said) - 1
    for at in range(len(said) - 2, -1, -1):
        left -= estimate_message(said[at])
        if left < 0:
            break
        first = at
    # A conversation that begins with an answer has lost its question: the answer goes too.
    while first < len(said) - 1 and said[first].role is not Role.USER:
        first += 1
    kept = said[first:]
    return Context(
        messages=(*head, *kept),
        dropped=first,
        input_tokens=fixed + sum(map(estimate_message, kept)),
        max_output=max_output,
    )


def _sendable(message: Message, profile: Profile) -> Message:
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, ReasoningPart) and part.state is None:
            continue
        if isinstance(part, ImagePart) and (not profile.vision or message.role is Role.ASSISTANT):
            continue
        if isinstance(part, TextPart) and part.text == "":
            continue
        parts.append(part)
    return replace(message, parts=tuple(parts))


def _joined(branch: Sequence[Message]) -> list[Message]:
    said: list[Message] = []
    for message in branch[:-1]:
        if message.parts:
            _append(said, message)
    _append(said, branch[-1])
    return said


def _append(said: list[Message], message: Message) -> None:
    last = said[-1] if said else None
    if last is not None and last.role is message.role is Role.USER and last.name == message.name:
        said[-1] = replace(last, parts=(*last.parts, TextPart("\n\n"), *message.parts))
    else:
        said.append(message)
