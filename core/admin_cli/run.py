"""Running one verb: open, do, print, close; and failures as one sentence or one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from core import catalog, channels, i18n, settings
from core.admin_cli.output import Shown
from core.config import ConfigError, load
from core.kit import logging
from core.kit.errors import AppError
from core.runtime import CannotStart, open_runtime

Verb = Callable[[argparse.Namespace], Awaitable[Shown]]


def run_verb(verb: Verb, arguments: argparse.Namespace) -> int:
    """The exit code: 0 done, 1 refused or failed."""
    try:
        logging.configure("error")
        shown = asyncio.run(_opened(verb, arguments))
    except AppError as error:
        return _failed(arguments, error.code, i18n.explain(error, "en"))
    except ConfigError as error:
        return _failed(arguments, "config", str(error))
    except CannotStart as error:
        return _failed(arguments, "cannot_start", str(error))
    if arguments.json:
        _print_json(shown.json)
    else:
        print("\n".join(shown.lines))
    return 1 if shown.failed else 0


async def _opened(verb: Verb, arguments: argparse.Namespace) -> Shown:
    async with open_runtime(load(os.environ), role="verb") as runtime:
        pending = await runtime.scope.database.pending()
        if pending and not getattr(verb, "works_unmigrated", False):
            raise CannotStart("The database is not up to date: run `parley migrate` first.")
        if not pending:
            await settings.load()
            await catalog.load()
            await channels.load()
        return await verb(arguments)


def _failed(arguments: argparse.Namespace, code: str, message: str) -> int:
    if arguments.json:
        _print_json({"error": {"code": code, "message": message}})
    else:
        print(f"parley: {message}", file=sys.stderr)
    return 1


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE).decode())
