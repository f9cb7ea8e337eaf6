"""The jobs of a daemon: APScheduler, which runs on the wall clock, made to live with clocks that are set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from ltv_guard.service.every import Every
from ltv_guard.service.rounds import until_next_s

JUMP_LOOK_S = 1.0
JUMP_S = 2.0  # a wall clock that parts this far from the monotonic one between two looks has been set

Job = Callable[..., Awaitable[None]]

log = structlog.stdlib.get_logger()


class Jobs:
    """Each is a function, its arguments and a pace in seconds."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """From now on they run; until then they wait."""
        self._scheduler.start()

    def end(self) -> None:
        """None begins any more."""
        self._scheduler.shutdown(wait=False)

    def every(self, seconds: float, job: Job, *args: object) -> None:
        """One more, for the first time at once."""
        self._scheduler.add_job(job, Every(seconds), args=args, next_run_time=datetime.now(UTC))

    async def notice_jumps(self, jumped: Callable[[], None]) -> None:
        """APScheduler runs on the wall clock: set back an hour, it would not fire for an hour.

        `jumped` hears of it too: the machine may have been suspended.
        """
        offset = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(until_next_s(JUMP_LOOK_S))
            before, offset = offset, time.time() - time.monotonic()
            moved = offset - before
            if abs(moved) < JUMP_S:
                continue
            log.warning("clock_jumped", seconds=round(moved))
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))
            jumped()
