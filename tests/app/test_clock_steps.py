"""The wall clock of this machine is set, back and forward, under a running daemon: it goes on all the same.

time-machine sets every wall clock of this process; the monotonic one goes on. The exchange keeps its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import time_machine
from e2e_world import NEEDY, Event, World, scenario_of

from ltv_guard.service.every import Every

if TYPE_CHECKING:
    from conftest import OpenWorld, Timings

HOUR_S = 3600.0
STEPS = pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S], ids=["back", "forward"])
LATE_S = 5.0  # what a step may cost at most: a look for steps, and a busy machine


class WallClock:
    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller

    def step(self, seconds: float) -> None:
        self._traveller.shift(timedelta(seconds=seconds))


@pytest.fixture
def wall_clock() -> Iterator[WallClock]:
    with time_machine.travel(datetime.now(UTC), tick=True) as traveller:
        yield WallClock(traveller)


def with_a_clock_of_its_own(world: World) -> None:
    """Otherwise the exchange, in this very process, would be set as well."""
    began = time.time() - time.monotonic()
    world.exchange.clock._wall = lambda: began + time.monotonic()


def cycles(world: World) -> int:
    return len(world.heard("cycle_finished"))


async def goes_on(world: World, count: int = 5) -> None:
    seen = cycles(world)
    await world.until(lambda: cycles(world) > seen + count, within_s=LATE_S + count)


@STEPS
async def test_polling_goes_on_and_the_step_is_told(
    open_a_world: OpenWorld, wall_clock: WallClock, step_s: float
) -> None:
    async with open_a_world() as world:
        with_a_clock_of_its_own(world)
        async with world.guarded():
            await goes_on(world)
            wall_clock.step(step_s)
            await goes_on(world)
            await world.until(lambda: bool(world.heard("clock_jumped")))
            await world.until(lambda: bool(world.heard("clock_skewed")))
            world.price(NEEDY["add"])
            await world.until_settled_at_target()
        (jump,) = world.heard("clock_jumped")
        assert abs(jump["seconds"] - step_s) <= 1
        assert abs(world.heard("clock_skewed")[0]["skew_ms"] + step_s * 1000) < 1000
        await world.judge()


@pytest.mark.slow
async def test_there_and_back_again(open_a_world: OpenWorld, wall_clock: WallClock) -> None:
    async with open_a_world() as world:
        with_a_clock_of_its_own(world)
        async with world.guarded():
            for step_s in (-HOUR_S, HOUR_S, HOUR_S, -HOUR_S):
                wall_clock.step(step_s)
                await goes_on(world)


async def test_a_machine_that_learns_the_time_late_is_not_held_up_by_the_years(
    open_a_world: OpenWorld, wall_clock: WallClock
) -> None:
    async with open_a_world() as world:
        with_a_clock_of_its_own(world)
        wall_clock.step(-20 * 365 * 24 * HOUR_S)
        async with world.guarded():
            await goes_on(world)
            wall_clock.step(20 * 365 * 24 * HOUR_S)
            await goes_on(world)


def test_what_was_missed_is_skipped_at_once() -> None:
    every, now = Every(0.1, lambda: 0.0), datetime(2026, 11, 22, tzinfo=UTC)
    assert every.get_next_fire_time(None, now) == now
    assert every.get_next_fire_time(now, now) == now + timedelta(seconds=0.1)
    years_later = now + timedelta(days=9999)
    assert every.get_next_fire_time(now, years_later) == years_later + timedelta(seconds=0.1)


@pytest.mark.parametrize(
    ("pace_s", "at_s", "next_s"),
    [
        (1, 7.0, 1.0),
        (1, 7.3, 0.7),
        (1, 7.001, 0.999),
        (1, 6.999, 1.001),
        (300, 7.3, 299.7),
        (300, 7.9, 300.1),
    ],
)
def test_a_job_is_due_with_the_other_looks_of_a_second(pace_s: float, at_s: float, next_s: float) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    due = Every(pace_s, lambda: at_s).get_next_fire_time(now, now)
    assert (due - now).total_seconds() == pytest.approx(next_s, abs=1e-5)


@STEPS
async def test_an_unknown_adjustment_keeps_its_window(
    open_a_world: OpenWorld, wall_clock: WallClock, step_s: float
) -> None:
    """Forward, it is not given up early and made twice; back, it does not wait for an hour."""
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        with_a_clock_of_its_own(world)
        world.fault("apply_late", endpoint="adjust", delay_s="0.9")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            sent_at = time.monotonic()
            wall_clock.step(step_s)
            await world.until_settled_at_target(within_s=15)
            assert time.monotonic() - sent_at < 15
        assert list(await world.judge()) == ["confirmed"]


@STEPS
async def test_a_lost_adjustment_is_given_up_neither_early_nor_late(
    open_a_world: OpenWorld, wall_clock: WallClock, step_s: float
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        with_a_clock_of_its_own(world)
        world.fault("close_before", endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            lost_at = time.monotonic()
            wall_clock.step(step_s)
            await world.until(lambda: bool(world.heard("adjustment_absent")), within_s=15)
            waited = time.monotonic() - lost_at
            await world.until_settled_at_target()
        assert waited > 1.0 + 0.2 + 0.3 - 0.5  # window, margin and lag; the answer took its own time
        assert sorted(await world.judge()) == ["absent", "confirmed"]


@pytest.mark.slow
@STEPS
async def test_a_ban_keeps_its_time(
    open_a_world: OpenWorld, wall_clock: WallClock, step_s: float, timings: Timings
) -> None:
    timings.change(ban_ms=4_000)
    async with open_a_world() as world:
        with_a_clock_of_its_own(world)
        async with world.guarded():
            await goes_on(world)
            world.fault("http_error", endpoint="orders", status=403)
            await world.until(lambda: bool(world.heard("exchange_banned")))
            banned_at, asked = time.monotonic(), sum(world.exchange.requests.values())
            wall_clock.step(step_s)
            await world.until(lambda: sum(world.exchange.requests.values()) > asked, within_s=15)
            assert 3.9 < time.monotonic() - banned_at < 4.0 + LATE_S


@pytest.mark.slow
async def test_a_daily_cap_keeps_its_day(
    open_a_world: OpenWorld, wall_clock: WallClock, events: list[Event]
) -> None:
    capped = {"wallet": {"max_add_24h": {"BTC": "0.1"}}, "policy": {"limits": {"emergency_ltv": "0.9"}}}
    async with open_a_world(scenario_of(NEEDY["add"]), config=capped) as world:
        with_a_clock_of_its_own(world)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_confirmed")))
            wall_clock.step(25 * HOUR_S)
            await world.until(lambda: bool(world.heard("clock_jumped")))
            await goes_on(world, 10)
        added = sum((row.amount for row in world.effects()), Decimal(0))
        assert Decimal("0.099") < added <= Decimal("0.1"), json.dumps(events[-5:], default=str)
