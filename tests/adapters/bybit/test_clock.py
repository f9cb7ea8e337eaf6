from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.adapters.bybit import ExchangeClock
from ltv_guard.core.model.errors import ExchangeBanned, ExchangeUnavailable

EXCHANGE_MS = 1_700_000_000_000


class World:
    """Injected time: a monotonic and a wall clock, and an exchange whose clock is its own."""

    def __init__(self) -> None:
        self.monotonic_s = 5000.0
        self.wall_s = EXCHANGE_MS / 1000
        self.ahead_ms = 0
        self.trips_ms = [40.0]
        self.lies_ms: list[int] = []
        self.fails: list[Exception | None] = []
        self.asked = 0

    def clock(self) -> ExchangeClock:
        return ExchangeClock(monotonic=lambda: self.monotonic_s, wall=lambda: self.wall_s)

    def pass_(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds

    @property
    def exchange_ms(self) -> int:
        return int(EXCHANGE_MS + (self.monotonic_s - 5000.0) * 1000 + self.ahead_ms)

    async def fetch(self) -> int:
        n = self.asked
        self.asked += 1
        if n < len(self.fails) and (failure := self.fails[n]) is not None:
            raise failure
        trip_s = self.trips_ms[n % len(self.trips_ms)] / 1000
        self.pass_(trip_s / 2)
        told = self.exchange_ms + (self.lies_ms[n] if n < len(self.lies_ms) else 0)
        self.pass_(trip_s / 2)
        return told


def off_by(world: World, clock: ExchangeClock) -> int:
    return clock.now().exchange_ms - world.exchange_ms


async def test_before_a_measurement_it_is_the_wall_clock() -> None:
    world = World()
    clock = world.clock()
    assert clock.now().exchange_ms == EXCHANGE_MS
    assert clock.now().monotonic_ms == 5_000_000
    assert (clock.is_trusted, clock.wall_skew_ms) == (False, 0)


async def test_after_a_measurement_the_wall_clock_no_longer_matters() -> None:
    world = World()
    world.ahead_ms = -90_000
    clock = world.clock()
    await clock.measure(world.fetch)
    assert abs(off_by(world, clock)) <= 1
    assert abs(clock.wall_skew_ms + 90_000) <= 1
    world.wall_s += 3600
    assert abs(off_by(world, clock)) <= 1
    assert abs(clock.wall_skew_ms + 3_690_000) <= 1
    world.pass_(10)
    assert abs(off_by(world, clock)) <= 1


async def test_the_quickest_answer_counts() -> None:
    world = World()
    world.trips_ms = [900, 20, 700, 30, 800]
    clock = world.clock()
    assert (await clock.measure(world.fetch)).round_trip_ms in {19, 20}
    assert abs(off_by(world, clock)) <= 1


@pytest.mark.parametrize("lie_ms", [90_000, -90_000, 3_000, -3_000, 10**12])
@pytest.mark.parametrize("place", range(5))
async def test_one_wild_answer_does_not_move_it(lie_ms: int, place: int) -> None:
    world = World()
    world.trips_ms = [40, 39, 38, 37, 36]
    clock = world.clock()
    for _ in range(2):  # at the first measurement, and at a later one
        world.asked = 0
        world.lies_ms = [lie_ms if n == place else 0 for n in range(5)]
        assert (await clock.measure(world.fetch)).believed
        assert abs(off_by(world, clock)) <= 1


async def test_a_leap_that_all_answers_agree_on_is_believed() -> None:
    world = World()
    clock = world.clock()
    await clock.measure(world.fetch)
    world.ahead_ms = 30_000  # the machine was suspended: its monotonic clock stood still
    clock.doubt()
    measured = await clock.measure(world.fetch)
    assert measured.believed
    assert abs(measured.moved_ms - 30_000) <= 1
    assert abs(off_by(world, clock)) <= 1
    assert clock.is_trusted


async def test_a_leap_that_answers_disagree_on_is_not_believed() -> None:
    world = World()
    clock = world.clock()
    await clock.measure(world.fetch)
    world.asked, world.lies_ms = 0, [90_000, 90_000, 90_000, 0, 0]
    assert not (await clock.measure(world.fetch)).believed
    assert abs(off_by(world, clock)) <= 1


async def test_answers_that_all_differ_are_never_believed() -> None:
    world = World()
    world.lies_ms = [0, 5000, 10_000, 15_000, 20_000]
    clock = world.clock()
    assert not (await clock.measure(world.fetch)).believed
    assert not clock.is_trusted
    world.asked = 0
    with pytest.raises(ExchangeUnavailable, match="disagree"):
        await clock.ensure_trusted(world.fetch)


async def test_two_lost_answers_are_borne_and_a_third_is_not() -> None:
    world = World()
    clock = world.clock()
    lost = ExchangeUnavailable("no answer")
    world.fails = [lost, None, lost]
    assert (await clock.measure(world.fetch)).believed
    world.asked, world.fails = 0, [lost, None, lost, lost]
    with pytest.raises(ExchangeUnavailable, match="no answer"):
        await clock.measure(world.fetch)
    assert world.asked == 4


async def test_a_ban_ends_the_measurement_at_once() -> None:
    world = World()
    world.fails = [ExchangeBanned("403", retry_in_s=600)]
    with pytest.raises(ExchangeBanned):
        await world.clock().measure(world.fetch)
    assert world.asked == 1


async def test_a_doubted_clock_is_measured_once_and_then_trusted() -> None:
    world = World()
    clock = world.clock()
    for _ in range(2):
        await clock.ensure_trusted(world.fetch)
    assert world.asked == 5
    clock.doubt()
    assert not clock.is_trusted
    await clock.ensure_trusted(world.fetch)
    assert world.asked == 10


async def test_a_clock_that_is_trusted_is_waited_for_by_nobody_while_it_is_measured_again() -> None:
    world = World()
    clock = world.clock()
    await clock.ensure_trusted(world.fetch)

    async def hang() -> int:
        await asyncio.Event().wait()
        return 0

    measuring = asyncio.create_task(clock.measure(hang))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await clock.ensure_trusted(world.fetch)
    measuring.cancel()
    assert world.asked == 5


@given(
    st.lists(st.floats(1, 3000), min_size=5, max_size=5),
    st.integers(-(10**7), 10**7),
)
async def test_it_is_never_off_by_more_than_half_the_quickest_round_trip(
    trips: list[float], ahead_ms: int
) -> None:
    world = World()
    world.trips_ms, world.ahead_ms = trips, ahead_ms
    clock = world.clock()
    await clock.measure(world.fetch)
    assert abs(off_by(world, clock)) <= min(trips) / 2 + 2


@pytest.mark.parametrize("answers", ["none", "that disagree"])
async def test_those_who_wait_for_a_measurement_that_fails_do_not_measure_one_after_the_other(
    answers: str,
) -> None:
    world, asked = World(), asyncio.Event()
    world.fails = [ExchangeUnavailable("no answer in time")] * 3 if answers == "none" else []
    world.lies_ms = [0, 10_000, 20_000, 30_000, 40_000]
    clock = world.clock()

    async def fetch() -> int:
        await asked.wait()
        return await world.fetch()

    waiting = [asyncio.create_task(clock.ensure_trusted(fetch)) for _ in range(4)]
    await asyncio.sleep(0)
    asked.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in told] == [ExchangeUnavailable] * 4
    assert world.asked == (3 if answers == "none" else 5)
    await clock.ensure_trusted(world.fetch)  # whoever comes later measures
    assert clock.is_trusted


async def test_whoever_waits_for_one_that_gives_up_measures_in_its_place() -> None:
    world, never = World(), asyncio.Event()
    world.fails = [ExchangeUnavailable("no answer in time")] * 3
    clock = world.clock()
    with pytest.raises(ExchangeUnavailable):
        await clock.ensure_trusted(world.fetch)

    async def hang() -> int:
        await never.wait()
        return 0

    gives_up = asyncio.create_task(clock.ensure_trusted(hang))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(clock.ensure_trusted(world.fetch))
    await asyncio.sleep(0)
    gives_up.cancel()
    await waiting
    assert clock.is_trusted


async def test_it_sleeps_as_it_was_told() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    ported: Callable[..., ExchangeClock] = ExchangeClock
    await ported(sleep=sleep).sleep(1.5)
    assert slept == [1.5]


def test_what_is_measured_in_less_than_a_ms_is_not_cut() -> None:
    world = World()
    world.pass_(0.0625)
    clock = world.clock()
    assert (clock.now().monotonic_ms, clock.monotonic_ms()) == (5_000_062, 5_000_062.5)
