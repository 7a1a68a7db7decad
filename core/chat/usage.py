"""Usage: what a call consumed, as totals with their parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. Totals include their parts: `cache_read` ≤ `input`, `reasoning` ≤ `output`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    """Part of `input` that the upstream served from its cache."""
    reasoning: int = 0
    """Part of `output` that was thought, not shown."""
    estimated: bool = False
    """True when the upstream reported nothing usable and we counted ourselves."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
        )
