"""The same process as the tests of billing."""

from tests.core.billing.conftest import house

__all__ = ["house"]
