"""What a call is taken to have used, from what the upstream reported and what we saw."""

from __future__ import annotations

from dataclasses import replace

from core.billing import Memo, Quote
from core.chat import FinishReason, Usage
from core.chat.tokens import estimate


def usage_of(reported: Usage | None, *, produced: str, finish: FinishReason | None, quote: Quote) -> Usage:
    """The usage to charge. What is reported wins; what is missing, or of a cut stream, is estimated and marked.

    `produced` is all text that came, thinking and tool arguments included. Without a `finish` the stream was cut,
    and a count of output reported on the way is only a lower bound.
    """
    usage = reported or Usage()
    if usage.input <= 0:
        usage = replace(usage, input=quote.input_tokens, cache_read=0, estimated=True)
    seen = estimate(produced)
    if usage.output < seen and (usage.output <= 0 or finish is None):
        usage = replace(usage, output=seen, estimated=True)
    return replace(usage, output=max(usage.output, 0))


def memo_of(usage: Usage, quote: Quote, more: Memo) -> Memo:
    """The memo of the entry: model and tokens, and what the caller adds."""
    memo: dict[str, str | int | bool | None] = {"model": quote.model, "input": usage.input, "output": usage.output}
    if usage.cache_read:
        memo["cache_read"] = usage.cache_read
    if usage.estimated:
        memo["estimated"] = True
    return {**memo, **more}


def usage_in(memo: Memo) -> Usage | None:
    """The usage that `memo_of` wrote; None when there is none in it."""
    counts = {name: memo.get(name, 0) for name in ("input", "output", "cache_read")}
    if not all(type(count) is int for count in counts.values()) or "input" not in memo:
        return None
    return Usage(
        input=int(counts["input"] or 0),
        output=int(counts["output"] or 0),
        cache_read=int(counts["cache_read"] or 0),
        estimated=memo.get("estimated") is True,
    )
