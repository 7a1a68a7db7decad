"""The boot settings: what is needed to start, and secrets, from the environment; nothing else reads it.

What a person changes while it runs is in the database (`core.settings`). `VARIABLES` is the one list: `.env.example`
is generated from its captions (`python -m core.config > .env.example`), and a test compares.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

LOG_LEVELS = ("debug", "info", "warning", "error")
SECRET_LENGTH = 32
"""The least length of a secret key: `openssl rand -base64 32` gives 44 characters."""
SECRET_FILE = "secret.key"


class ConfigError(Exception):
    """A wrong value stops the start: which variable, and one sentence that says what it should look like."""

    def __init__(self, variable: str, sentence: str) -> None:
        super().__init__(f"{variable}: {sentence}")
        self.variable = variable
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment, as `.env.example` shows it."""

    name: str
    caption: str
    example: str = ""
    """What stands behind the `=` of the commented line."""


VARIABLES = (
    Variable(
        "PARLEY_HOST",
        "Address to listen on. The image listens on 0.0.0.0; put TLS in front before you leave loopback.",
        "127.0.0.1",
    ),
    Variable("PARLEY_PORT", "Port to listen on.", "8000"),
    Variable(
        "PARLEY_DATA_DIR",
        "Folder for everything the process keeps: database, Redis file, sealing key. Default: data, in this folder.",
        "./data",
    ),
    Variable(
        "PARLEY_DATABASE_URL",
        "Unset: SQLite in the data folder, together with a Redis of our own (one process, `parley up`). "
        "For more processes PostgreSQL, and PARLEY_REDIS_URL with it. A SQLite file elsewhere: sqlite:///path/of/file.",
        "postgres://parley:password@db:5432/parley",
    ),
    Variable(
        "PARLEY_REDIS_URL",
        "Redis 6.2 or newer, or Valkey. Set it exactly when PARLEY_DATABASE_URL names a PostgreSQL.",
        "redis://redis:6379/0",
    ),
    Variable(
        "PARLEY_PUBLIC_URL",
        "Where people reach the web page. Its scheme decides whether cookies are marked Secure. "
        "Default: http://, host and port.",
        "https://chat.example.com",
    ),
    Variable(
        "PARLEY_SECRET_KEY",
        "Seals the providers' keys in the database: at least 32 characters, kept safe, the same in every process "
        "(openssl rand -base64 32). To change it: new and old one with a comma between; the first seals, all open. "
        "Without a PostgreSQL it may stay unset: one is then made once, in secret.key of the data folder.",
        "",
    ),
    Variable(
        "PARLEY_ROOT_PASSWORD",
        "Password of the account root, read on the very first start only. Unset: one is generated, printed once, and "
        "must be changed at the first log-in.",
        "",
    ),
    Variable("PARLEY_TELEGRAM_TOKEN", "Token of the Telegram bot, from @BotFather. Unset: no Telegram.", ""),
    Variable(
        "PARLEY_TELEGRAM_API_URL",
        "Root of the Bot API server: /bot<token>/... and /file/bot<token>/... are below it. For a server of your own.",
        "https://api.telegram.org",
    ),
    Variable("PARLEY_DISCORD_TOKEN", "Token of the Discord bot. Unset: no Discord.", ""),
    Variable(
        "PARLEY_DISCORD_API_URL",
        "Root of the Discord server: /api/v10 is below it, and tells the address of the gateway. For tests.",
        "https://discord.com",
    ),
    Variable("PARLEY_LOG_LEVEL", f"How much to log: {', '.join(LOG_LEVELS)}.", "info"),
)


@dataclass(frozen=True, slots=True)
class Config:
    """The boot settings, checked. Secrets do not show in its repr."""

    host: str
    port: int
    """0 lets the system choose, for tests."""
    data_dir: Path
    """Absolute. Exists once a runtime was opened on it."""
    database_url: str = field(repr=False)
    """`sqlite:///absolute/path` or `postgres://…`."""
    redis_url: str | None = field(repr=False)
    """None: a Redis of our own, a child of this process."""
    public_url: str
    """Without a slash at its end."""
    secret_keys: tuple[str, ...] = field(repr=False)
    """The first seals, all open. Empty only before `with_secret_key`."""
    root_password: str | None = field(repr=False)
    telegram_token: str | None = field(repr=False)
    telegram_api_url: str
    discord_token: str | None = field(repr=False)
    discord_api_url: str
    log_level: str
    runtime_dir: Path
    """For sockets: the session's own folder (XDG_RUNTIME_DIR), else /tmp."""

    @property
    def embedded(self) -> bool:
        """SQLite and our own Redis, hence one process."""
        return self.database_url.startswith("sqlite:")

    def redacted(self) -> dict[str, str | int | bool]:
        """What the boot log may say."""
        return {
            "host": self.host,
            "port": self.port,
            "data_dir": str(self.data_dir),
            "database": _without_password(self.database_url),
            "redis": "embedded" if self.redis_url is None else _without_password(self.redis_url),
            "public_url": self.public_url,
            "telegram": self.telegram_token is not None,
            "discord": self.discord_token is not None,
            "log_level": self.log_level,
        }


def load(environ: Mapping[str, str]) -> Config:
    """The settings of this environment; an empty value counts as unset. Touches no file. Raises ConfigError."""

    def text(name: str) -> str | None:
        return environ.get(name, "").strip() or None

    host = text("PARLEY_HOST") or "127.0.0.1"
    if "/" in host or any(character.isspace() for character in host):
        raise ConfigError("PARLEY_HOST", "it should be an address such as 127.0.0.1, without scheme or port")
    host = host.removeprefix("[").removesuffix("]")
    port = _port(text("PARLEY_PORT") or "8000")
    data_dir = Path(text("PARLEY_DATA_DIR") or _project() / "data").expanduser().absolute()
    database_url = _database_url(text("PARLEY_DATABASE_URL"), data_dir)
    redis_url = _redis_url(text("PARLEY_REDIS_URL"))
    postgres = not database_url.startswith("sqlite:")
    if postgres and redis_url is None:
        raise ConfigError(
            "PARLEY_REDIS_URL",
            "it must be set when PARLEY_DATABASE_URL names a PostgreSQL, for example redis://127.0.0.1:6379/0; "
            "the Redis of our own goes with SQLite only",
        )
    if redis_url is not None and not postgres:
        raise ConfigError(
            "PARLEY_DATABASE_URL",
            "it must name a PostgreSQL when PARLEY_REDIS_URL is set, for example postgres://user:password@host/parley; "
            "with SQLite leave PARLEY_REDIS_URL unset",
        )
    return Config(
        host=host,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        redis_url=redis_url,
        public_url=_http_url("PARLEY_PUBLIC_URL", text("PARLEY_PUBLIC_URL")) or _own_url(host, port),
        secret_keys=_secret_keys(text("PARLEY_SECRET_KEY"), required=postgres),
        root_password=environ.get("PARLEY_ROOT_PASSWORD") or None,
        telegram_token=_token("PARLEY_TELEGRAM_TOKEN", text("PARLEY_TELEGRAM_TOKEN")),
        telegram_api_url=_http_url("PARLEY_TELEGRAM_API_URL", text("PARLEY_TELEGRAM_API_URL"))
        or "https://api.telegram.org",
        discord_token=_token("PARLEY_DISCORD_TOKEN", text("PARLEY_DISCORD_TOKEN")),
        discord_api_url=_http_url("PARLEY_DISCORD_API_URL", text("PARLEY_DISCORD_API_URL")) or "https://discord.com",
        log_level=_log_level(text("PARLEY_LOG_LEVEL")),
        runtime_dir=Path(text("XDG_RUNTIME_DIR") or "/tmp"),
    )


def with_secret_key(config: Config) -> Config:
    """The settings with a sealing key: embedded and unset, it is made once, in the data folder, readable by us alone.

    Safe when several processes do it at once. Raises ConfigError when the file holds no key.
    """
    if config.secret_keys:
        return config
    path = config.data_dir / SECRET_FILE
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(32) + "\n")
    key = path.read_text().strip()
    if len(key) < SECRET_LENGTH:
        raise ConfigError(
            "PARLEY_SECRET_KEY", f"{path} holds no key of {SECRET_LENGTH} characters; restore the file, or set one"
        )
    return replace(config, secret_keys=(key,))


def env_example() -> str:
    """The text of `.env.example`."""
    lines = [
        "# Everything Parley reads from its environment, with defaults or examples behind the commented names.",
        "# Docker Compose reads a file named .env by itself; for a shell: set -a; . ./.env; set +a",
        "# What can be changed while it runs is not here: see `parley setting list`.",
    ]
    for variable in VARIABLES:
        lines += ["", *_wrapped(variable.caption), f"#{variable.name}={variable.example}"]
    return "\n".join(lines) + "\n"


def _project() -> Path:
    """The checkout, so that a verb finds the server's files from wherever it is called; installed: where we are."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "pyproject.toml").is_file() else Path.cwd()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise ConfigError("PARLEY_PORT", "it should be a number from 0 to 65535, for example 8000")
    return int(text)


def _database_url(text: str | None, data_dir: Path) -> str:
    if text is None:
        return f"sqlite://{data_dir / 'parley.db'}"
    if text.startswith("sqlite:"):
        path = text.removeprefix("sqlite:").removeprefix("//")
        if not path or path.endswith("/") or "?" in path or path == ":memory:":
            raise ConfigError("PARLEY_DATABASE_URL", "a SQLite address should look like sqlite:///path/of/parley.db")
        return f"sqlite://{Path(path).expanduser().absolute()}"
    parts = _parts(text)
    if parts is None or parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ConfigError(
            "PARLEY_DATABASE_URL",
            "it should look like postgres://user:password@host:5432/name or sqlite:///path/of/parley.db",
        )
    return text


def _redis_url(text: str | None) -> str | None:
    if text is None:
        return None
    parts = _parts(text)
    if parts is None or parts.scheme not in {"redis", "rediss", "unix"} or not (parts.hostname or parts.path):
        raise ConfigError("PARLEY_REDIS_URL", "it should look like redis://host:6379/0, rediss://… or unix:///path")
    return text


def _http_url(variable: str, text: str | None) -> str | None:
    if text is None:
        return None
    parts = _parts(text)
    if not parts or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(variable, "it should be an http:// or https:// address without a query, such as https://host")
    return text.rstrip("/")


def _parts(text: str) -> SplitResult | None:
    """None for what is no address, such as one with a port that is no number."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _own_url(host: str, port: int) -> str:
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


def _secret_keys(text: str | None, *, required: bool) -> tuple[str, ...]:
    if text is None:
        if required:
            raise ConfigError(
                "PARLEY_SECRET_KEY",
                "it must be set with PostgreSQL, the same in every process: make one with `openssl rand -base64 32` "
                "and keep it",
            )
        return ()
    keys = tuple(key.strip() for key in text.split(","))
    if any(len(key) < SECRET_LENGTH for key in keys):
        raise ConfigError(
            "PARLEY_SECRET_KEY",
            f"each key should have at least {SECRET_LENGTH} characters: make one with `openssl rand -base64 32`",
        )
    return keys


def _token(variable: str, text: str | None) -> str | None:
    if text is not None and (any(character.isspace() for character in text) or len(text) < 3):
        raise ConfigError(variable, "it should be the bot's token, one word without spaces")
    return text


def _log_level(text: str | None) -> str:
    level = (text or "info").lower()
    if level not in LOG_LEVELS:
        raise ConfigError("PARLEY_LOG_LEVEL", f"it should be one of {', '.join(LOG_LEVELS)}")
    return level


def _without_password(url: str) -> str:
    """Scheme, host, port and path: user, password and options are left out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def _write_once(path: Path, text: str) -> None:
    """Whole or not at all: the name appears with its content, and whoever comes second leaves the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _wrapped(text: str, width: int = 110) -> list[str]:
    lines = ["#"]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append("#")
        lines[-1] += f" {word}"
    return lines


if __name__ == "__main__":
    sys.stdout.write(env_example())
