"""A router without channels: one scripted answer, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from core.chat import (
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageDelta,
    is_visible,
)

Step = Delta | BaseException | asyncio.Event
"""A delta to give, an error to raise, an event to wait for."""


class Routed:
    """The stream of one call."""

    def __init__(self, steps: list[Step], refusal: BaseException | None) -> None:
        self._steps = steps
        self._refusal = refusal
        self.dialect = "openai_chat"
        self.route = "route"
        self.produced = ""
        self.visible = False
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None

    async def open(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    async def deltas(self) -> AsyncIterator[Delta]:
        for step in self._steps:
            match step:
                case asyncio.Event():
                    await step.wait()
                    continue
                case BaseException():
                    raise step
                case TextDelta(text) | ReasoningDelta(text):
                    self.produced += text
                case ToolCallDelta(arguments=arguments):
                    self.produced += arguments
                case UsageDelta(usage):
                    self.usage = usage
                case Finish(reason):
                    self.finish = reason
                case _:
                    pass
            self.visible = self.visible or is_visible(step)
            yield step

    async def frames(self) -> AsyncIterator[bytes]:
        async for _ in self.deltas():
            yield b"data: {}\n\n"

    def body(self) -> bytes:
        self.produced, self.visible, self.finish = "hello", True, FinishReason.STOP
        return b"{}"


class Routing:
    """What the next call meets."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.no_route: BaseException | None = None
        self.refusal: BaseException | None = None
        self.closed = 0

    @asynccontextmanager
    async def stream(self, call: Any, **_: Any) -> AsyncIterator[Routed]:
        if self.no_route is not None:
            raise self.no_route
        try:
            yield Routed(self.steps, self.refusal)
        finally:
            self.closed += 1
