"""The send path under attack: faults, crashes, clocks, the user's own hand and liquidations, in any order.

Only collateral is moved here: transfers and repayments have a machine of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import POLICY, World, a_guard, a_world, with_limits
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from send_path import COARSE, REPLICAS, TO_POOL, WRITES, Life, Weather, events, odd_events

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.state.intent_book import SETTLING_DOWN_MS

ANSWERS = (
    *("ok", "ok", "lost_answer", "lost_request", "refused", "not_sent"),
    *("late:500", "late:3000", "late:4900", "late:5900"),
)
WEATHER = st.builds(
    Weather,
    answers=st.lists(st.sampled_from(ANSWERS), max_size=2).map(tuple),
    answers_to=st.one_of(st.just({}), TO_POOL),
    stale_ms=st.sampled_from([0, 0, 2_000, 5_000]),
    old_ltv_ms=st.sampled_from([0, 0, 2_000, 5_000]),
    row_lag_ms=st.sampled_from([0, 0, 1_000, 4_500]),
    down=st.sampled_from([(), (), (), ("history_down",), ("prices_down",), ("orders_down",)]),
    crash=st.sampled_from(["", "", "", "", "before_send", "after_send", *WRITES]),
    crossed=st.sampled_from([-1, -1, 0, 2, 5, 12, 30]),
)

# Later pages fail, and those of their loans that are read by their ids.
PAGES_DOWN = st.sampled_from(
    [
        *[{}] * 4,
        *({"pages_up": up, "single_down": down} for up in (1, 2) for down in (False, True)),
        {"single_down": True},
    ]
)

ODD_WEATHER = st.builds(replace, WEATHER, replica=REPLICAS)
WEATHER_OF_PAGES = st.builds(replace, WEATHER, more=PAGES_DOWN)
ODD_WEATHER_OF_PAGES = st.builds(replace, ODD_WEATHER, more=PAGES_DOWN)
PLENTY = "100000"  # BTC: prices may fall two dozen times, and each need can be met


class SendPath(events(WEATHER)):  # type: ignore[misc]
    @initialize(first=st.sampled_from(["0.30", "0.80"]), second=st.sampled_from(["0.35", "0.70"]))
    def begin(self, first: str, second: str) -> None:
        self.begin_with(a_world(first, pool=second, wallet="50"))


class OddPath(odd_events(ODD_WEATHER)):  # type: ignore[misc]
    """And: old replicas, coarse coins under small caps, a history that fails, a database that goes back."""

    @initialize(
        first=st.sampled_from(["0.30", "0.80"]),
        second=st.sampled_from(["0.35", "0.70"]),
        accuracy=st.sampled_from([8, 8, 8, 2, 0]),
    )
    def begin(self, first: str, second: str, accuracy: int) -> None:
        self.accuracy = accuracy
        if accuracy == 8:
            self.begin_with(a_world(first, pool=second, wallet=PLENTY))
        else:
            self.scale, self.a_coin_at_a_time = COARSE, True
            self.begin_with(a_world(first, pool=second, wallet=PLENTY, held=str(COARSE), accuracy=accuracy))

    def a_guard(self) -> Guard:
        small = with_limits(POLICY, max_add={"BTC": Decimal(1)})
        return a_guard(
            self.world,
            self.journal,
            policy=POLICY if self.accuracy == 8 else small,
            continuous=not self.went_back,
            ids=self.new_id,
        )


def undid_exactly(life: Life, key: LoanKey) -> bool:
    """Whether a loan holds what it held before one of ours of the last ten minutes."""
    return any(
        item.key == key
        and item.intent_id in life.world.applied
        and item.coins_before == life.world.loans[key].collateral
        and life.world.now().exchange_ms - item.updated_at_ms < SETTLING_DOWN_MS
        for item in life.journal.snapshot().intents.values()
    )


def listed(world: World, *, turned: bool) -> World:
    """With that which events befall on the last page."""
    if turned:
        world.loans = dict(reversed(world.loans.items()))
    return world


class InTurns(events(WEATHER_OF_PAGES)):  # type: ignore[misc]
    """And: three orders, of which one at a time may be adjusted, and each is read again for its turn.

    Of pages that take their time, one that shows a breach is acted on before the others have come.
    """

    @initialize(
        ltvs=st.sampled_from([("0.80", "0.78", "0.76"), ("0.30", "0.74", "0.80")]),
        pages=st.booleans(),
        turned=st.booleans(),
    )
    def begin(self, ltvs: tuple[str, ...], pages: bool, turned: bool) -> None:  # noqa: FBT001 - drawn
        self.begin_with(listed(a_world(*ltvs, pool="0.70", wallet=PLENTY), turned=turned))
        if pages:
            self.world.rows_per_page, self.world.page_takes_ms = 1, 300
        self.write_in_turns(1_100)

    def is_taken_for_old(self, key: LoanKey) -> bool:
        """Also where a hand undid ours exactly: the coins of before may be a replica's, for ten minutes."""
        return super().is_taken_for_old(key) or undid_exactly(self, key)

    def funded(self) -> Collection[LoanKey]:
        return self.world.loans


class OddPages(odd_events(ODD_WEATHER_OF_PAGES)):  # type: ignore[misc]
    """And: an odd exchange whose list comes page by page, and slowly."""

    @initialize(
        ltvs=st.sampled_from([("0.80", "0.78", "0.76"), ("0.30", "0.74", "0.80"), ("0.60", "0.70", "0.74")]),
        page_takes_ms=st.sampled_from([50, 300, 1_500]),
        turned=st.booleans(),
    )
    def begin(self, ltvs: tuple[str, ...], page_takes_ms: int, turned: bool) -> None:  # noqa: FBT001 - drawn
        self.begin_with(listed(a_world(*ltvs, pool="0.70", wallet=PLENTY), turned=turned))
        self.world.rows_per_page, self.world.page_takes_ms = 1, page_takes_ms
        self.write_in_turns(1_100)

    def a_guard(self) -> Guard:
        return a_guard(self.world, self.journal, continuous=not self.went_back, ids=self.new_id)

    def is_taken_for_old(self, key: LoanKey) -> bool:
        return super().is_taken_for_old(key) or undid_exactly(self, key)

    def funded(self) -> Collection[LoanKey]:
        return self.world.loans


TestInTurns = InTurns.TestCase
TestInTurns.settings = settings(max_examples=10, stateful_step_count=12)

TestSendPath = SendPath.TestCase
TestSendPath.settings = settings(max_examples=15, stateful_step_count=12)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
class TestManyLives(SendPath.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same for longer."""

    settings = settings(max_examples=300, stateful_step_count=12)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
class TestManyLivesInTurns(InTurns.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same in turns."""

    settings = settings(max_examples=300, stateful_step_count=12)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestNight(OddPath.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same at random, for as long as a night allows."""

    settings = settings(max_examples=2_000, stateful_step_count=12, derandomize=False)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestNightOfPages(OddPages.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same of a list that comes page by page."""

    settings = settings(max_examples=500, stateful_step_count=12, derandomize=False)
