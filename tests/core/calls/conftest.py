"""The same process as the tests of billing, and a router that plays what a test tells it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.core.billing.conftest import house
from tests.core.calls.routing import Routing

__all__ = ["house", "routing"]


@pytest.fixture
def routing(monkeypatch: pytest.MonkeyPatch) -> Routing:
    played = Routing()
    monkeypatch.setattr("core.calls.stream.router", SimpleNamespace(stream=played.stream))
    return played
