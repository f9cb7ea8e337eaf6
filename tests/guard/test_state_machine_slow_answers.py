"""The send path where answers are slow and several writes under way: none is lost, doubled, or overspent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import cast

import pytest
from exchange_model import POOL, Crash, a_guard, a_world, key_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from send_path import WRITES, Life, Stretch, Weather, events
from slow_lives import UNHURRIED, UnhurriedWorld

from ltv_guard.core.model.history import RowStatus
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, LoanKey
from ltv_guard.guard.cycle import Guard

ANSWERS = (
    *("ok", "ok", "ok", "lost_answer", "lost_request", "refused", "refused_coin", "not_sent"),
    *("late:500", "late:3000", "late:4900"),
)
READS_MS = (1_500, 3_000)
PACE = st.builds(
    dict,
    read_ms=st.sampled_from([50, 50, 900, *READS_MS]),
    way_ms=st.sampled_from([20, 500, 1_500]),
    back_ms=st.sampled_from([30, 1_200, 2_400, 3_600]),
)
WEATHER = st.builds(
    Weather,
    answers=st.lists(st.sampled_from(ANSWERS), max_size=5).map(tuple),
    row_lag_ms=st.sampled_from([0, 0, 1_000, 4_500]),
    down=st.sampled_from([(), (), (), ("history_down",), ("prices_down",), ("orders_down",)]),
    crash=st.sampled_from(["", "", "", "", "before_send", "after_send", *WRITES]),
    crossed=st.sampled_from([-1, -1, 0, 30, 200]),
    more=PACE,
)
STALE = st.builds(
    Weather,
    answers=st.lists(st.sampled_from(ANSWERS), max_size=5).map(tuple),
    stale_ms=st.sampled_from([0, 2_000, 5_000]),
    old_ltv_ms=st.sampled_from([0, 2_000, 5_000]),
    row_lag_ms=st.sampled_from([0, 1_000, 4_500]),
    crash=st.sampled_from(["", "", "before_send", "after_send", *WRITES]),
    more=PACE,
)
ORDERS = 6
STRETCHES = st.tuples(WEATHER, st.sampled_from([500, 2_000]), st.integers(1, 6))
SEEN: Counter[int] = Counter()  # lives, by how many writes were unanswered at once


class Unanswered(Life):
    """Six orders of one coin: prices that bring one to its trigger bring most of them there."""

    went_by_an_older_wallet = False

    world: UnhurriedWorld

    def begin_beside(self, wallet: str) -> None:
        plain = a_world(*["0.70", "0.705", "0.71", "0.695", "0.72", "0.69"], pool="0.70", wallet=wallet)
        world = UnhurriedWorld(loans=plain.loans, wallet=plain.wallet, unified=plain.unified)
        self.loop = world.loop
        self.begin_with(world)
        self.world.move(key_of(1), Direction.ADD, Decimal("0.01"), None)  # what directions mean is known
        self.cycle()

    def a_guard(self) -> Guard:
        return a_guard(self.world, self.journal, ids=self.new_id, kinds=UNHURRIED)

    def heal(self) -> None:
        super().heal()
        world = self.world
        world.read_ms, world.way_ms, world.back_ms = 50, 20, 30

    def cycle(self) -> None:
        if self.world.crash_at is not None:
            self.journal.on_write = self.crash_at_write("")
        super().cycle()
        assert not self.world.unanswered, "a cycle has ended before its answers came"
        self.check_funds()

    def crash_at_write(self, name: str) -> Callable[[str], None]:
        def crash(wanted: str) -> None:
            if wanted == name or self.world.is_dead:
                self.world.is_dead = True
                raise Crash

        return crash

    def restart(self, journal: object = None) -> None:
        super().restart()
        self.world.is_dead = False

    def check_funds(self) -> None:
        """Nothing was asked for that the wallet did not have, as long as that could be read in time."""
        self.went_by_an_older_wallet |= self.world.read_ms in READS_MS
        if self.went_by_an_older_wallet:
            return
        lacking = [intent for intent, why in self.world.refused if why == "refused_for_now"]
        assert not [item for item in lacking if item.direction is Direction.ADD], (lacking, self.world.wallet)

    def check_what_is_sent(self, intent: Intent) -> None:
        super().check_what_is_sent(intent)
        rows = [row.shown for row in self.world.rows if row.intent_id == intent.intent_id]
        assert all(row.status is not RowStatus.SUCCESS for row in rows), "applied twice"

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "world"):
                self.world.loop.close()
                SEEN[self.world.most] += 1


class SlowAnswers(Unanswered):
    """Without anybody's hand: what is not there, we have spent."""

    wallet = "100000"

    @initialize(
        wallet=st.sampled_from(["100000", "100000", "1.1", "0.4"]),
        rows_per_page=st.sampled_from([100, 100, 2]),
    )
    def begin(self, wallet: str, rows_per_page: int) -> None:
        self.wallet = wallet
        self.begin_beside(wallet)
        self.world.rows_per_page = rows_per_page

    @rule(stretch=STRETCHES)
    def nothing_happens(self, stretch: Stretch) -> None:
        self.live_through(stretch)

    @rule(
        number=st.integers(1, ORDERS),
        ltv=st.sampled_from(["0.30", "0.38", "0.74", "0.76", "0.79", "0.82", "0.90"]),
        stretch=STRETCHES,
    )
    def the_price_moves(self, number: int, ltv: str, stretch: Stretch) -> None:
        key = key_of(number)
        self.move_price(self.world.debt_usd(key) / (self.world.loans[key].collateral * Decimal(ltv)))
        self.live_through(stretch)

    @rule(
        numbers=st.sets(st.integers(1, ORDERS), min_size=2),
        ltv=st.sampled_from(["0.76", "0.80", "0.86"]),
        stretch=STRETCHES,
    )
    def several_borrow_more(self, numbers: set[int], ltv: str, stretch: Stretch) -> None:
        for number in numbers:
            loan = self.world.loans[key_of(number)]
            loan.debt = max(loan.debt, loan.collateral * self.world.price * Decimal(ltv))
        self.world.note()
        self.live_through(stretch)

    @rule(skew=st.integers(-500, 500), stretch=STRETCHES)
    def the_clock_is_measured_anew(self, skew: int, stretch: Stretch) -> None:
        self.world.skew_ms = skew
        self.live_through(stretch)

    def funded(self) -> Collection[LoanKey]:
        return self.world.loans if self.wallet == "100000" else ()


class AndHands(Unanswered, cast("type[Life]", events(STALE))):  # type: ignore[misc]
    """And: old facts, the user's own hand, parts that are liquidated."""

    @initialize()
    def begin(self) -> None:
        self.begin_beside("100000")

    def check_funds(self) -> None:
        """A hand may take what is not there any more."""

    def funded(self) -> Collection[LoanKey]:
        return (key_of(1), POOL)


TestSlowAnswers = SlowAnswers.TestCase
TestSlowAnswers.settings = settings(max_examples=10, stateful_step_count=8)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestManyLivesOfSlowAnswers(SlowAnswers.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same for longer."""

    settings = settings(max_examples=500, stateful_step_count=8, derandomize=False)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestManyLivesOfSlowAnswersAndHands(AndHands.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same beside hands."""

    settings = settings(max_examples=300, stateful_step_count=8, derandomize=False)
