"""Buttons, menus and the slash commands: what Discord's own rules would refuse must not be made."""

from __future__ import annotations

import re

from bots.common.surface import Button
from bots.discord.components import components, custom_ids
from bots.discord.slash import definitions
from core.chat import Action, Verb, unpack
from core.commands import COMMANDS
from core.i18n import LOCALES


def buttons(count: int) -> list[tuple[Button, ...]]:
    return [(Button(f"model {number} " + "x" * 120, Action(Verb.MODEL, f"m{number}")),) for number in range(count)]


def test_few_rows_are_buttons_that_carry_their_meaning() -> None:
    rows = [(Button("Stop", Action(Verb.STOP, "turn_1"), "danger"), Button("Retry", Action(Verb.RETRY, "turn_1")))]
    [row] = components(rows)
    assert [one["style"] for one in row["components"]] == [4, 2]
    assert [unpack(payload) for payload in custom_ids([row])] == [
        Action(Verb.STOP, "turn_1"),
        Action(Verb.RETRY, "turn_1"),
    ]


def test_five_rows_stay_buttons_and_six_become_a_menu() -> None:
    assert len(components(buttons(5))) == 5
    [row] = components(buttons(6))
    [menu] = row["components"]
    assert menu["type"] == 3
    assert len(menu["options"]) == 6
    assert unpack(menu["options"][5]["value"]) == Action(Verb.MODEL, "m5")


def test_long_lists_become_several_menus_with_short_labels() -> None:
    rows = components(buttons(40))
    assert [len(row["components"][0]["options"]) for row in rows] == [25, 15]
    assert len(set(custom_ids(rows))) == 2
    assert all(len(option["label"]) <= 100 for row in rows for option in row["components"][0]["options"])


def test_labels_fit() -> None:
    assert all(len(one["label"]) <= 80 for row in components(buttons(2)) for one in row["components"])


def test_no_buttons_are_no_rows() -> None:
    assert components([()]) == []


def test_every_command_is_a_valid_slash_command_in_every_language() -> None:
    made = {one["name"]: one for one in definitions()}
    assert set(made) == {"chat", *(command.name for command in COMMANDS)}
    for one in made.values():
        assert re.fullmatch(r"[a-z_-]{1,32}", one["name"])
        for described in (one, *one.get("options", [])):
            texts = [described["description"], *described["description_localizations"].values()]
            assert all(1 <= len(text) <= 100 for text in texts)
            assert set(described["description_localizations"]) == set(LOCALES) - {"en"}


def test_only_chat_demands_its_argument() -> None:
    demanded = {one["name"] for one in definitions() for option in one.get("options", []) if option["required"]}
    assert demanded == {"chat"}
