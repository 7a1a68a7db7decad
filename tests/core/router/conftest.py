"""The process under test."""

from tests.core.routing import house

__all__ = ["house"]
