"""A defect is told with its traceback once; one that ends every cycle becomes an alarm."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from e2e_world import Event, until

from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.duties import Duties
from ltv_guard.service.scheduler import Daemon


class Defective:
    """A guard whose first cycles fail."""

    def __init__(self, failing: int) -> None:
        self.cycles = 0
        self.alerts = AlertRepeater(lambda: 0)
        self._failing = failing

    async def cycle(self) -> CycleResult:
        self.cycles += 1
        if self.cycles <= self._failing:
            raise KeyError("collateralAmount")
        return CycleResult()

    async def drain(self) -> None:
        pass


async def nothing(*_: object) -> Any:  # noqa: ANN401 - a clock's skew, or nothing
    return 0


async def run(guard: Defective, *, cycles: int) -> None:
    daemon = Daemon(
        Duties(
            guards={"main": cast("Guard", guard)},
            poll_s=0.02,
            settle_s=0.02,
            shutdown_s=1,
            measure_clock=nothing,
            heartbeat=nothing,
        )
    )
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(lambda: guard.cycles >= cycles)
    stop.set()
    await running


async def test_a_cycle_that_fails_once_is_an_error_with_its_traceback(events: list[Event]) -> None:
    await run(Defective(failing=1), cycles=3)
    (told,) = [event for event in events if event["event"] == "cycle_failed"]
    assert (told["level"], told["account"]) == ("error", "main")
    assert isinstance(told["exc_info"], KeyError)


async def test_one_that_fails_again_is_an_alarm_without_its_traceback(events: list[Event]) -> None:
    await run(Defective(failing=4), cycles=6)
    _, alarm = [event for event in events if event["event"] == "cycle_failed"]
    assert (alarm["level"], alarm["times"], alarm["account"]) == ("critical", 2, "main")
    assert "collateralAmount" in alarm["why"]
    assert "exc_info" not in alarm
    (over,) = [event for event in events if event["event"] == "cycle_works_again"]
    assert over["times"] == 4
