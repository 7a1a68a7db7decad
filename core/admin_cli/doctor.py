"""`parley doctor`: checks database, Redis, tokens, channels and invariants, and says what to do about each."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

import orjson

from core import catalog, channels, reports
from core.admin_cli.output import Shown
from core.catalog import Charge
from core.kit.http import TransportError
from core.kit.redis import answers
from core.kit.scope import current

MAX_ANSWER_BYTES = 100_000


class State(StrEnum):
    """How a check went."""

    GOOD = "good"
    NOTE = "note"
    """Nothing is wrong, and there is something to know."""
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    state: State
    text: str


async def run(_args: argparse.Namespace) -> Shown:
    """Every check in turn; the exit code is 1 when anything is bad."""
    found = [finding async for finding in _findings()]
    marks = {State.GOOD: "✓", State.NOTE: "·", State.BAD: "✗"}
    bad = sum(finding.state is State.BAD for finding in found)
    lines = [f"{marks[f.state]} {f.what}: {f.text}" for f in found]
    lines.append(f"{bad} to mend." if bad else "All is well.")
    items = [{"check": f.what, "state": f.state.value, "text": f.text} for f in found]
    return Shown({"items": items}, lines, failed=bad > 0)


run.works_unmigrated = True  # type: ignore[attr-defined]


async def _findings() -> AsyncIterator[Finding]:
    scope = current()
    pending = await scope.database.pending()
    kind = "SQLite" if scope.config.embedded else "PostgreSQL"
    if pending:
        yield Finding("database", State.BAD, f"{kind}, lacks {', '.join(pending)}: run `parley migrate`")
        return
    yield Finding("database", State.GOOD, f"{kind}, up to date")
    yield await _redis()
    yield await _token("Telegram", scope.config.telegram_token, "PARLEY_TELEGRAM_TOKEN")
    yield await _token("Discord", scope.config.discord_token, "PARLEY_DISCORD_TOKEN")
    async for finding in _channels():
        yield finding
    violations = await reports.run()
    for violation in violations:
        state = State.NOTE if violation.advice else State.BAD
        yield Finding(f"invariant {violation.check}", state, f"{violation.subject}: {violation.detail}")
    if not violations:
        yield Finding("invariants", State.GOOD, "the books agree")


async def _redis() -> Finding:
    scope = current()
    if scope.redis is None:
        return Finding("redis", State.NOTE, "no server runs on this folder, so there is none to ask")
    if await answers(scope.redis):
        return Finding("redis", State.GOOD, "answers")
    return Finding("redis", State.BAD, "does not answer: check PARLEY_REDIS_URL and that it runs")


async def _token(door: str, token: str | None, variable: str) -> Finding:
    if token is None:
        return Finding(door, State.NOTE, f"off; set {variable} to switch it on")
    config = current().config
    if door == "Telegram":
        url, headers = f"{config.telegram_api_url}/bot{token}/getMe", {}
    else:
        url, headers = f"{config.discord_api_url}/api/v10/users/@me", {"Authorization": f"Bot {token}"}
    try:
        async with current().http.request("GET", url, headers=headers) as answer:
            body = await answer.whole(MAX_ANSWER_BYTES)
    except TransportError as error:
        return Finding(door, State.BAD, f"cannot be reached ({error}): check the network and the API address")
    if answer.status in {401, 403, 404}:
        return Finding(door, State.BAD, f"refuses the token: copy it again into {variable}")
    if answer.status != 200:
        return Finding(door, State.BAD, f"answers {answer.status}: try again later")
    return Finding(door, State.GOOD, f"the token belongs to {_name(body)}")


def _name(body: bytes) -> str:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "somebody"
    person = told.get("result", told) if isinstance(told, dict) else {}
    return str(person.get("username", "somebody"))[:64]


async def _channels() -> AsyncIterator[Finding]:
    everything = channels.listing()
    if all(channel.demo for channel in everything):
        text = "only the demo answers: `parley channel add --name … --base-url … --key … --model … --free`"
        yield Finding("channels", State.NOTE, text)
    for channel in everything:
        name = f"channel {channel.name}"
        if channel.paused:
            yield Finding(name, State.NOTE, f"paused: `parley channel resume {channel.name}`")
            continue
        result = await channels.test(channel.id)
        if result.ok:
            yield Finding(name, State.GOOD, f"answers within {result.seconds:.1f} s")
        else:
            yield Finding(name, State.BAD, f"{result.fault}: check it with `parley channel show {channel.name}`")
    for model in catalog.visible(is_admin=True):
        if model.charge is Charge.UNPRICED:
            text = f"has no price, so only administrators can use it: `parley model price {model.name} --free`"
            yield Finding(f"model {model.name}", State.NOTE, text)
