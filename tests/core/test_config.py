"""Boot settings: defaults, refusals that name the variable, the sealing key, and the example file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from core.config import VARIABLES, ConfigError, env_example, load, with_secret_key

ROOT = Path(__file__).resolve().parents[2]
KEY = "k" * 32
CLUSTER = {
    "PARLEY_DATABASE_URL": "postgres://user:hidden-one@db/parley",
    "PARLEY_REDIS_URL": "redis://:hidden-two@redis:6379/0",
    "PARLEY_SECRET_KEY": KEY,
}


def test_nothing_set_means_everything_in_one_process_on_loopback() -> None:
    config = load({})
    assert config.embedded
    assert (config.host, config.port, config.public_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert config.database_url == f"sqlite://{config.data_dir}/parley.db"
    assert config.redis_url is None
    assert (config.telegram_token, config.discord_token, config.root_password) == (None, None, None)
    assert config.telegram_api_url == "https://api.telegram.org"
    assert config.discord_api_url == "https://discord.com"


def test_an_empty_value_counts_as_unset() -> None:
    assert load({variable.name: "" for variable in VARIABLES}) == load({})


def test_a_sqlite_address_goes_with_a_redis_of_our_own(tmp_path: Path) -> None:
    config = load({"PARLEY_DATABASE_URL": f"sqlite:///{str(tmp_path).lstrip('/')}/x.db"})
    assert config.embedded
    assert config.database_url == f"sqlite://{tmp_path}/x.db"


def test_a_cluster_needs_all_three() -> None:
    config = load(CLUSTER)
    assert not config.embedded
    assert config.secret_keys == (KEY,)


@pytest.mark.parametrize("missing", CLUSTER)
def test_a_half_set_cluster_stops_the_start(missing: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({name: value for name, value in CLUSTER.items() if name != missing})
    assert refused.value.variable == missing


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PARLEY_HOST", "http://127.0.0.1"),
        ("PARLEY_HOST", "my host"),
        ("PARLEY_PORT", "http"),
        ("PARLEY_PORT", "70000"),
        ("PARLEY_PORT", "-1"),
        ("PARLEY_PORT", "٣"),
        ("PARLEY_DATABASE_URL", "mysql://host/name"),
        ("PARLEY_DATABASE_URL", "postgres://host"),
        ("PARLEY_DATABASE_URL", "postgres://host:port/name"),
        ("PARLEY_DATABASE_URL", "sqlite://"),
        ("PARLEY_DATABASE_URL", "sqlite://:memory:"),
        ("PARLEY_DATABASE_URL", "parley.db"),
        ("PARLEY_REDIS_URL", "localhost:6379"),
        ("PARLEY_REDIS_URL", "redis://host:many/0"),
        ("PARLEY_PUBLIC_URL", "chat.example.com"),
        ("PARLEY_PUBLIC_URL", "https://"),
        ("PARLEY_PUBLIC_URL", "https://host/?a=b"),
        ("PARLEY_SECRET_KEY", "short"),
        ("PARLEY_SECRET_KEY", f"{KEY},short"),
        ("PARLEY_TELEGRAM_TOKEN", "123:abc def ghi"),
        ("PARLEY_TELEGRAM_API_URL", "ftp://host"),
        ("PARLEY_DISCORD_TOKEN", "x"),
        ("PARLEY_DISCORD_API_URL", "host"),
        ("PARLEY_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({variable: value})
    assert refused.value.variable == variable
    assert str(refused.value).startswith(f"{variable}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"PARLEY_HOST": "0.0.0.0", "PARLEY_PORT": "80"}, "http://127.0.0.1:80"),
        ({"PARLEY_HOST": "::1"}, "http://[::1]:8000"),
        ({"PARLEY_PUBLIC_URL": "https://chat.example.com/"}, "https://chat.example.com"),
    ],
)
def test_the_public_address_follows_what_is_known(environment: dict[str, str], url: str) -> None:
    assert load(environment).public_url == url


def test_no_secret_shows_in_what_is_printed() -> None:
    config = load(
        {
            **CLUSTER,
            "PARLEY_ROOT_PASSWORD": "hidden-three",
            "PARLEY_TELEGRAM_TOKEN": "1:hidden-four",
            "PARLEY_DISCORD_TOKEN": "hidden-five",
        }
    )
    shown = f"{config!r} {config.redacted()!r}"
    assert "hidden" not in shown
    assert KEY not in shown
    assert config.redacted()["database"] == "postgres://db/parley"


def test_a_sealing_key_is_made_once_and_readable_by_us_alone(tmp_path: Path) -> None:
    config = load({"PARLEY_DATA_DIR": str(tmp_path / "data")})
    first, second = with_secret_key(config), with_secret_key(config)
    assert first.secret_keys == second.secret_keys != ()
    path = tmp_path / "data" / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret.key"]


def test_a_given_key_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    config = with_secret_key(load({"PARLEY_DATA_DIR": str(tmp_path), "PARLEY_SECRET_KEY": KEY}))
    assert config.secret_keys == (KEY,)
    assert os.listdir(tmp_path) == []


def test_a_damaged_key_file_stops_the_start_instead_of_being_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("\n")
    with pytest.raises(ConfigError, match=r"secret\.key"):
        with_secret_key(load({"PARLEY_DATA_DIR": str(tmp_path)}))


def test_the_example_file_is_fresh() -> None:
    assert (ROOT / ".env.example").read_text() == env_example(), "run: python -m core.config > .env.example"


def test_the_example_file_names_every_variable_that_is_read() -> None:
    read: set[str] = set()

    class Watched(dict[str, str]):
        def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
            read.add(name)
            return default

    load(Watched())
    assert {name for name in read if name.startswith("PARLEY_")} == {variable.name for variable in VARIABLES}
