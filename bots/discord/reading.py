"""Discord's messages and interactions → Incoming and Press."""

from __future__ import annotations

import re
import time
from typing import Any

import discord

from bots.common.inbound import Incoming, Person, Press
from bots.common.surface import Place
from bots.discord.slash import CHAT, CHAT_OPTION
from bots.discord.surface import TOKEN_S
from core import commands

_MENTION = re.compile(r"<@!?(\d+)>")
_SAID = frozenset({discord.MessageType.default, discord.MessageType.reply})


def incoming_of(message: discord.Message, me: int) -> Incoming | None:
    """A message that is meant for the bot: direct, a mention of it, or a reply to it; else None."""
    if message.author.bot or message.webhook_id is not None or message.type not in _SAID:
        return None
    replied = message.reference.resolved if message.reference is not None else None
    to_me = isinstance(replied, discord.Message) and replied.author.id == me
    private = isinstance(message.channel, discord.DMChannel)  # not by guild: one that is not known yet reads as none
    if not (private or to_me or any(user.id == me for user in message.mentions)):
        return None
    quote = replied.content if isinstance(replied, discord.Message) and not to_me and replied.content else None
    channel = str(message.channel.id)
    return Incoming(
        event=str(message.id),
        person=_person(message.author),
        chat=channel,
        place={"chat": channel, "reply": None if private else str(message.id)},
        text=_MENTION.sub(lambda found: "" if int(found[1]) == me else found[0], message.content).strip(),
        private=private,
        reply_to=str(replied.id) if isinstance(replied, discord.Message) and to_me else None,
        quote=quote,
        attachments=len(message.attachments),
    )


def command_of(interaction: discord.Interaction[Any]) -> Incoming:
    """A slash command; `/chat` is a message."""
    data: Any = interaction.data or {}
    options = {option["name"]: str(option.get("value", "")) for option in data.get("options", ())}
    name = str(data.get("name", ""))
    is_chat = name == CHAT
    text = options.get(CHAT_OPTION, "") if is_chat else next(iter(options.values()), "")
    return Incoming(
        event=str(interaction.id),
        person=_person(interaction.user, str(interaction.locale)),
        chat=str(interaction.channel_id),
        place={**_place(interaction, quiet=is_quiet(interaction)), "original": True},
        text=text.strip(),
        private=_alone(interaction) or _outside(interaction),
        thread=_thread(interaction),
        command=None if is_chat else name,
    )


def press_of(interaction: discord.Interaction[Any]) -> Press:
    """A button, or a choice of a select menu."""
    data: Any = interaction.data or {}
    values = data.get("values") or ()
    message = interaction.message
    hidden = message is not None and message.flags.ephemeral
    place = _place(interaction, quiet=hidden)
    if message is not None:
        place = {**place, "origin": str(message.id)}
        if not (hidden or _alone(interaction)):
            place = {**place, "reply": str(message.id)}
    return Press(
        event=str(interaction.id),
        person=_person(interaction.user, str(interaction.locale)),
        chat=str(interaction.channel_id),
        place=place,
        payload=str(values[0] if values else data.get("custom_id", "")),
        private=_alone(interaction) or _outside(interaction) or hidden,
        thread=_thread(interaction),
        message=str(message.id) if message is not None else None,
    )


def is_quiet(interaction: discord.Interaction[Any]) -> bool:
    """Whether the command answers for the asker's eyes only; Discord must be told with the first acknowledgement."""
    data: Any = interaction.data or {}
    command = commands.find(str(data.get("name", "")))
    return command is not None and command.private and not _alone(interaction)


def _place(interaction: discord.Interaction[Any], *, quiet: bool) -> Place:
    return {
        "chat": str(interaction.channel_id),
        "app": str(interaction.application_id),
        "token": interaction.token,
        "until": int(time.time()) + TOKEN_S,
        "outside": _outside(interaction),
        "quiet": quiet,
    }


def _alone(interaction: discord.Interaction[Any]) -> bool:
    """In the direct messages with the bot."""
    return interaction.guild_id is None and not interaction.context.private_channel


def _outside(interaction: discord.Interaction[Any]) -> bool:
    """Installed by the person, in a place where the bot is no member: only the interaction may write there."""
    return not _alone(interaction) and not interaction.is_guild_integration()


def _thread(interaction: discord.Interaction[Any]) -> str:
    """Where the bot is no member nobody can reply to it: one conversation goes on for each person and channel."""
    return str(interaction.user.id) if _outside(interaction) else "0"


def _person(user: discord.User | discord.Member, language: str | None = None) -> Person:
    return Person(str(user.id), user.global_name or user.name, f"@{user.name}", language)
