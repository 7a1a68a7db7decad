"""What every test may ask for; each kind of fixture lives in a module of its own and is named here."""

from __future__ import annotations

from tests.databases import (
    database,
    database_template,
    database_url,
    empty_database_url,
    second_database_url,
)
from tests.redises import pytest_configure, pytest_unconfigure, redis_url

__all__ = [
    "database",
    "database_template",
    "database_url",
    "empty_database_url",
    "pytest_configure",
    "pytest_unconfigure",
    "redis_url",
    "second_database_url",
]
