"""What a call is taken to have used, and who may call without a price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.billing import credits_pot
from core.calls import funding, rules
from core.calls.types import Payer
from core.catalog import Charge
from core.chat import FinishReason, Usage
from core.kit.errors import NotFound
from tests.core.billing.builders import account, quoted

STOP = FinishReason.STOP
TEXT = "x" * 36
"""Ten tokens by estimate."""


@pytest.mark.parametrize(
    ("reported", "produced", "finish", "expected"),
    [
        (Usage(input=50, output=7), TEXT, STOP, Usage(input=50, output=7)),
        (Usage(input=50, output=7, cache_read=40), TEXT, STOP, Usage(input=50, output=7, cache_read=40)),
        (None, TEXT, STOP, Usage(input=100, output=10, estimated=True)),
        (None, "", STOP, Usage(input=100, output=0, estimated=True)),
        (Usage(), TEXT, STOP, Usage(input=100, output=10, estimated=True)),
        (Usage(input=50), TEXT, STOP, Usage(input=50, output=10, estimated=True)),
        (Usage(output=7), TEXT, STOP, Usage(input=100, output=7, estimated=True)),
        # A stream that was cut reported its output before the last words came.
        (Usage(input=50, output=1), TEXT, None, Usage(input=50, output=10, estimated=True)),
        (Usage(input=50, output=70), TEXT, None, Usage(input=50, output=70)),
        (Usage(input=-5, output=-7), TEXT, STOP, Usage(input=100, output=10, estimated=True)),
        (Usage(input=50, output=-7), "", STOP, Usage(input=50, output=0, estimated=True)),
    ],
)
def test_what_is_reported_wins_and_what_is_missing_is_estimated(
    reported: Usage | None, produced: str, finish: FinishReason | None, expected: Usage
) -> None:
    assert rules.usage_of(reported, produced=produced, finish=finish, quote=quoted(100)) == expected


@given(
    st.builds(Usage, st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(0, 5)),
    st.text(max_size=50),
    st.sampled_from([None, STOP]),
)
def test_a_usage_to_charge_is_never_negative(reported: Usage, produced: str, finish: FinishReason | None) -> None:
    usage = rules.usage_of(reported, produced=produced, finish=finish, quote=quoted(100))
    assert usage.input >= 0
    assert usage.output >= 0


def test_the_memo_of_an_entry_tells_its_usage_again() -> None:
    usage = Usage(input=50, output=7, cache_read=40, estimated=True)
    memo = rules.memo_of(usage, quoted(), {"door": "web"})
    assert memo == {"model": "glm", "input": 50, "output": 7, "cache_read": 40, "estimated": True, "door": "web"}
    assert rules.usage_in(memo) == usage
    assert rules.usage_in({"note": "gift"}) is None


def test_credits_pay() -> None:
    payer = Payer(account(), "default", is_admin=False)
    (leg,) = funding.legs(payer, quoted(70))
    assert (leg.pot, leg.amount) == (credits_pot(payer.account), 70)


def test_only_administrators_call_a_model_without_a_price() -> None:
    unpriced = replace(quoted(0), charge=Charge.UNPRICED)
    with pytest.raises(NotFound):
        funding.legs(Payer(account(), "default", is_admin=False), unpriced)
    assert funding.legs(Payer(account(), "default", is_admin=True), unpriced)[0].amount == 0
