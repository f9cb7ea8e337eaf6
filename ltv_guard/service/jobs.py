"""What a daemon does beside its accounts: looked for each second, all of it in one turn of the loop.

To wake an idle process costs more than most of what is done then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.clock_jumps import ClockJumps
from ltv_guard.service.failures import Failures
from ltv_guard.service.rounds import rounds

LOOK_S = 1.0

Work = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Job:
    work: Work
    seconds: float
    due_s: float = 0.0  # by the loop's clock, which nobody sets
    task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self.task is not None and not self.task.done()


class Jobs:
    """By name. Each is a task of its own, begun again once it is due and has ended. A failure is told."""

    def __init__(self, failures: Failures, alerts: AlertRepeater, *, look_s: float = LOOK_S) -> None:
        self._failures = failures
        self._look_s = look_s
        self._defects = Defects(alerts)
        self._jobs: dict[str, _Job] = {}
        self._jumps = ClockJumps()

    def every(self, seconds: float, name: str, work: Work) -> None:
        """One more, for the first time at once."""
        self._jobs[name] = _Job(work, seconds)

    async def run(self, jumped: Callable[[], None]) -> None:
        """Until it is cancelled, which ends no job under way.

        A wall clock that jumps makes all of them due; `jumped` hears of it too: the machine may have been
        suspended.
        """
        await rounds("looking beside the accounts", partial(self._look, jumped), self._look_s, self._defects)

    def under_way(self, *names: str) -> list[asyncio.Task[None]]:
        """Those of these names that have begun, and not ended."""
        tasks = [self._jobs[name].task for name in names]
        return [task for task in tasks if task is not None and not task.done()]

    async def _look(self, jumped: Callable[[], None]) -> None:
        now_s, has_jumped = asyncio.get_running_loop().time(), self._jumps.seen()
        if has_jumped:
            jumped()
        for name, job in self._jobs.items():
            if (has_jumped or now_s >= job.due_s) and not job.is_running:
                job.due_s = now_s + job.seconds - self._look_s / 2  # no look comes exactly when it should
                job.task = asyncio.create_task(self._do(name, job.work))

    async def _do(self, name: str, work: Work) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - told
            self._failures.failed(name, error, what=name)
        else:
            self._failures.works(name, what=name)
