"""Buttons as Discord components; pure.

A custom id carries the whole meaning of its button, so that nothing is registered and buttons outlive a restart.

Source: https://docs.discord.com/developers/components/reference (5 rows of 5 buttons, custom ids of 1–100 characters,
labels of 80; select menus of 25 options of 100 characters), seen 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bots.common.surface import Button
from core.chat import pack

ROWS = 5
BUTTONS_IN_ROW = 5
LABEL_CHARS = 80
OPTIONS = 25
OPTION_CHARS = 100

_ROW, _BUTTON, _MENU = 1, 2, 3
_STYLES = {"primary": 1, "success": 3, "danger": 4}
_GREY = 2


def components(rows: Sequence[Sequence[Button]]) -> list[dict[str, Any]]:
    """Rows of buttons; more than fit become select menus, whose values are the actions."""
    if len(rows) <= ROWS and all(len(row) <= BUTTONS_IN_ROW for row in rows):
        return [_row(*(_button(button) for button in row)) for row in rows if row]
    buttons = [button for row in rows for button in row][: OPTIONS * ROWS]
    return [_row(_menu(start, buttons[start : start + OPTIONS])) for start in range(0, len(buttons), OPTIONS)]


def custom_ids(shown: Sequence[dict[str, Any]]) -> list[str]:
    """The custom ids in a message's components, in order."""
    return [str(one.get("custom_id", "")) for row in shown for one in row.get("components", ())]


def _row(*inside: dict[str, Any]) -> dict[str, Any]:
    return {"type": _ROW, "components": list(inside)}


def _button(button: Button) -> dict[str, Any]:
    return {
        "type": _BUTTON,
        "style": _STYLES.get(button.style, _GREY),
        "label": button.label[:LABEL_CHARS],
        "custom_id": pack(button.action),
    }


def _menu(number: int, buttons: Sequence[Button]) -> dict[str, Any]:
    options = [{"label": button.label[:OPTION_CHARS], "value": pack(button.action)} for button in buttons]
    return {"type": _MENU, "custom_id": f"menu{number}", "options": options}
