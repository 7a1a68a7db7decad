"""Profile: what a model can do, as data."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_WINDOW = 32_768
DEFAULT_MAX_OUTPUT = 4_096


@dataclass(frozen=True, slots=True)
class Profile:
    """Abilities and limits of a model; each field has a safe default."""

    window: int = DEFAULT_WINDOW
    """Tokens that prompt and answer may fill together."""
    max_output: int = DEFAULT_MAX_OUTPUT
    """Tokens an answer may have when the caller names no limit."""
    vision: bool = True
    """Accepts pictures. True unless known otherwise: an upstream's refusal is clearer than a wrong guess."""
    tools: bool = True
    """Accepts function calling; the same rule."""
