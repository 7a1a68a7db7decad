"""Token estimates by class of script: good enough to hold credits and to fit a window, never exact.

Used for billing only where an upstream reports no usage. One token is about one CJK character, or 3.6 UTF-8 bytes
of anything else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import orjson

from core.chat.call import Tool
from core.chat.message import Message
from core.chat.parts import ImagePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

BYTES_PER_TOKEN = 3.6
TOKENS_PER_MESSAGE = 4
"""Role, separators and the like, as chat templates add them."""
TOKENS_PER_PICTURE = 800
"""Between OpenAI's 85 (low detail) and some 1,600 of a large picture."""

_CJK = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]+"
)


def estimate(text: str) -> int:
    """Tokens of a text, rounded up; 0 only for the empty text."""
    if text.isascii():
        return math.ceil(len(text) / BYTES_PER_TOKEN)
    rest = _CJK.sub("", text)
    return (len(text) - len(rest)) + math.ceil(len(rest.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def estimate_part(part: Part) -> int:
    """Tokens of one part as a prompt."""
    match part:
        case TextPart(text) | ReasoningPart(text) | ToolResultPart(text=text):
            return estimate(text)
        case ImagePart():
            return TOKENS_PER_PICTURE
        case ToolCallPart(_, name, arguments):
            return estimate(name) + estimate(arguments)


def estimate_message(message: Message) -> int:
    """Tokens of one message as a prompt, its frame included."""
    return TOKENS_PER_MESSAGE + sum(map(estimate_part, message.parts)) + estimate(message.name or "")


def estimate_messages(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
    """Tokens of a whole prompt: messages, and the declarations of tools."""
    declared = sum(
        TOKENS_PER_MESSAGE
        + estimate(tool.name)
        + estimate(tool.description or "")
        + estimate(orjson.dumps(dict(tool.schema), default=str).decode())
        for tool in tools
    )
    return sum(map(estimate_message, messages)) + declared
