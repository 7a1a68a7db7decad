"""Limits on guessing: how often a name, address or account may try before it has to wait.

They take values and read no settings. They fail closed: who cannot be counted may not guess.
"""

from core.limits.guesses import forget, guess

__all__ = ["forget", "guess"]
