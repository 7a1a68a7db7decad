"""Pacing: a simulated platform that counts as its documentation says is never exceeded, and waits are obeyed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bots.common.pacing import MARGIN_S, Pace, Rate, final_wait, flooded, fresh, live_wait, spent

PRIVATE = Rate(per_s=0.95, burst=4, live_s=1.0, live_max_s=5.0)
GROUP = Rate(per_s=0.3, burst=15, live_s=4.3, live_max_s=20.0, reserve=6)


def _write_at_once(pace: Pace, times: int) -> tuple[Pace, float]:
    now = 0.0
    for _ in range(times):
        now += final_wait(pace, now)
        pace = spent(pace, now)
    return pace, now


def test_a_burst_is_free_and_then_the_rate_holds() -> None:
    _, after_burst = _write_at_once(fresh(PRIVATE, 0.0), 4)
    _, after_more = _write_at_once(fresh(PRIVATE, 0.0), 14)
    assert after_burst == 0.0
    assert after_more >= 10 / PRIVATE.per_s - 0.001


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_a_bucket_of_the_platforms_size_never_runs_dry(kinds: list[bool]) -> None:
    pace, now = fresh(GROUP, 0.0), 0.0
    level, at = 20.0, 0.0
    for live in kinds:
        now += live_wait(pace, now) if live else final_wait(pace, now)
        pace = spent(pace, now, live=live)
        level, at = min(20.0, level + (now - at) * 20 / 60) - 1, now
        assert level >= 0


def test_live_edits_leave_the_reserve_for_finals() -> None:
    pace, now = fresh(GROUP, 0.0), 0.0
    for _ in range(40):
        now += live_wait(pace, now)
        pace = spent(pace, now, live=True)
    finals = 0
    while final_wait(pace, now) == 0:
        pace, finals = spent(pace, now), finals + 1
    assert finals >= GROUP.reserve


def test_several_streams_share_the_interval() -> None:
    pace = spent(fresh(GROUP, 0.0), 0.0, live=True)
    assert live_wait(pace, 0.0, streams=3) == 3 * GROUP.live_s


def test_a_flood_answer_of_any_length_is_waited_out() -> None:
    pace = flooded(fresh(PRIVATE, 0.0), 0.0, 13_938)
    assert final_wait(pace, 13_900.0) > 38
    assert final_wait(pace, 13_938.0 + MARGIN_S) == 0


def test_flood_answers_slow_live_edits_and_quiet_ones_relax_them() -> None:
    pace = fresh(PRIVATE, 0.0)
    for _ in range(10):
        pace = flooded(pace, 0.0, 1)
    assert pace.live_s == PRIVATE.live_max_s
    now = 10.0
    for _ in range(60):
        now += live_wait(pace, now)
        pace = spent(pace, now, live=True)
    assert pace.live_s == PRIVATE.live_s


def test_a_new_process_may_begin_with_less_than_the_burst() -> None:
    assert final_wait(spent(fresh(PRIVATE, 0.0, level=1), 0.0), 0.0) > 1
