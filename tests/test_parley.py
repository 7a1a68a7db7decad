"""The command line as an operator and a script use it, with no server beside it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import parley


@dataclass
class Done:
    """How a verb ended."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Runs verbs on one data folder, in this process: importing everything anew for each would take a minute."""

    def __init__(self, folder: Path) -> None:
        self.environ = {"PARLEY_DATA_DIR": str(folder)}

    def run(self, *words: str, **environ: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("PARLEY_")]:
                patch.delenv(name)
            for name, value in {**self.environ, **environ}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["parley", *words])
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    code = parley.main(words)
                except SystemExit as left:
                    code = int(left.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def refused(self, *words: str) -> str:
        """The code of a refusal, which is one JSON object, and exit 1."""
        done = self.run(*words, "--json")
        assert done.returncode == 1
        code: str = json.loads(done.stdout)["error"]["code"]
        return code


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("data"))


def test_a_channel_its_models_and_their_price(shell: Shell) -> None:
    words = ("--base-url", "http://127.0.0.1:9/v1", "--key", "sk-one-secret", "--key", "sk-two-secret")
    added = shell.json(
        "channel",
        "add",
        "--name",
        "first",
        "--model",
        "m=up",
        "--model",
        "n",
        *words,
        "--price-in",
        "1",
        "--price-out",
        "2",
    )
    assert added["id"].startswith("ch_")
    assert (added["name"], added["models"]) == ("first", ["m", "n"])
    listed = shell.json("channel", "list")["items"]
    assert [channel["name"] for channel in listed] == ["first"]
    assert "sk-one-secret" not in json.dumps(listed)
    models = {model["name"]: model for model in shell.json("model", "list")["items"]}
    assert (models["m"]["price_in"], models["m"]["currency"]) == ("1", "CNY")
    assert shell.json("model", "price", "n", "--free")["charge"] == "free"
    assert shell.json("channel", "pause", "first")["paused"] is True
    assert shell.json("channel", "resume", "first")["paused"] is False
    assert shell.refused("channel", "add", "--name", "first", "--model", "m", *words) == "channel_name_taken"
    assert (
        shell.refused("channel", "add", "--name", "other", "--model", "m", *words, "--price-in", "1")
        == "price_incomplete"
    )
    tested = shell.run("channel", "test", "first", "--json")
    assert (tested.returncode, json.loads(tested.stdout)["fault"]) == (1, "network")
    shell.json("channel", "remove", "first")
    assert shell.json("channel", "list")["items"] == []


def test_accounts_credits_and_keys(shell: Shell) -> None:
    made = shell.json("account", "create", "Mei")
    assert made["name"] == "mei"
    assert made["password"]
    assert shell.json("credit", "--account", "mei", "--amount", "2.5", "--reason", "hello")["balance"] == "2.50"
    assert shell.json("credit", "--account", made["id"], "--amount", "-1", "--reason", "oops")["balance"] == "1.50"
    assert shell.json("credit", "--account", "telegram:77", "--amount", "1", "--reason", "gift")["balance"] == "1.00"
    for amount in ("0", "nan", "1e5", "1.1234567", "10000000000000"):
        assert shell.refused("credit", "--account", "mei", "--amount", amount, "--reason", "x") == "amount_invalid"
    key = shell.json("key", "create", "--account", "mei")
    assert key["key"].startswith("sk-parley-")
    (listed,) = shell.json("key", "list", "--account", "mei")["items"]
    assert key["key"] not in json.dumps(listed)
    shell.json("key", "revoke", key["id"])
    assert shell.json("key", "list", "--account", "mei")["items"][0]["revoked_at"]


def test_settings_and_usage_errors(shell: Shell) -> None:
    assert shell.json("setting", "set", "router.attempts", "3")["value"] == "3"
    assert shell.json("setting", "get", "router.attempts")["value"] == "3"
    assert all(item["caption"] for item in shell.json("setting", "list")["items"])
    assert shell.refused("setting", "get", "nothing") == "setting_unknown"
    assert shell.refused("channel", "add") == "usage"


def test_doctor_checks_and_says_what_to_do(shell: Shell) -> None:
    found = {item["check"]: item for item in shell.json("doctor")["items"]}
    assert found["database"]["state"] == "good"
    assert "PARLEY_TELEGRAM_TOKEN" in found["Telegram"]["text"]


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"PARLEY_PORT": "eighty"}, "PARLEY_PORT"),
        ({"PARLEY_DATABASE_URL": "mysql://x"}, "PARLEY_DATABASE_URL"),
        ({"PARLEY_REDIS_URL": "redis://127.0.0.1:1/0"}, "PARLEY_DATABASE_URL"),
        ({"PARLEY_LOG_LEVEL": "loud"}, "PARLEY_LOG_LEVEL"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_value_stops_the_start_with_one_sentence(shell: Shell, environ: dict[str, str], name: str) -> None:
    done = shell.run("up", **environ)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert name in line


@pytest.mark.parametrize(
    ("environ", "remedy"),
    [({"PARLEY_ROOT_PASSWORD": "short"}, "8 to 256"), ({"PARLEY_HOST": "192.0.2.1"}, "127.0.0.1")],
    ids=["PARLEY_ROOT_PASSWORD", "PARLEY_HOST"],
)
def test_a_value_that_only_the_start_finds_wrong_is_named_in_one_sentence(
    tmp_path: Path, environ: dict[str, str], remedy: str
) -> None:
    done = Shell(tmp_path).run("up", **{"PARLEY_PORT": "0", **environ})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"parley: {next(iter(environ))}: ")
    assert remedy in last


def test_roles_of_a_cluster_refuse_the_embedded_database(shell: Shell) -> None:
    done = shell.run("web")
    assert done.returncode == 1
    assert "parley up" in done.stderr
