"""The script: plays a list of deltas, pauses and faults that a test wrote; for chaos drills too.

    with script.playing("quick", TextDelta("Hello"), Finish(FinishReason.STOP)) as played:
        channel = await channels.add("c", vendor="script", base_url="script:quick", models={"m": "m"}, by="test")
        …
        assert played.calls[0].messages == …

supports: everything a Delta can say. never: a wire.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from core.adapters.base import Plays, Step, Target, Vendor
from core.adapters.faults import Fault, UpstreamError
from core.chat import Call

NAME = "script"
SCRIPT_VENDOR = Vendor(
    name=NAME, title="Plays what a test wrote", dialect=NAME, local=True, key_required=False, source=__file__
)
"""Not among the vendors an operator is offered."""

Steps = Callable[[Call, Target], Iterable[Step]]


@dataclass(slots=True)
class Played:
    """What a script was asked, in order."""

    calls: list[Call] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)


_scripts: dict[str, tuple[Steps, Played]] = {}


@contextlib.contextmanager
def playing(name: str, *steps: Step, make: Steps | None = None) -> Iterator[Played]:
    """Let channels with base URL `script:<name>` answer with these steps, or with those that `make` gives a call."""
    played = Played()
    _scripts[name] = (make or (lambda _call, _target: steps), played)
    try:
        yield played
    finally:
        del _scripts[name]


class Script(Plays):
    """The dialect."""

    name = NAME

    def play(self, call: Call, target: Target) -> Iterator[Step]:
        """The steps of the script that the base URL names; without one nobody is there."""
        found = _scripts.get(target.base_url.removeprefix("script:"))
        if found is None:
            yield UpstreamError(Fault.NETWORK)
            return
        steps, played = found
        played.calls.append(call)
        played.targets.append(target)
        yield from steps(call, target)
