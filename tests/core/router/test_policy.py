"""The policy as tables: order, what follows a fault, how long to wait, what is told."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from core.adapters import Fault, UpstreamError
from core.channels import Candidate
from core.kit.ids import ChannelId, ChannelKeyId
from core.router import policy
from core.router.policy import Next
from core.router.types import Waits

WAITS = Waits(connect=5, first=15, first_last=60, idle=30, keepalive=300)


def candidate(channel: str, key: str = "k", *, priority: int = 0, weight: float = 1) -> Candidate:
    return Candidate(
        ChannelId(channel), channel, "openai-compatible", "http://h", ChannelKeyId(key), "", "up", priority, weight
    )


def test_tiers_come_by_priority_and_nobody_twice() -> None:
    line = [candidate(f"c{tier}{n}", priority=tier) for tier in (0, 5, -3) for n in range(4)]
    for seed in range(20):
        ordered = policy.order(line, random.Random(seed).random)
        assert sorted(ordered, key=id) == sorted(line, key=id)
        assert all(one.priority >= other.priority for one, other in pairwise(ordered))


def test_the_first_of_a_tier_is_drawn_by_weight() -> None:
    line = [candidate("heavy", weight=9), candidate("light", weight=1)]
    chance = random.Random(1).random
    firsts = Counter(policy.order(line, chance)[0].channel for _ in range(4000))
    assert 0.87 < firsts[ChannelId("heavy")] / 4000 < 0.93


def test_every_fault_has_a_consequence_and_a_story() -> None:
    for fault in Fault:
        assert policy.after(fault) in Next
        assert policy.failure(UpstreamError(fault)).status >= 400


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Fault.KEY_DEAD, ["a2", "b1"]),
        (Fault.QUOTA, ["a2", "b1"]),
        (Fault.RATE, ["a2", "b1"]),
        (Fault.OVERLOADED, ["b1"]),
        (Fault.NETWORK, ["b1"]),
        (Fault.TIMEOUT, ["b1"]),
        (Fault.PROTOCOL, ["b1"]),
        (Fault.TRUNCATED, ["b1"]),
        (Fault.MODEL_GONE, ["b1"]),
        (Fault.CONTEXT, []),
        (Fault.FILTER, []),
        (Fault.CALLER, []),
    ],
)
def test_who_is_left_after_a_fault(fault: Fault, left: list[str]) -> None:
    waiting = [candidate("a", "a2"), candidate("b", "b1")]
    assert [each.key for each in policy.remaining(waiting, candidate("a", "a1"), fault)] == left


@pytest.mark.parametrize(
    ("others", "whole", "max_output", "seconds"),
    [
        (True, False, None, 15),
        (False, False, None, 60),
        (False, False, 100_000, 60),
        (True, True, None, 60),
        (False, True, None, 60),
        (False, True, 100, 60),
        (False, True, 4_800, 160),
    ],
)
def test_how_long_to_wait_for_the_first_content(
    *, others: bool, whole: bool, max_output: int | None, seconds: float
) -> None:
    assert policy.first_content_s(WAITS, others=others, whole=whole, max_output=max_output) == seconds


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.KEY_DEAD, 503),
        (Fault.OVERLOADED, 503),
        (Fault.RATE, 429),
        (Fault.PROTOCOL, 502),
        (Fault.NETWORK, 502),
        (Fault.TIMEOUT, 504),
        (Fault.CONTEXT, 400),
        (Fault.CALLER, 400),
        (Fault.FILTER, 400),
    ],
)
def test_what_http_callers_are_told(fault: Fault, status: int) -> None:
    told = policy.failure(UpstreamError(fault, 418, retry_after_s=7, message="Too hot."))
    assert (told.status, told.fault, told.retryable) == (status, fault.value, status != 400)
    assert told.retry_after_s == (None if told.code == "upstream_refused" else 7)
    assert ("Too hot." in str(told)) == (told.code == "upstream_refused")
