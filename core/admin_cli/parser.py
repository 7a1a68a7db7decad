"""The words of the administration verbs: names, arguments, help. What they do is in the files beside."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import orjson

from core.admin_cli import accounts, channels, models, settings
from core.admin_cli.output import Shown

Verb = Callable[[argparse.Namespace], Awaitable[Shown]]


class Parser(argparse.ArgumentParser):
    """An argument parser whose refusals are JSON for who asked for JSON."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the words, and leave."""
        if "--json" not in sys.argv:
            super().error(message)
        refusal = {"error": {"code": "usage", "message": message}}
        sys.stdout.write(orjson.dumps(refusal, option=orjson.OPT_APPEND_NEWLINE).decode())
        sys.exit(1)


PRICE_HELP = "price per million tokens in the site's currency"


def add_verbs(commands: argparse._SubParsersAction[Any]) -> None:
    """Add every administration verb below the main command."""
    _channel(commands.add_parser("channel", help="routes to providers"))
    _model(commands.add_parser("model", help="models and their prices"))
    _setting(commands.add_parser("setting", help="what can be changed while it runs"))
    _key(commands.add_parser("key", help="API keys for /v1"))
    _account(commands.add_parser("account", help="accounts"))
    credit = _verb(commands, "credit", accounts.credit, "give or take credits")
    credit.add_argument("--account", required=True, help="id, log-in name, telegram:ID or discord:ID")
    credit.add_argument("--amount", required=True, help="credits, up to six decimals; negative takes")
    credit.add_argument("--reason", required=True, help="why; shown in the account's statement")


def _verb(commands: argparse._SubParsersAction[Any], name: str, verb: Verb, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(verb=verb)
    return parser


def _channel(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = _verb(verbs, "add", channels.add, "add a channel")
    add.add_argument("--name", required=True)
    _channel_fields(add)
    _prices(add, required=False)
    edit = _verb(verbs, "edit", channels.edit, "change a channel; what is not named stays")
    edit.add_argument("channel", help="id or name")
    edit.add_argument("--name")
    _channel_fields(edit)
    _prices(edit, required=False)
    _verb(verbs, "list", channels.listing, "every channel")
    for name, verb, text in (
        ("show", channels.show, "one channel"),
        ("test", channels.test, "send a tiny request through it"),
        ("pause", channels.pause, "take it out of service"),
        ("resume", channels.resume, "put it back"),
        ("remove", channels.remove, "remove it"),
    ):
        _verb(verbs, name, verb, text).add_argument("channel", help="id or name")


def _channel_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vendor", help="who is behind it (default openai-compatible)")
    parser.add_argument("--base-url", help="ends before /chat/completions; may name a private host")
    parser.add_argument("--key", action="append", default=None, help="a secret of the provider; repeatable")
    parser.add_argument(
        "--model", action="append", default=None, metavar="NAME[=UPSTREAM]", help="a model it serves; repeatable"
    )
    parser.add_argument("--priority", type=int, help="higher is tried first (default 0)")
    parser.add_argument("--weight", type=int, help="share within its priority (default 1)")
    parser.add_argument("--group", action="append", default=None, help="only for this group; repeatable")
    parser.add_argument("--window", type=int, help="tokens that prompt and answer may fill (default 32,768)")
    parser.add_argument("--max-output", type=int, help="tokens of an answer without a limit (default 4,096)")


def _prices(parser: argparse.ArgumentParser, *, required: bool) -> None:
    choice = parser.add_argument_group("price", "without one only administrators can use the model")
    choice.add_argument("--free", action="store_true", help="costs nothing")
    choice.add_argument("--price-in", help=PRICE_HELP)
    choice.add_argument("--price-out", help=PRICE_HELP)
    parser.set_defaults(price_required=required)


def _model(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _verb(verbs, "list", models.listing, "every model")
    price = _verb(verbs, "price", models.price, "set a model's price")
    price.add_argument("name")
    _prices(price, required=True)


def _setting(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _verb(verbs, "list", settings.listing, "every setting, its value and what it is for")
    _verb(verbs, "get", settings.get, "one setting").add_argument("key")
    put = _verb(verbs, "set", settings.put, "change a setting")
    put.add_argument("key")
    put.add_argument("value")


def _key(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    create = _verb(verbs, "create", accounts.key_create, "a new key; its secret is shown once")
    create.add_argument("--account", required=True)
    create.add_argument("--name", default="")
    _verb(verbs, "list", accounts.key_list, "keys of an account").add_argument("--account", required=True)
    revoke = _verb(verbs, "revoke", accounts.key_revoke, "end a key")
    revoke.add_argument("key", help="the key's id")
    revoke.add_argument("--account", help="refuse unless the key is this account's")


def _account(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _verb(verbs, "list", accounts.listing, "every account")
    create = _verb(verbs, "create", accounts.create, "an account with a log-in name")
    create.add_argument("name")
    create.add_argument("--password", help="generated, and to be changed at first log-in, when left out")
    create.add_argument("--admin", action="store_true")
    change = _verb(verbs, "set-password", accounts.set_password, "a new password; ends every session")
    change.add_argument("account")
    change.add_argument("--password", help="generated, and to be changed at next log-in, when left out")
