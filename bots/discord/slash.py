"""The slash commands, made from the table of commands; pure.

Source: https://docs.discord.com/developers/interactions/application-commands (names of 1–32 lower-case letters,
descriptions of 100 characters, texts of 6,000; contexts 0 server, 1 direct message with the bot, 2 other private
channels; integration types 0 server, 1 person), seen 2026-11.
"""

from __future__ import annotations

from typing import Any

from core.commands import COMMANDS, Command
from core.i18n import LOCALES, t

CHAT = "chat"
CHAT_OPTION = "message"
DESCRIPTION_CHARS = 100
TEXT_CHARS = 6_000
_TEXT_OPTION = 3


def definitions() -> list[dict[str, Any]]:
    """What is registered with Discord: `/chat`, and every command of the table, in all our languages."""
    chat = _definition(CHAT, "command.chat.caption")
    chat["options"] = [_option(CHAT_OPTION, "command.chat.argument", required=True)]
    return [chat, *(_of(command) for command in COMMANDS)]


def _of(command: Command) -> dict[str, Any]:
    definition = _definition(command.name, command.caption_key)
    if command.argument is not None and command.argument_key is not None:
        definition["options"] = [_option(command.argument, command.argument_key, required=False)]
    return definition


def _definition(name: str, caption_key: str) -> dict[str, Any]:
    return {"type": 1, "name": name, **_described(caption_key), "integration_types": [0, 1], "contexts": [0, 1, 2]}


def _option(name: str, caption_key: str, *, required: bool) -> dict[str, Any]:
    described = _described(caption_key)
    return {"type": _TEXT_OPTION, "name": name, **described, "required": required, "max_length": TEXT_CHARS}


def _described(caption_key: str) -> dict[str, Any]:
    first, *others = LOCALES
    return {
        "description": t(caption_key, first)[:DESCRIPTION_CHARS],
        "description_localizations": {locale: t(caption_key, locale)[:DESCRIPTION_CHARS] for locale in others},
    }
