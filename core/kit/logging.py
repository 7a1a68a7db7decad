"""Structured logs: one event a line, with the context bound at the door, and with secrets struck out.

`configure` once at the start; then `structlog.get_logger()` anywhere. Lines are JSON, or for a person when standard
error is a terminal. The standard library's loggers (aiogram, discord, aiohttp, tortoise, arq) go the same way. Bind
`request`, `account`, `turn`, `job` or `channel` once at the door with `bound(...)`.

No content: callers log ids, counts and kinds, never messages. Striking out secrets is the second line, for the texts
of foreign libraries and of exceptions.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

STRUCK = "***"
OURS = ("core", "bots", "web", "workers", "parley", "__main__")
"""Whose lines the level is for; everybody else speaks from warnings up."""
TEXT_MOST = 20_000
"""Characters of one value; what is longer is cut, tracebacks included."""

SECRET_LEAST = 6
"""Characters of a secret that is struck out wherever it appears; a shorter one would strike out ordinary words."""

_NAMES = re.compile(r"(?i)(password|passwd|secret|token|authorization|cookie|api_?key|credential|dsn|private_?key)")
"""Values under such a name are struck out whole."""
_HARMLESS = re.compile(r"(?i)(_tokens|tokens|_hash|_id|_state|_count)$")
"""Except under these: `output_tokens=12` is a number that operators count."""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # The headers of every dialect: Authorization: Bearer …, x-api-key: …
    (re.compile(r"(?i)\b(bearer|basic|bot)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {STRUCK}"),
    # sk-…, sk-parley-…, sk-ant-…, and the like.
    (re.compile(r"\b(sk|pk|rk|gsk|xai|key)-[A-Za-z0-9_-]{8,}"), rf"\1-{STRUCK}"),
    # Telegram: 123456789:AA…, also inside /bot<token>/method.
    (re.compile(r"(?<!\d)\d{5,}:[A-Za-z0-9_-]{30,}"), STRUCK),
    # Discord: three parts with dots, the first an id in base 64.
    (re.compile(r"\b[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"), STRUCK),
    # Signed web tokens and Google's keys.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), STRUCK),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{20,}"), STRUCK),
    # scheme://user:password@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@"), rf"\1:{STRUCK}@"),
    # What a database quotes of a row, and pydantic of its input, below the error proper.
    (
        re.compile(r"(?s)\bDETAIL:\s.*?(?=\n(?:HINT:|CONTEXT:|Traceback|During|The above|\s*\n)|\Z)"),
        f"DETAIL: {STRUCK}",
    ),
    (re.compile(r"(?s)\binput_value=.*?(?=, input_type=|\Z)"), f"input_value={STRUCK}"),
    # password=…, "api_key": "…", token: …
    (
        re.compile(
            r"(?i)((?:password|passwd|secret|access_token|refresh_token|client_secret|api[_-]?key)[\"']?\s*[=:]\s*[\"']?)"
            r"[^\s\"'&,;}]{3,}"
        ),
        rf"\1{STRUCK}",
    ),
)


def configure(level: str = "info", *, stream: TextIO | None = None, secrets: Iterable[str] = ()) -> None:
    """Set up logging for this process; the last call counts. `secrets` are struck out wherever they appear."""
    output = stream if stream is not None else sys.stderr
    known = tuple(sorted({secret for secret in secrets if len(secret) >= SECRET_LEAST}, key=len, reverse=True))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _Redaction(known),
    ]
    renderer: Processor
    if output.isatty():
        renderer = structlog.dev.ConsoleRenderer(
            pad_event_to=32,
            # The pretty one prints local variables, and with them what people wrote.
            exception_formatter=structlog.dev.plain_traceback,
        )
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # At info foreign libraries say what is our own business to say, or quote addresses that hold a token; at debug
    # they quote queries with what people wrote.
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """The text with everything that looks like a secret struck out."""
    for secret in known:
        text = text.replace(secret, STRUCK)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


@contextlib.contextmanager
def bound(**context: Any) -> Iterator[None]:
    """Every line logged within the block, also by callees, carries this context."""
    with structlog.contextvars.bound_contextvars(**context):
        yield


class _Redaction:
    """The processor before the renderer: no value passes it with a secret inside."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {name: value if name.startswith("_") else self._clean(name, value) for name, value in event.items()}

    def _clean(self, name: str, value: Any, depth: int = 0) -> Any:
        if isinstance(value, bool | int | float) or value is None:
            return value
        if _NAMES.search(name) and not _HARMLESS.search(name):
            return STRUCK
        if isinstance(value, str):
            return redacted(value[:TEXT_MOST], self._known)
        if depth < 4 and isinstance(value, Mapping):
            return {str(key): self._clean(str(key), inner, depth + 1) for key, inner in value.items()}
        if depth < 4 and isinstance(value, list | tuple | set | frozenset):
            return [self._clean("", inner, depth + 1) for inner in value]
        return redacted(str(value)[:TEXT_MOST], self._known)


def _json(event: Any, **_options: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
