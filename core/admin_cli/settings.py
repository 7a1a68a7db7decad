"""Verbs about settings."""

from __future__ import annotations

import argparse

from core import i18n, settings
from core.admin_cli.output import Shown, table


async def listing(_args: argparse.Namespace) -> Shown:
    """Every setting with its value and what it is for."""
    items = [
        {"key": s.key, "value": s.value, "default": s.default, "caption": i18n.t(s.caption_key, "en")}
        for s in settings.listing()
    ]
    return Shown(
        {"items": items},
        table(("key", "value", "what it is"), [(item["key"], item["value"], item["caption"]) for item in items]),
    )


async def get(args: argparse.Namespace) -> Shown:
    """One setting."""
    value = settings.view(args.key).value
    return Shown({"key": args.key, "value": value}, [value])


async def put(args: argparse.Namespace) -> Shown:
    """Change it; a wrong value says what it should look like."""
    await settings.set(args.key, args.value, by="cli")
    await settings.load()
    value = settings.view(args.key).value
    return Shown({"key": args.key, "value": value}, [f"{args.key} is {value!r} now."])
