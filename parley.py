"""The front door: `parley up` runs everything in one process; other words run one role, or administer.

This is the one file that knows core and every door, so it composes them: which services a role keeps running, in
which order they open, and how they end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from core import accounts, billing, catalog, channels, i18n, settings, turns
from core.admin_cli import Parser, add_verbs, doctor, run_verb
from core.config import Config, ConfigError, load
from core.kit import changes, logging
from core.kit.errors import BadInput
from core.kit.scope import Scope
from core.runtime import CannotStart, Runtime, open_runtime

ROLES = {
    "up": "everything in one process",
    "web": "the web page and the API",
    "telegram": "the Telegram bot",
    "discord": "the Discord bot",
    "worker": "what is done on a schedule",
    "migrate": "bring the database up to date",
    "doctor": "check everything and say what to do",
}
WEB, TELEGRAM, DISCORD, WORKER = "web", "telegram", "discord", "worker"

log = structlog.get_logger("parley")


def main(argv: Sequence[str] | None = None) -> int:
    """Read the words, run the verb, give its exit code."""
    parser = Parser(prog="parley", description="One place to talk to every AI model.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, caption in ROLES.items():
        role = commands.add_parser(name, help=caption)
        role.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
        role.set_defaults(role=name)
    add_verbs(commands)
    arguments = parser.parse_args(argv)
    try:
        return _dispatch(arguments)
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(arguments: argparse.Namespace) -> int:
    role_name: str | None = getattr(arguments, "role", None)
    if role_name in (None, "doctor"):
        verb = doctor.run if role_name == "doctor" else arguments.verb
        return run_verb(verb, arguments)
    try:
        config = load(os.environ)
        logging.configure(config.log_level, secrets=secrets_of(config))
        return _run(_migrate(config) if role_name == "migrate" else _serve(config, str(role_name)))
    except (ConfigError, CannotStart) as error:
        print(f"parley: {error}", file=sys.stderr)
        return 1


def secrets_of(config: Config) -> list[str]:
    """What no log line may ever show."""
    known = (config.root_password, config.telegram_token, config.discord_token, *config.secret_keys)
    return [secret for secret in known if secret]


def _run(main_task: Coroutine[Any, Any, int]) -> int:
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        loop_factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main_task)


async def _migrate(config: Config) -> int:
    async with open_runtime(config, role="migrate", redis=False) as runtime:
        for name in runtime.migrated:
            print(f"applied {name}")
        print("The database is up to date.")
    return 0


async def _serve(config: Config, role: str) -> int:
    doors = doors_of(role)
    if role in (TELEGRAM, DISCORD) and _token(config, role) is None:
        raise ConfigError(f"PARLEY_{role.upper()}_TOKEN", f"it must be set to run `parley {role}`")
    async with open_runtime(config, role=role) as runtime, contextlib.AsyncExitStack() as stack:
        stack.enter_context(runtime.signals())
        address = await listen(runtime, doors, stack)
        stopped = asyncio.ensure_future(runtime.until_stopped())
        opening = asyncio.ensure_future(open_services(runtime, doors))
        try:
            await asyncio.wait({stopped, opening}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                _greet(runtime.scope, address, opening.result())
                await stopped
            if left := await runtime.drain():
                log.warning("process.interrupts_turns", turns=left)
                if not runtime.hurried:
                    await turns.drain(0.0)  # they end as interrupted, and the doors get to show it
        finally:
            for waiting in (opening, stopped):
                waiting.cancel()
            await asyncio.wait({opening, stopped})
    log.info("process.ended")
    return 0


def doors_of(role: str) -> list[str]:
    """The doors that a role opens."""
    return [WEB, TELEGRAM, DISCORD, WORKER] if role == "up" else [role]


async def listen(runtime: Runtime, doors: Sequence[str], stack: contextlib.AsyncExitStack) -> str:
    """Listen, if the web is among the doors, until the stack closes; the address, else nothing. Raises CannotStart.

    From now on `/healthz` and `/readyz` answer; everything else says 503 until `open_services` is through.
    """
    if WEB not in doors:
        return ""
    from web.app import PortTaken, serving

    try:
        return await stack.enter_async_context(serving(runtime.scope))
    except PortTaken as error:
        raise CannotStart(str(error)) from error


async def open_services(runtime: Runtime, doors: Sequence[str]) -> str | None:
    """Load the rooms, repair what a crash left, let callers in, then start the services of these doors.

    The one-time password of `root`, when this was the very first start and none was given.
    """
    scope = runtime.scope
    password: list[str | None] = [None]

    async def first_start() -> None:
        if WEB in doors:
            try:
                password[0] = await accounts.ensure_root(scope.config.root_password)
            except BadInput as refusal:
                raise ConfigError("PARLEY_ROOT_PASSWORD", i18n.explain(refusal, i18n.LOCALES[0])) from refusal
            await channels.ensure_demo()

    async def repair() -> None:
        await billing.owners.register(scope.role)
        await turns.recover()
        await billing.owners.sweep(at_start=True)

    await runtime.open_doors(settings.load, catalog.load, channels.load, first_start, repair)
    supervisor = scope.supervisor
    supervisor.keep("changes.feed", changes.feed().run)
    supervisor.keep("billing.heartbeat", billing.owners.beat)
    if WORKER in doors:
        from workers import settings as worker

        supervisor.keep("worker.quick", lambda: worker.run(scope))
    for bot in (TELEGRAM, DISCORD):
        if bot in doors and _token(scope.config, bot) is not None:
            supervisor.keep(bot, functools.partial(_bot, scope, bot))
    return password[0]


async def _bot(scope: Scope, name: str) -> None:
    # A bot's library takes seconds to import and holds the interpreter; in a thread the web stays answerable.
    module = await asyncio.to_thread(importlib.import_module, f"bots.{name}.app")
    await module.run(scope)


def _token(config: Config, bot: str) -> str | None:
    return config.telegram_token if bot == TELEGRAM else config.discord_token


def _greet(scope: Scope, address: str, password: str | None) -> None:
    log.info("process.ready", role=scope.role)
    if not address:
        return
    command = os.path.join(os.path.dirname(sys.executable), "parley")
    lines = [f"Parley is ready: {address}"]
    if scope.config.public_url != address:
        lines.append(f"People reach it at {scope.config.public_url}")
    if password is not None:
        lines.append(f"First start: log in as root with the one-time password {password}")
    lines.append(f"Administer it with {command} --help")
    print("\n".join(lines), flush=True)
    if not scope.config.public_url.startswith("https://") and scope.config.host not in {
        "127.0.0.1",
        "::1",
        "localhost",
    }:
        log.warning("web.plain_http", remedy="put TLS in front and set PARLEY_PUBLIC_URL to its https:// address")


if __name__ == "__main__":
    sys.exit(main())
