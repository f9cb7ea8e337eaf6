"""What is done beside the accounts: each job again at its pace, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import structlog
import time_machine
from e2e_world import until

from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.failures import Failures
from ltv_guard.service.jobs import Jobs

LOOK_S = 0.01
HOUR_S = 3600.0


class Work:
    """Counts how often it was begun; ends when it is let to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.error = error
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self) -> None:
        self.begun += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def jobs() -> Jobs:
    alerts = AlertRepeater(lambda: 0)
    return Jobs(Failures(alerts), alerts, look_s=LOOK_S)


@contextmanager
def at_work(jobs: Jobs, heard: list[str] | None = None) -> Iterator[None]:
    running = asyncio.ensure_future(jobs.run(lambda: heard.append("jumped") if heard is not None else None))
    try:
        yield
    finally:
        running.cancel()


async def test_each_is_begun_at_once_and_again_at_its_own_pace(jobs: Jobs) -> None:
    often, seldom = Work(), Work()
    jobs.every(LOOK_S, "often", often)
    jobs.every(HOUR_S, "seldom", seldom)
    with at_work(jobs):
        await until(lambda: often.begun >= 5)
    assert seldom.begun == 1


async def test_one_that_has_not_ended_is_not_begun_again_and_holds_up_no_other(jobs: Jobs) -> None:
    slow, other = Work(), Work()
    slow.may_end.clear()
    jobs.every(LOOK_S, "slow", slow)
    jobs.every(LOOK_S, "other", other)
    with at_work(jobs):
        await until(lambda: other.begun >= 3)
        assert slow.begun == 1
        (task,) = jobs.under_way("slow")
        slow.may_end.set()
        await until(lambda: slow.begun >= 2)
        assert task.done()


async def test_one_that_fails_is_told_and_goes_on(jobs: Jobs) -> None:
    failing, other = Work(OSError("no more")), Work()
    jobs.every(LOOK_S, "failing", failing)
    jobs.every(LOOK_S, "other", other)
    with structlog.testing.capture_logs() as told, at_work(jobs):
        await until(lambda: failing.begun >= 3 and other.begun >= 3)
    assert {(item["event"], item["what"]) for item in told} == {("cycle_failed", "failing")}


async def test_a_wall_clock_that_jumps_makes_all_of_them_due(jobs: Jobs) -> None:
    seldom, heard = Work(), list[str]()
    with time_machine.travel(datetime.now(UTC), tick=True) as wall_clock:
        jobs.every(HOUR_S, "seldom", seldom)
        with structlog.testing.capture_logs() as told, at_work(jobs, heard):
            await until(lambda: seldom.begun == 1)
            wall_clock.shift(timedelta(seconds=-HOUR_S))
            await until(lambda: seldom.begun == 2)
    assert heard == ["jumped"]
    assert [item["event"] for item in told] == ["clock_jumped"]
