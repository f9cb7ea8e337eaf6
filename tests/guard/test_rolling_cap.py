"""`wallet.max_add_24h` over days of virtual time: whatever happens, no more than that in any 24 hours."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal

import pytest
import structlog
from exchange_model import POLICY, POOL, Crash, World, a_guard, a_world, key_of, with_limits
from hypothesis import given, settings
from hypothesis import strategies as st

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.model.policy import WalletRules
from ltv_guard.guard.cycle import Guard

D = Decimal
ONE, TWO = key_of(1), key_of(2)
CAP = D("0.1")
CAPPED = WalletRules(max_add_24h={"BTC": CAP})
NO_EMERGENCY = with_limits(POLICY, emergency_ltv=D("0.86"))
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
DAY = 24 * HOUR


class Process:
    """The guard, again and again a new process on what the journal holds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.journal = MemoryJournal()
        self.names = itertools.cycle(["main", "renamed", "renamed_again"])
        self.ids = (f"i{number}" for number in itertools.count(1))
        self.guard = self._start()

    def _start(self) -> Guard:
        return a_guard(
            self.world,
            self.journal,
            policy=NO_EMERGENCY,
            wallet=CAPPED,
            account=next(self.names),
            ids=lambda: next(self.ids),
        )

    def restart(self) -> None:
        """Under another name: the cap belongs to the exchange's user, not to a line of the configuration."""
        self.journal = MemoryJournal.restored(self.journal.snapshot())
        self.guard = self._start()

    async def live(self, ms: int, every_ms: int = SECOND) -> None:
        for _ in range(ms // every_ms):
            await self.guard.cycle()
            self.world.advance(every_ms)

    def states(self) -> list[State]:
        return [item.state for item in self.journal.snapshot().intents.values()]


def added(world: World) -> Decimal:
    return sum((row.shown.amount for row in world.rows if row.shown.direction is Direction.ADD), D(0))


def most_in_a_day(world: World) -> Decimal:
    """Coins that moved in the fullest 24 hours, by the exchange's own rows."""
    rows = [row.shown for row in world.rows if row.shown.direction is Direction.ADD]
    return max(
        (sum((row.amount for row in rows if 0 <= row.at_ms - first.at_ms < DAY), D(0)) for first in rows),
        default=D(0),
    )


async def test_up_to_the_cap_and_no_more_and_free_again_a_day_later() -> None:
    world = a_world("0.78")
    process = Process(world)
    await process.live(MINUTE)
    assert CAP - D("0.001") < added(world) <= CAP
    await process.live(DAY - 2 * MINUTE, every_ms=10 * MINUTE)
    assert added(world) <= CAP
    await process.live(12 * MINUTE)
    assert D("0.199") < added(world) <= 2 * CAP
    assert world.ltv(ONE) <= D("0.6501")
    assert most_in_a_day(world) <= CAP


async def test_a_restart_under_another_name_frees_nothing() -> None:
    world = a_world("0.78")
    process = Process(world)
    await process.live(MINUTE)
    for hours in (0, 1, 12, 10):
        await process.live(hours * HOUR, every_ms=HOUR)
        process.restart()
        await process.live(MINUTE)
        assert CAP - D("0.001") < added(world) <= CAP
    await process.live(HOUR, every_ms=HOUR)
    process.restart()
    await process.live(MINUTE)
    assert added(world) > CAP
    assert most_in_a_day(world) <= CAP


async def test_the_day_rolls_each_add_comes_free_by_itself() -> None:
    """0.06 at first, for there is no more; 0.04 half a day later; then each a day after it was made."""
    world = a_world("0.84", wallet="0.06")
    process = Process(world)
    await process.live(12 * HOUR, every_ms=10 * MINUTE)
    world.wallet["BTC"] = D(10)
    await process.live(36 * HOUR, every_ms=5 * MINUTE)
    times = [row.shown.at_ms - world.rows[0].shown.at_ms for row in world.rows]
    assert times[0] < 12 * HOUR <= times[1] < 13 * HOUR < DAY <= times[2] < 25 * HOUR
    assert 36 * HOUR <= times[3] < 37 * HOUR
    assert most_in_a_day(world) <= CAP
    assert world.ltv(ONE) > D("0.69")


@pytest.mark.parametrize("answer", ["lost_request", "lost_answer", "late:4900"])
async def test_what_may_have_been_added_counts(answer: str) -> None:
    """The first loan takes the whole cap, and nobody knows whether it did: the second has to wait."""
    world = a_world("0.76", "0.74")
    world.answers, world.history_down = [answer], True
    process = Process(world)
    await process.live(5 * SECOND)
    world.price *= D("0.98")  # the second: 0.7551
    await process.live(10 * MINUTE, every_ms=10 * SECOND)
    process.restart()
    await process.live(10 * MINUTE, every_ms=10 * SECOND)
    assert process.states() == [State.UNKNOWN]
    assert len(world.sent) == 1
    world.history_down = False
    await process.live(10 * MINUTE, every_ms=5 * SECOND)
    assert process.states()[0] is (State.ABSENT if answer == "lost_request" else State.CONFIRMED)
    assert CAP - D("0.001") < added(world) <= CAP
    assert most_in_a_day(world) <= CAP


@pytest.mark.slow
async def test_the_day_begins_when_it_landed_at_the_latest() -> None:
    """Not when it was decided on: the exchange carried it out 4.9 seconds later."""
    world = a_world("0.78")
    world.answers = ["late:4900"]
    process = Process(world)
    await process.live(DAY - MINUTE, every_ms=MINUTE)
    await process.live(3 * MINUTE)
    first, second = (row.shown for row in world.rows)
    assert second.at_ms - first.at_ms >= DAY


async def test_an_emergency_is_not_held_back_and_counts_for_the_others() -> None:
    world = a_world("0.87", "0.74")
    process = Process(world)
    await process.live(MINUTE)
    assert world.ltv(ONE) <= D("0.65")
    taken = added(world)
    assert taken > CAP
    world.price *= D("0.98")
    await process.live(DAY - 5 * MINUTE, every_ms=10 * MINUTE)
    assert added(world) == taken
    await process.live(20 * MINUTE, every_ms=MINUTE)
    assert CAP - D("0.001") < added(world) - taken <= CAP


ANSWERS = st.sampled_from(["ok", "ok", "lost_answer", "lost_request", "late:4900", "not_sent", "refused"])
EVENTS = st.lists(
    st.tuples(
        st.decimals("0.60", "0.85", places=3),  # the worst LTV: never an emergency, in which no cap holds
        st.lists(ANSWERS, max_size=3),
        st.sampled_from(["", "", "before_send", "after_send"]),
        st.booleans(),
        st.sampled_from([MINUTE, HOUR, 5 * HOUR, 23 * HOUR]),
    ),
    min_size=4,
    max_size=12,
)
Happening = tuple[Decimal, list[str], str, bool, int]


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(EVENTS)
@settings(max_examples=60)
def test_whatever_happens_no_more_than_the_cap_moves_in_any_day(happenings: list[Happening]) -> None:
    world = a_world("0.72", "0.70", pool="0.71")
    with structlog.testing.capture_logs():
        asyncio.run(_live_through(world, happenings))
    assert most_in_a_day(world) <= CAP


async def _live_through(world: World, happenings: list[Happening]) -> None:
    process = Process(world)
    for worst, answers, crash, restarts, ms in happenings:
        world.price *= max(world.ltv(key) for key in (ONE, TWO, POOL)) / worst
        world.answers, world.crash_at = list(answers), crash or None
        try:
            await process.live(20 * SECOND, every_ms=2 * SECOND)
            await process.live(ms, every_ms=max(20 * SECOND, ms // 10))
        except Crash:
            process.restart()
        if restarts:
            process.restart()
