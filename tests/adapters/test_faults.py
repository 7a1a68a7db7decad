"""What refusals mean, as a table of real ones; and that nothing private is told on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.adapters import Fault
from core.adapters.faults import read_refusal, refusal_of, retry_after, scrubbed


def error(message: str = "", **more: Any) -> bytes:
    return orjson.dumps({"error": {"message": message, **more}})


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (401, error("Incorrect API key provided", code="invalid_api_key"), Fault.KEY_DEAD),
        (401, b"<html>who are you</html>", Fault.KEY_DEAD),
        (400, error("API key not valid. Please pass a valid API key."), Fault.KEY_DEAD),
        (403, error("Country not supported"), Fault.KEY_DEAD),
        (403, b"<html>Attention required</html>", Fault.PROTOCOL),
        (402, error("Insufficient Balance"), Fault.QUOTA),
        (402, b"pay", Fault.QUOTA),
        (429, error("You exceeded your current quota", type="insufficient_quota"), Fault.QUOTA),
        (429, error("Insufficient account balance", type="rate_limit_error"), Fault.QUOTA),
        (429, error("Your credit balance is too low"), Fault.QUOTA),
        (403, error("用户额度不足"), Fault.QUOTA),
        (403, error("", code="AccountOverdueError"), Fault.QUOTA),
        (400, error("", code="Arrearage"), Fault.QUOTA),
        (429, error("Rate limit reached", code="rate_limit_exceeded"), Fault.RATE),
        (429, b"", Fault.RATE),
        (429, error("busy", code="engine_overloaded_error"), Fault.OVERLOADED),
        (429, error("slow", code="Throttling.RateQuota"), Fault.RATE),
        (500, b"internal", Fault.OVERLOADED),
        (503, error("no healthy upstream"), Fault.OVERLOADED),
        (529, error("Overloaded", type="overloaded_error"), Fault.OVERLOADED),
        (408, error("timeout"), Fault.OVERLOADED),
        (502, b"<html>Bad gateway</html>", Fault.PROTOCOL),
        (504, b"<html>Gateway timeout</html>", Fault.PROTOCOL),
        (503, b"<!doctype html>", Fault.PROTOCOL),
        (404, b"404 page not found", Fault.PROTOCOL),
        (404, error("The model `x` does not exist", code="model_not_found"), Fault.MODEL_GONE),
        (404, orjson.dumps({"detail": "Not Found"}), Fault.MODEL_GONE),
        (400, error("Model gpt-9 not found"), Fault.MODEL_GONE),
        (503, error("当前分组下对于模型 x 无可用渠道: no available channel for model x"), Fault.MODEL_GONE),
        (400, error("too long", code="context_length_exceeded"), Fault.CONTEXT),
        (400, error("This model's maximum context length is 8192 tokens"), Fault.CONTEXT),
        (400, error("too big", type="exceed_context_size_error"), Fault.CONTEXT),
        (500, error("prompt is too long: 5 tokens > 4 maximum"), Fault.CONTEXT),
        (400, error("blocked", code="content_filter"), Fault.FILTER),
        (400, error("Content Exists Risk"), Fault.FILTER),
        (400, error("Unsupported value: temperature", param="temperature"), Fault.CALLER),
        (400, b"bad json", Fault.CALLER),
        (413, error("too large"), Fault.CALLER),
        (422, orjson.dumps({"detail": [{"loc": ["body"], "msg": "extra"}]}), Fault.CALLER),
        (418, b"", Fault.PROTOCOL),
        (301, b"", Fault.PROTOCOL),
        (204, b"", Fault.PROTOCOL),
        (400, orjson.dumps({"error": "plain words"}), Fault.CALLER),
        (400, b"[]", Fault.CALLER),
        (400, orjson.dumps([{"error": {"code": 400, "status": "PERMISSION_DENIED"}}]), Fault.KEY_DEAD),
    ],
)
def test_what_a_refusal_means(status: int, body: bytes, fault: Fault) -> None:
    assert read_refusal(status, {}, body).fault is fault


@pytest.mark.parametrize(
    ("parsed", "fault"),
    [
        ({"error": {"code": 429, "message": "slow"}}, Fault.RATE),
        ({"error": {"code": 502, "message": "provider"}}, Fault.OVERLOADED),
        ({"error": {"message": "Something broke"}}, Fault.OVERLOADED),
        ({"error": {"code": "context_length_exceeded"}}, Fault.CONTEXT),
        ({"error": "maximum context length exceeded"}, Fault.CONTEXT),
        ({"error": {}}, Fault.PROTOCOL),
        ("words", Fault.OVERLOADED),
    ],
)
def test_what_an_error_within_a_stream_means(parsed: Any, fault: Fault) -> None:
    assert refusal_of(parsed, 200).fault is fault


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "999999"}, 3600),
        ({}, None),
    ],
)
def test_when_to_come_again(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    "secret",
    [
        "https://internal.example.com:8443/v1/x?key=1",
        "INTERNAL.example.com",
        "10.1.2.3:8080",
        "Bearer abc.def",
        "sk-proj-abcdefgh12345678",
        "our-own-key",
        "AIzaSyA-1234567890abcdefghijk",
    ],
)
def test_no_address_and_no_key_is_told_on(secret: str) -> None:
    told = scrubbed(f"Before {secret} after.", base_url="https://internal.example.com:8443/v1", secret="our-own-key")
    assert secret.lower() not in told.lower()
    assert told.startswith("Before ")
    assert told.endswith("after.")


def test_a_told_message_is_one_short_printable_line() -> None:
    told = scrubbed("a\x00b\n\n\u202ec" + "x" * 5000)
    assert told.startswith("a b c")
    assert len(told) == 300
