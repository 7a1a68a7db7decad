"""Buttons as inline keyboards, commands as menus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bots.common.surface import Button
from core.chat import pack
from core.commands import COMMANDS
from core.i18n import LOCALES, t

LABEL_CHARS = 60
BUTTONS = 100
"""The server takes no more on one message."""


def keyboard(rows: Sequence[Sequence[Button]]) -> dict[str, Any] | None:
    """The `reply_markup` of these rows; None when there are none (an edit without it takes buttons away)."""
    found: list[list[dict[str, str]]] = []
    left = BUTTONS
    for row in rows:
        found.append([_button(button) for button in row[:left]])
        left -= len(found[-1])
    return {"inline_keyboard": found} if any(found) else None


def _button(button: Button) -> dict[str, str]:
    made = {"text": button.label[:LABEL_CHARS], "callback_data": pack(button.action)}
    if button.style:
        made["style"] = button.style
    return made


def menus() -> list[dict[str, Any]]:
    """Parameters of one `setMyCommands` call for each kind of chat and each language; English is the default."""
    calls = []
    for kind, private in (("all_private_chats", True), ("all_group_chats", False)):
        for locale in LOCALES:
            listed = [
                {"command": command.name, "description": t(command.caption_key, locale)[:256]}
                for command in COMMANDS
                if private or not command.private
            ]
            language = None if locale == LOCALES[0] else locale.partition("-")[0]
            calls.append({"commands": listed, "scope": {"type": kind}, "language_code": language})
    return calls
