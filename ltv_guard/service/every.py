"""When a job of the scheduler is due: every so many seconds, whatever the wall clock does."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

LOOK_S = 1.0  # the pace of most looks (`rounds`): to wake an idle process costs more than most of them do


class Every(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Fires at once, and every so many seconds, on whole ones of the monotonic clock: with the other looks.

    What was missed is skipped at once. APScheduler's own triggers count through all that was missed, one by
    one: a clock set forward by years, as on a machine that starts without the time, would stop everything.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        if previous is None:
            return now
        apart_s, now_s = min(self._seconds, LOOK_S), self._monotonic()
        due_s = round((now_s + self._seconds) / apart_s) * apart_s
        return now + timedelta(seconds=due_s - now_s)
