"""Adjustments of one lane whose answers are awaited: where these take long, the next leaves beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from ltv_guard.core.decide.decision import Decision
from ltv_guard.guard.unawaited import heed

SLOW_S = 1.0  # an answer that takes longer is not waited for
AT_MOST = 5  # are unanswered at once


class UnderWay:
    """Mutable, of one lane and cycle. The block ends once all are answered, and raises what one raised."""

    def __init__(self, adjust: Callable[[Decision], Awaitable[int]]) -> None:
        """`adjust` returns with the answer: 1 where the adjustment has left, or may have, else 0."""
        self._adjust = adjust
        self._tasks: list[asyncio.Task[int]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._tasks and not isinstance(error, asyncio.CancelledError):
                await asyncio.wait(self._tasks)
        finally:  # what has left is not cut off by this: its answer is written down all the same
            for task in self._tasks:
                task.cancel()
        if error is None:
            self._raise()

    @property
    def unanswered(self) -> list[asyncio.Task[int]]:
        """Those that have left, and are not answered."""
        return [task for task in self._tasks if not task.done()]

    @property
    def left(self) -> int:
        """How many have left, or may have."""
        return sum(task.result() if task.done() else 1 for task in self._tasks)

    async def begin(self, decision: Decision, may_go_on: Callable[[], bool]) -> None:
        """Returns with its answer; where that takes long, as soon as the next may leave beside it."""
        task = asyncio.ensure_future(self._adjust(decision))
        task.add_done_callback(heed)
        self._tasks.append(task)
        await asyncio.wait({task}, timeout=SLOW_S)
        if not task.done() and not may_go_on():
            await asyncio.wait({task})
        while len(unanswered := self.unanswered) >= AT_MOST:
            await asyncio.wait(unanswered, return_when=asyncio.FIRST_COMPLETED)
        self._raise()

    async def all_answered(self) -> None:
        """Returns once none is unanswered."""
        if unanswered := self.unanswered:
            await asyncio.wait(unanswered)
        self._raise()

    def _raise(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
