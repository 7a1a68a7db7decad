"""The explicit lists: adapters by dialect, vendors by name."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.adapters.base import Adapter, Plays, StreamUsage, Vendor
from core.adapters.demo import Demo
from core.adapters.openai_chat import OpenAIChat
from core.adapters.script import SCRIPT_VENDOR, Script
from core.kit.errors import BadInput

DEFAULT_VENDOR = "openai-compatible"
DEMO_VENDOR = "demo"

ADAPTERS: Mapping[str, Adapter | Plays] = {each.name: each for each in (OpenAIChat(), Demo(), Script())}
"""Every dialect by its name."""

_VENDORS = Path(__file__).with_name("vendors.toml")


@functools.cache
def vendors() -> Mapping[str, Vendor]:
    """The vendors an operator may choose, by name, in the file's order."""
    return {name: _vendor(name, fields) for name, fields in tomllib.loads(_VENDORS.read_text()).items()}


def vendor(name: str) -> Vendor:
    """A vendor by its name; the scripted one of tests too. Raises BadInput."""
    found = SCRIPT_VENDOR if name == SCRIPT_VENDOR.name else vendors().get(name)
    if found is None:
        raise BadInput("vendor_unknown", field="vendor", vendor=name[:40], known=", ".join(vendors()))
    return found


def adapter(dialect: str) -> Adapter | Plays:
    """The adapter of a dialect that a vendor names."""
    return ADAPTERS[dialect]


def _vendor(name: str, fields: dict[str, Any]) -> Vendor:
    known = {field.name for field in dataclasses.fields(Vendor)}
    assert fields.keys() <= known, f"vendors.toml: [{name}] has unknown fields {fields.keys() - known}"
    assert fields["dialect"] in ADAPTERS, f"vendors.toml: [{name}] names an unknown dialect"
    if "stream_usage" in fields:
        fields = {**fields, "stream_usage": StreamUsage(fields["stream_usage"])}
    return Vendor(name=name, **fields)
