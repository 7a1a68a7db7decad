"""The compose file: it parses, every role has a service, and each service's environment is one the role accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from core import config
from core.runtime import DRAIN_S, SERVERS

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(SERVERS - {"up"})
NAMES = {variable.name for variable in config.VARIABLES}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    parsed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = parsed["services"]
    return found


def filled(environment: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """What Compose makes of `${NAME:-default}` and `${NAME:?why}`."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if kind == "?" and name not in given:
            raise KeyError(name)
        return given.get(name) or (rest if kind == "-" else "")

    return {name: re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, text) for name, text in environment.items()}


def test_every_role_and_what_it_stands_on_has_a_service(services: dict[str, Any]) -> None:
    assert set(services) == {"postgres", "redis", "migrate", *ROLES}


@pytest.mark.parametrize("role", ["migrate", *ROLES])
def test_a_service_runs_its_role_with_an_environment_it_accepts(services: dict[str, Any], role: str) -> None:
    service = services[role]
    assert service["command"] == [role]
    assert set(service["environment"]) <= NAMES
    with pytest.raises(KeyError, match="PARLEY_SECRET_KEY"):
        filled(service["environment"], {})
    settings = config.load(filled(service["environment"], {"PARLEY_SECRET_KEY": "k" * 44}))
    assert not settings.embedded
    assert settings.telegram_api_url == "https://api.telegram.org"


@pytest.mark.parametrize("role", ROLES)
def test_servers_start_after_the_migrations_and_get_time_to_drain(services: dict[str, Any], role: str) -> None:
    service = services[role]
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert int(service["stop_grace_period"].removesuffix("s")) >= DRAIN_S + 15
    assert service["restart"] == "unless-stopped"


def test_only_the_bots_wait_to_be_asked_for(services: dict[str, Any]) -> None:
    asked = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    assert asked == {"telegram": ["telegram"], "discord": ["discord"]}


def test_only_the_web_is_reachable_and_only_from_this_machine(services: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert list(ports) == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in ports["web"])
    assert services["postgres"]["networks"] == services["redis"]["networks"] == ["inside"]


@pytest.mark.parametrize("name", ["postgres", "redis", "web"])
def test_what_others_wait_for_is_checked(services: dict[str, Any], name: str) -> None:
    assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_the_image_listens_on_every_address_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    assert "PARLEY_HOST=0.0.0.0" in lines
    assert re.search(r"(?m)^USER parley$", lines)
    assert re.search(r'(?m)^ENTRYPOINT \["parley"\]$', lines)
