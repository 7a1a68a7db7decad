"""What every test may ask for; each kind of fixture lives in a module of its own and is named here."""

from __future__ import annotations

import os

from hypothesis import settings

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

# No time limit for one example: the machine may be busy. CI tries the same examples each time, a person new ones.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")
