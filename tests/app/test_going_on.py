"""What a cycle leaves behind: another one at once, where loans still wait for their turns; and no ballast."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from core_builders import account, facts, loan
from waits import until

from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.duties import Duties
from ltv_guard.service.scheduler import Daemon


@dataclass
class Guarded:
    """A guard whose first cycles come to `results`, the later ones to nothing."""

    results: list[CycleResult]
    cycles: int = 0
    alerts: AlertRepeater = field(default_factory=lambda: AlertRepeater(lambda: 0))

    async def cycle(self) -> CycleResult:
        self.cycles += 1
        return self.results.pop(0) if self.results else CycleResult()

    async def drain(self) -> None:
        """Nothing is under way."""


async def nothing(*_: object) -> int:
    return 0


def daemon_of(guard: Any) -> Daemon:  # noqa: ANN401 - what is asked of a guard
    return Daemon(
        Duties(
            guards={"main": guard},
            poll_s=3600,
            settle_s=3600,
            shutdown_s=1,
            measure_clock=nothing,
            heartbeat=nothing,  # type: ignore[arg-type]
        )
    )


@pytest.mark.parametrize(("goes_on", "cycles"), [(True, 3), (False, 1)])
async def test_loans_that_still_wait_for_their_turns_wait_for_no_pace(*, goes_on: bool, cycles: int) -> None:
    guard: Any = Guarded([CycleResult(goes_on=goes_on), CycleResult(goes_on=goes_on)])
    daemon = daemon_of(guard)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(lambda: guard.cycles >= cycles)
    await asyncio.sleep(0.05)
    stop.set()
    await running
    assert guard.cycles == cycles


async def test_what_was_helped_in_haste_is_watched_anew_before_the_next_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = daemon_of(Guarded([CycleResult(in_haste=True, adjusted={loan().key: loan()})]))
    watched: list[bool] = []
    monkeypatch.setattr(daemon._watch, "saw", lambda _name, result: watched.append(result.in_haste))
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(lambda: len(watched) == 2)
    stop.set()
    await running
    assert watched == [True, False]


async def test_what_a_cycle_came_to_is_kept_without_the_facts_of_each_loan() -> None:
    """Of a thousand loans they are 1 MB, held beside those of the next cycle."""
    shared = account(facts(), due={"USDT": Decimal(5)})
    heard: list[CycleResult] = []
    daemon = daemon_of(Guarded([CycleResult(loans=1, account=shared)]))
    daemon.hear = lambda _name, result, _seconds: heard.append(result)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(lambda: bool(heard))
    stop.set()
    await running
    (kept,) = heard
    assert kept.loans == 1
    assert kept.account is not None
    assert (kept.account.loans, kept.account.due) == ((), {"USDT": Decimal(5)})
