"""Adapters: one file for each wire dialect, pure; vendors as rows of data; the driver does all input and output."""

from core.adapters.base import (
    Adapter,
    Decoder,
    Framing,
    Pause,
    Plays,
    Step,
    Target,
    Vendor,
    WireReply,
    WireRequest,
)
from core.adapters.demo import DEMO_MODEL
from core.adapters.driver import Arrival, Exchange, send
from core.adapters.faults import Fault, Refusal, UpstreamError
from core.adapters.registry import DEFAULT_VENDOR, DEMO_VENDOR, adapter, vendor, vendors

__all__ = [
    "DEFAULT_VENDOR",
    "DEMO_MODEL",
    "DEMO_VENDOR",
    "Adapter",
    "Arrival",
    "Decoder",
    "Exchange",
    "Fault",
    "Framing",
    "Pause",
    "Plays",
    "Refusal",
    "Step",
    "Target",
    "UpstreamError",
    "Vendor",
    "WireReply",
    "WireRequest",
    "adapter",
    "send",
    "vendor",
    "vendors",
]
