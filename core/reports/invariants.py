"""What must always hold, as named checks over the rows of every room.

Run after every journey of the tests, by `parley doctor`, and on a schedule. A check is one query that finds what is
wrong, so an empty answer is the good one. A check reads while others write: what is legitimate for a moment is given
time before it counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.kit import orm
from core.kit.scope import current

AT_MOST = 50
"""Violations one check reports: the first ones say enough."""
GRACE = timedelta(seconds=60)
"""A lease of 30 s, two sweeps of 10 s, and the unit of work that repairs."""
DELIVERY_GRACE = timedelta(minutes=10)
OWNER_ALIVE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Violation:
    """One row that breaks an invariant."""

    check: str
    subject: str
    """The id of the row."""
    detail: str
    """What is there and what should be; never content or a secret."""
    advice: bool = False
    """Nothing is broken, but somebody should look."""


Check = Callable[[], Awaitable[Sequence[Violation]]]
CHECKS: dict[str, Check] = {}
"""Every check by its name, in the order they run."""


async def run(only: Collection[str] | None = None) -> list[Violation]:
    """Run all checks, or those named; what they found, in their order. Empty: all is well."""
    found: list[Violation] = []
    for name, check in CHECKS.items():
        if only is None or name in only:
            found += await check()
    return found


def check(*, advice: bool = False) -> Callable[[Callable[[datetime], tuple[str, Sequence[Any]]]], Check]:
    """Register a check. The function gives the query for the time it is told: columns `subject` and `detail`."""

    def named(query: Callable[[datetime], tuple[str, Sequence[Any]]]) -> Check:
        async def find() -> Sequence[Violation]:
            sql, params = query(current().clock.now())
            rows = await orm.read(f"{sql} LIMIT {AT_MOST}", params)
            return [Violation(query.__name__, str(row["subject"]), str(row["detail"]), advice) for row in rows]

        CHECKS[query.__name__] = find
        return find

    return named


@check()
def balance_is_the_sum_of_entries(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT p.id AS subject, 'balance ' || p.balance || ', entries ' || coalesce(e.total, 0) AS detail FROM pot p "
        "LEFT JOIN (SELECT pot_id, sum(amount) AS total FROM ledger_entry GROUP BY pot_id) e ON e.pot_id = p.id "
        "WHERE p.balance <> coalesce(e.total, 0)",
        (),
    )


@check()
def held_is_the_sum_of_open_legs(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT p.id AS subject, 'held ' || p.held || ', open legs ' || coalesce(l.total, 0) AS detail FROM pot p "
        "LEFT JOIN (SELECT leg.pot_id, sum(leg.amount) AS total FROM hold_leg leg JOIN hold h ON h.id = leg.hold_id "
        "WHERE h.state = 'open' GROUP BY leg.pot_id) l ON l.pot_id = p.id WHERE p.held <> coalesce(l.total, 0)",
        (),
    )


@check()
def available_is_above_the_floor(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT id AS subject, 'available ' || (balance - held) || ', floor ' || -floor AS detail FROM pot "
        "WHERE balance - held < -floor",
        (),
    )


@check()
def a_leg_that_spent_has_its_entry(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT h.id AS subject, h.state || ', spent ' || l.spent || ', entry ' || coalesce(e.amount, 0) AS detail "
        "FROM hold h JOIN hold_leg l ON l.hold_id = h.id "
        "LEFT JOIN ledger_entry e ON e.key = h.key AND e.pot_id = l.pot_id "
        "WHERE coalesce(e.amount, 0) <> -l.spent OR (h.state IN ('open', 'released') AND l.spent <> 0)",
        (),
    )


@check()
def no_hold_is_open_past_its_expiry(now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT id AS subject, 'open, owner ' || owner AS detail FROM hold WHERE state = 'open' AND expires_at < $1",
        [now - GRACE],
    )


@check()
def no_hold_outlives_its_turn(now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT h.id AS subject, 'open, turn ' || t.id || ' is ' || t.state AS detail "
        "FROM hold h JOIN turn t ON t.id = h.owner WHERE h.state = 'open' AND t.ended_at < $1",
        [now - GRACE],
    )


@check()
def one_turn_runs_in_a_conversation(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT conversation_id AS subject, count(*) || ' turns run' AS detail FROM turn WHERE state = 'running' "
        "GROUP BY conversation_id HAVING count(*) > 1",
        (),
    )


@check()
def a_running_turn_has_a_fresh_lease(now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT id AS subject, 'running without a fresh lease' AS detail FROM turn WHERE state = 'running' "
        "AND (lease IS NULL OR lease_until IS NULL OR lease_until < $1)",
        [now - GRACE],
    )


@check()
def nothing_waits_where_nothing_runs(now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT t.id AS subject, 'queued in ' || t.conversation_id || ' where nothing runs' AS detail FROM turn t "
        "WHERE t.state = 'queued' AND t.created_at < $1 AND NOT EXISTS (SELECT 1 FROM turn o "
        "WHERE o.conversation_id = t.conversation_id AND (o.state = 'running' OR o.ended_at >= $1))",
        [now - GRACE],
    )


@check()
def a_done_turn_has_answer_and_usage(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT t.id AS subject, CASE WHEN m.id IS NULL THEN 'done without an answer' ELSE 'done without usage' END "
        "AS detail FROM turn t LEFT JOIN message m ON m.id = t.answer_id "
        "WHERE t.state = 'done' AND (m.id IS NULL OR t.usage IS NULL)",
        (),
    )


@check()
def an_ended_turn_leaves_no_streaming_answer(now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT m.id AS subject, 'streaming, turn ' || t.id || ' is ' || t.state AS detail FROM message m "
        "JOIN turn t ON t.id = m.turn_id WHERE m.state = 'streaming' AND t.ended_at < $1",
        [now - GRACE],
    )


@check()
def a_message_has_its_parent_in_its_conversation(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT m.id AS subject, 'parent ' || m.parent_id || ' is ' || "
        "CASE WHEN p.id IS NULL THEN 'missing' ELSE 'in another conversation' END AS detail "
        "FROM message m LEFT JOIN message p ON p.id = m.parent_id "
        "WHERE m.parent_id IS NOT NULL AND (p.id IS NULL OR p.conversation_id <> m.conversation_id)",
        (),
    )


@check()
def a_model_charged_by_token_has_prices(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT name AS subject, 'charged by token without a price' AS detail FROM model "
        "WHERE charge = 'token' AND (price_in IS NULL OR price_out IS NULL)",
        (),
    )


@check(advice=True)
def an_enabled_model_is_priced_or_free(_now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT name AS subject, 'enabled without a price: only administrators can use it' AS detail FROM model "
        "WHERE enabled AND charge = 'unpriced'",
        (),
    )


@check()
def no_secret_can_be_read(_now: datetime) -> tuple[str, Sequence[Any]]:
    # The visible digits are stripped from both ends: what a hash leaves is nothing.
    unhashed = "length({0}) <> 64 OR trim({0}, '0123456789abcdef') <> ''"
    return (
        "SELECT subject, detail FROM ("
        "SELECT id AS subject, 'channel key not sealed' AS detail FROM channel_key "
        "WHERE sealed NOT LIKE 's1.%' OR length(sealed) < 40 "
        "UNION ALL SELECT id, 'password not hashed' FROM account "
        "WHERE password_hash IS NOT NULL AND password_hash NOT LIKE '$argon2id$%' "
        f"UNION ALL SELECT id, 'API key not hashed' FROM api_key WHERE {unhashed.format('token_hash')} "
        f"UNION ALL SELECT id, 'session token not hashed' FROM web_session WHERE {unhashed.format('token_hash')} "
        f"UNION ALL SELECT id, 'link code not hashed' FROM link WHERE {unhashed.format('code_hash')}"
        ") AS readable",
        (),
    )


@check()
def a_delivery_ends_soon_after_its_turn(now: datetime) -> tuple[str, Sequence[Any]]:
    # Only while a process that serves the door lives: a bot that is switched off finishes when it is back.
    return (
        "SELECT d.id AS subject, 'open, ' || d.door || ', turn ' || t.id || ' is ' || t.state AS detail "
        "FROM delivery d JOIN turn t ON t.id = d.turn_id WHERE d.state = 'open' AND t.ended_at < $1 "
        "AND EXISTS (SELECT 1 FROM owner o WHERE o.role IN ('up', d.door) AND o.beat_at >= $2 AND o.started_at < $1)",
        [now - DELIVERY_GRACE, now - OWNER_ALIVE],
    )
