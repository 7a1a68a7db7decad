"""The scope: the opened resources of this process, found by whoever needs them without being passed along.

`core.runtime` fills it and binds it; tests may hold two. Handlers and tasks that a library starts in a context of its
own bind it again with `bind(scope)`.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from core.kit.clock import Clock
from core.kit.ids import OwnerId
from core.kit.redis import Keys, Redis
from core.kit.secrets import Sealer
from core.kit.supervisor import Supervisor

if TYPE_CHECKING:
    from core.config import Config
    from core.db import Database
    from core.kit.http import HttpPool

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Scope:
    """What a process has opened. Set once at start, except `draining`."""

    config: Config
    role: str
    """`up`, `web`, `telegram`, `discord`, `worker`, `migrate` or `verb`."""
    owner: OwnerId
    """This process, as rows name it."""
    database: Database
    redis: Redis | None
    """None in a one-shot verb of the embedded mode while no server runs."""
    keys: Keys
    http: HttpPool
    sealer: Sealer
    clock: Clock
    supervisor: Supervisor
    draining: bool = False
    """The process is stopping: new work is refused."""
    _states: dict[Callable[[Scope], Any], Any] = field(default_factory=dict, repr=False)

    def state(self, make: Callable[[Scope], T]) -> T:
        """What a room keeps in memory for this scope: made by `make` at the first call, the same one ever after."""
        if make not in self._states:
            self._states[make] = make(self)
        made: T = self._states[make]
        return made


_current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("parley_scope", default=None)


def current() -> Scope:
    """The scope of the caller's context. Raises RuntimeError when there is none."""
    scope = _current.get()
    if scope is None:
        raise RuntimeError("no scope is bound here: open a runtime, or enter core.kit.scope.bind(scope)")
    return scope


@contextlib.contextmanager
def bind(scope: Scope) -> Iterator[Scope]:
    """Make this the scope, and its database the database, of the caller's context for the length of the block."""
    token = _current.set(scope)
    try:
        with scope.database.bound():
            yield scope
    finally:
        _current.reset(token)
