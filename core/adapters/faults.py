"""Faults: what a failure of an upstream means, and how a refusal is read. Pure.

The kinds decide what the router does next; status alone decides nothing ("out of money" is 400, 402, 403 or 429,
depending on the vendor), and texts are matched only in the fields where vendors put their messages, never in a whole
body. Sources: the error tables of the vendors' API references and the SDKs' type definitions, seen 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import orjson

MAX_MESSAGE = 300
"""Characters of an upstream's message that are passed on."""
MAX_RETRY_AFTER_S = 3600.0


class Fault(StrEnum):
    """What a failure means."""

    KEY_DEAD = "key_dead"
    """The key is unknown, revoked or not allowed."""
    QUOTA = "quota"
    """The key is out of money or of its day's allowance."""
    RATE = "rate"
    """Too many requests; after a while it works again."""
    OVERLOADED = "overloaded"
    """The provider is in trouble and says so."""
    NETWORK = "network"
    """No connection, or one that broke."""
    TIMEOUT = "timeout"
    """Silence for longer than we wait."""
    PROTOCOL = "protocol"
    """The answer is none of the dialect's: a web page, garbage, nothing."""
    MODEL_GONE = "model_gone"
    """The provider does not have this model, or not for this key."""
    CONTEXT = "context"
    """The prompt is longer than the model's window."""
    FILTER = "filter"
    """Refused by the provider's policy."""
    CALLER = "caller"
    """The request itself is wrong; every provider would refuse it."""
    TRUNCATED = "truncated"
    """The stream ended without its end sign."""


class UpstreamError(Exception):
    """One attempt failed. `message` is fit to be shown to the caller: without host, address or key."""

    def __init__(
        self,
        fault: Fault,
        status: int | None = None,
        *,
        retry_after_s: float | None = None,
        message: str = "",
    ) -> None:
        super().__init__(fault.value if status is None else f"{fault.value} ({status})")
        self.fault = fault
        self.status = status
        """The HTTP status; None where there was none."""
        self.retry_after_s = retry_after_s
        self.message = message


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure as the dialect reads it; the message is raw until `scrubbed`."""

    fault: Fault
    message: str = ""
    retry_after_s: float | None = None
    param: str = ""
    """The field of the request that the upstream names; empty when none."""


_CODES = {
    Fault.KEY_DEAD: {
        "invalid_api_key", "account_deactivated", "authentication_error", "invalid_authentication_error",
        "api_key_invalid", "invalidapikey", "unauthorized", "permission_error", "permission_denied",
        "invalid_iam_token", "iam_cert_error", "authenticationerror", "invalidaccountstatus", "accessdenied",
    },
    Fault.QUOTA: {
        "insufficient_quota", "billing_hard_limit_reached", "billing_error", "arrearage", "accountoverdueerror",
        "exceeded_current_quota_error", "insufficient_balance", "insufficient_user_quota", "quotaexceeded",
        "pre_consume_token_quota_failed",
    },
    Fault.RATE: {
        "rate_limit_exceeded", "rate_limit_error", "rate_limit_reached_error", "too_many_requests", "throttling",
        "rpm_rate_limit_exceeded", "tpm_rate_limit_exceeded",
    },
    Fault.OVERLOADED: {
        "server_overloaded", "overloaded_error", "engine_overloaded_error", "serveroverloaded", "server_error",
        "internal_error", "internal_server_error", "service_unavailable", "unavailable_error", "timeout_error",
    },
    Fault.MODEL_GONE: {
        "model_not_found", "modelnotopen", "deploymentnotfound", "model_not_available", "model_deprecated",
    },
    Fault.CONTEXT: {
        "context_length_exceeded", "string_above_max_length", "exceed_context_size_error", "tokens_too_long",
        "characters_too_long", "model_context_window_exceeded",
    },
    Fault.FILTER: {
        "content_policy_violation", "content_filter", "moderation_blocked", "data_inspection_failed",
        "datainspectionfailed", "inputtextsensitivecontentdetected", "outputtextsensitivecontentdetected",
        "responsibleaipolicyviolation", "sensitive_words_detected",
    },
}  # fmt: skip
_FAULT_OF_CODE = {code: fault for fault, codes in _CODES.items() for code in codes}

_TEXTS = (
    (
        Fault.CONTEXT,
        re.compile(
            r"maximum context length|context length|context window|context size|prompt is too long|too many tokens"
            r"|model token limit|range of input length|input token count",
            re.IGNORECASE,
        ),
    ),
    (
        Fault.QUOTA,
        re.compile(
            r"insufficient (?:\w+ )?(?:quota|balance|credit|funds)|credit balance is too low"
            r"|exceeded your current quota|billing hard limit|arrears|overdue|欠费|余额|额度(?:不足|已用尽)",
            re.IGNORECASE,
        ),
    ),
    (
        Fault.KEY_DEAD,
        re.compile(
            r"(?:invalid|incorrect|expired|revoked) (?:api[ _-]?key|token)|api[ _-]?key (?:is )?(?:not valid|invalid)"
            r"|(?:account|organization|key|token) (?:has been |is |was )?"
            r"(?:deactivated|disabled|restricted|suspended|terminated)",
            re.IGNORECASE,
        ),
    ),
    (
        Fault.FILTER,
        re.compile(
            r"content exists risk|content (?:management )?policy|content filter|flagged by|usage policies"
            r"|output blocked by",
            re.IGNORECASE,
        ),
    ),
    (
        Fault.MODEL_GONE,
        re.compile(
            r"model .{0,160}(?:does not exist|not found|not supported|is not available)|no such model"
            r"|unknown model|no available channel",
            re.IGNORECASE,
        ),
    ),
)


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """What an HTTP answer that is no success means; for every dialect whose errors are JSON objects.

    `headers` by lower-case name. A body that is no JSON is a proxy's or a wrong address's, unless the status is one
    that only a provider's own gate gives.
    """
    retry_after_s = retry_after(headers)
    parsed = _parsed(body)
    if parsed is None:
        return Refusal(_without_json(status, headers, body), _plain_text(headers, body), retry_after_s)
    return refusal_of(parsed, status, retry_after_s)


def refusal_of(parsed: Any, status: int, retry_after_s: float | None = None) -> Refusal:
    """The same from a parsed error, also one that came inside a stream; `status` 200 then leaves it to the codes."""
    codes, message, param = _told(parsed)
    if status < 400:
        status = next((int(code) for code in codes if code.isdigit() and 400 <= int(code) <= 599), 0)
    return Refusal(_fault(status, codes, message), message, retry_after_s, param)


def scrubbed(message: str, *, base_url: str = "", secret: str = "") -> str:
    """A message without what it must not tell: the key, our address of the provider, any URL, anything key-like."""
    if secret:
        message = message.replace(secret, "[key]")
    message = _URL.sub("[address]", message)
    host = urlsplit(base_url).netloc.rpartition("@")[2]
    for name in (host, host.rpartition(":")[0]):
        if len(name) > 3:
            message = re.sub(re.escape(name), "[address]", message, flags=re.IGNORECASE)
    message = _KEY_LIKE.sub("[key]", _IP.sub("[address]", message))
    message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After`; None when absent, a date, or nonsense."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return min(seconds, MAX_RETRY_AFTER_S)
    return None


_URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>)\]]+", re.IGNORECASE)
_IP = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b")
_KEY_LIKE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|key|org|proj|ak)[-_][A-Za-z0-9*._-]{6,}|\bBearer\s+\S+|\bAIza[\w-]{20,}", re.IGNORECASE
)


def _parsed(body: bytes) -> Any:
    """The JSON object or list of an error body; None when it is anything else."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict | list) else None


def _told(parsed: Any) -> tuple[list[str], str, str]:
    """Codes, message and named parameter of an error, wherever its vendor puts them."""
    if isinstance(parsed, list):
        parsed = parsed[0] if parsed else {}
    if not isinstance(parsed, dict):
        return [], str(parsed), ""
    error = parsed.get("error")
    inner: dict[str, Any] = error if isinstance(error, dict) else parsed
    codes = [
        str(value).lower()
        for value in (inner.get("code"), inner.get("type"), inner.get("status"), _inner_code(inner))
        if isinstance(value, str | int) and not isinstance(value, bool)
    ]
    message = error if isinstance(error, str) else ""
    for name in ("message", "msg", "err", "error_msg", "detail", "reason"):
        if message:
            break
        value = inner.get(name)
        if isinstance(value, str):
            message = value
        elif isinstance(value, list | dict) and value:
            message = orjson.dumps(value).decode()
    param = inner.get("param")
    return codes, message, param if isinstance(param, str) else ""


def _inner_code(error: dict[str, Any]) -> object:
    inner = error.get("innererror")
    return inner.get("code") if isinstance(inner, dict) else None


def _fault(status: int, codes: list[str], message: str) -> Fault:
    if status == 401:
        return Fault.KEY_DEAD
    known = [_FAULT_OF_CODE[code.partition(".")[0]] for code in codes if code.partition(".")[0] in _FAULT_OF_CODE]
    if known:
        # A type is often broader than the code beside it: `invalid_request_error` with a precise code, or
        # `rate_limit_error` for an empty account. Money and content are never meant by accident.
        for precise in (Fault.QUOTA, Fault.CONTEXT, Fault.FILTER):
            if precise in known:
                return precise
        if known[0] is Fault.RATE and (said := _by_text(message)) is Fault.QUOTA:
            return said
        return known[0]
    said = _by_text(message)
    match status:
        case 402:
            return Fault.QUOTA
        case 403:
            return said if said in {Fault.QUOTA, Fault.FILTER, Fault.MODEL_GONE} else Fault.KEY_DEAD
        case 404:
            return Fault.MODEL_GONE
        case 413:
            return said if said is Fault.CONTEXT else Fault.CALLER
        case 429:
            return said if said is Fault.QUOTA else Fault.RATE
        case 408 | 409 | 425 | 498:
            return Fault.OVERLOADED
        case _ if status >= 500:
            return said if said in {Fault.QUOTA, Fault.CONTEXT, Fault.MODEL_GONE} else Fault.OVERLOADED
        case _ if status >= 400:
            return said or Fault.CALLER
        case _:
            return said or (Fault.OVERLOADED if message or codes else Fault.PROTOCOL)


def _by_text(message: str) -> Fault | None:
    return next((fault for fault, pattern in _TEXTS if pattern.search(message[:2000])), None)


def _without_json(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    if status in {401, 407}:
        return Fault.KEY_DEAD
    if status == 402:
        return Fault.QUOTA
    if status == 429:
        return Fault.RATE
    if status in {503, 529} and not _is_page(headers, body):
        return Fault.OVERLOADED
    if status in {400, 413, 422} and body.strip() and not _is_page(headers, body):
        return _by_text(body[:2000].decode("utf-8", "replace")) or Fault.CALLER
    if status == 500 and not _is_page(headers, body):
        return Fault.OVERLOADED
    return Fault.PROTOCOL


def _is_page(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<"


def _plain_text(headers: Mapping[str, str], body: bytes) -> str:
    return "" if _is_page(headers, body) else body[:2000].decode("utf-8", "replace").strip()
