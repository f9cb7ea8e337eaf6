"""When a job of the scheduler is due: every so many seconds, whatever the wall clock does."""

from __future__ import annotations

from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger


class Every(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Fires every so many seconds. What was missed is skipped at once.

    APScheduler's own counts through all that was missed, one by one: a clock set forward by years, as on a
    machine that starts without the time, would stop everything.
    """

    def __init__(self, seconds: float) -> None:
        self._span = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        if previous is None:
            return now
        return previous + self._span if previous + self._span > now else now + self._span
