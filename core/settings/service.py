"""Getting and setting: values from a snapshot in memory, changes audited and told to every process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from core import audit
from core.kit import changes
from core.kit.errors import AppError, NotFound
from core.kit.orm import Work, unit_of_work
from core.kit.scope import Scope, current
from core.settings import registry, store
from core.settings.registry import Setting

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SettingView:
    """One setting as people see it."""

    key: str
    value: str
    default: str
    changed: bool
    """Whether a person set it."""

    @property
    def caption_key(self) -> str:
        """The key of its caption in the locales."""
        return f"setting.{self.key}"


class _Snapshot:
    """What this process believes; replaced as a whole."""

    def __init__(self, _scope: Scope) -> None:
        self.values: dict[str, Any] = {}
        self.loaded = False


def get(setting: Setting[T]) -> T:
    """The value now, at most a second behind another process; the default before `load`."""
    value: T = current().state(_Snapshot).values.get(setting.key, setting.default)
    return value


async def load() -> None:
    """Read all settings and keep them fresh from the change feed; once at the start of a process."""
    snapshot = current().state(_Snapshot)
    if not snapshot.loaded:
        snapshot.loaded = True
        changes.feed().subscribe("setting", _reload)
    await _reload("")


async def set(key: str, text: str | None, *, by: str) -> SettingView:
    """Set a value from a person's text, None for the default; `by` is an account id, `cli` or `system`.

    Audited, and known to every process within a second. Raises NotFound for an unknown key and BadInput, which says
    what the setting expects.
    """
    setting = _find(key)
    shown = None if text is None else setting.show(setting.read(text))

    async def body(work: Work) -> None:
        before = await store.text_of(work, key)
        if before == shown:
            return
        if shown is None:
            await store.remove(work, key)
        else:
            await store.put(work, key, shown, current().clock.now())
        await audit.write(
            work,
            by,
            "setting.changed",
            key,
            before=None if before is None else {"value": before},
            after=None if shown is None else {"value": shown},
        )
        await changes.record(work, "setting", key)

    await unit_of_work(body)
    return view(key)


def view(key: str) -> SettingView:
    """One setting by its key. Raises NotFound."""
    setting = _find(key)
    values = current().state(_Snapshot).values
    return SettingView(key, setting.show(get(setting)), setting.show(setting.default), key in values)


def listing() -> list[SettingView]:
    """Every setting, by key."""
    return [view(key) for key in sorted(registry.ALL)]


def _find(key: str) -> Setting[Any]:
    setting = registry.ALL.get(key)
    if setting is None:
        raise NotFound("setting_unknown", key=key)
    return setting


async def _reload(_key: str) -> None:
    values: dict[str, Any] = {}
    for key, text in (await store.all_texts()).items():
        if (setting := registry.ALL.get(key)) is None:
            continue
        try:
            values[key] = setting.read(text)
        except AppError:
            # Written by another release with other bounds: the default is safer than refusing to start.
            log.warning("setting.unreadable", key=key)
    current().state(_Snapshot).values = values
