"""Secrets at rest: what opens, and what must not."""

from __future__ import annotations

import pytest

from core.kit.secrets import SealBroken, Sealer, new_token, same, token_hash

ONE, OTHER = "a" * 32, "b" * 32


def test_what_is_sealed_opens_again_and_shows_nothing() -> None:
    sealed = Sealer(ONE).seal("sk-秘密", "channel_key:1")
    assert "sk-" not in sealed
    assert Sealer(ONE).open(sealed, "channel_key:1") == "sk-秘密"


def test_the_same_text_is_sealed_differently_each_time() -> None:
    sealer = Sealer(ONE)
    assert sealer.seal("text") != sealer.seal("text")


def test_after_a_change_of_key_old_texts_open_and_new_ones_need_the_new_key() -> None:
    old = Sealer(ONE).seal("text")
    rotated = Sealer([OTHER, ONE])
    assert rotated.open(old) == "text"
    assert Sealer(OTHER).open(rotated.seal("text")) == "text"


@pytest.mark.parametrize(
    ("sealer", "change", "context"),
    [
        (Sealer(OTHER), lambda sealed: sealed, "row:1"),
        (Sealer(ONE), lambda sealed: sealed, "row:2"),
        (Sealer(ONE), lambda sealed: sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB"), "row:1"),
        (Sealer(ONE), lambda sealed: sealed[:20], "row:1"),
        (Sealer(ONE), lambda sealed: "s9" + sealed[2:], "row:1"),
        (Sealer(ONE), lambda sealed: "s1.", "row:1"),
        (Sealer(ONE), lambda sealed: "plain text", "row:1"),
        (Sealer(ONE), lambda sealed: "s1.é!", "row:1"),
    ],
    ids=["other key", "other row", "changed", "cut", "other version", "empty", "never sealed", "no base 64"],
)
def test_what_was_not_sealed_for_this_place_does_not_open(sealer: Sealer, change: object, context: str) -> None:
    sealed = Sealer(ONE).seal("text", "row:1")
    with pytest.raises(SealBroken):
        sealer.open(change(sealed), context)  # type: ignore[operator]


def test_a_sealer_refuses_to_work_without_a_key() -> None:
    with pytest.raises(ValueError, match="secret"):
        Sealer("")


def test_tokens_differ_and_are_known_by_their_hash() -> None:
    one, other = new_token("sk-parley-"), new_token("sk-parley-")
    assert one.startswith("sk-parley-")
    assert one != other
    assert token_hash(one) == token_hash(one) != token_hash(other)
    assert len(token_hash(one)) == 64
    assert same(one, one)
    assert not same(one, other)
