"""The witness: writes who changed what, in the changing unit of work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import orjson

from core.audit.tables import AuditRow
from core.kit.ids import new_id
from core.kit.orm import Work
from core.kit.scope import current

SUBJECT_AT_MOST = 200
JSON = None | bool | int | float | str | list["JSON"] | Mapping[str, "JSON"]


async def write(
    work: Work,
    actor: str,
    action: str,
    subject: str,
    *,
    before: Mapping[str, JSON] | None = None,
    after: Mapping[str, JSON] | None = None,
) -> None:
    """Note that `actor` (an account id, `cli` or `system`) did `action` (`channel.added`) to `subject`.

    `before` and `after` hold what changed, never a secret: say `{"keys": 2}`, not the keys. Absent means that there
    was, or is, nothing.
    """
    await AuditRow.create(
        id=new_id("aud"),
        at=current().clock.now(),
        actor=actor,
        action=action,
        subject=subject[:SUBJECT_AT_MOST],
        before=_text(before),
        after=_text(after),
    )


def _text(value: Mapping[str, JSON] | None) -> str | None:
    return None if value is None else orjson.dumps(value, default=_plain).decode()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"not to be audited: {type(value).__name__}")
