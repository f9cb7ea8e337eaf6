"""The send path under attack: faults, crashes, clocks, the user's own hand and liquidations, in any order.

Two promises are held against the truth that the model keeps. Safety, at every send: the facts it was decided
on include every effect that we ever had on the loan (one rescue excepted), so nothing is done twice for one
need. Liveness, at the end: once the exchange answers again, every intent closes within a bounded time, and a
loan that has funds is protected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import structlog
from exchange_model import POOL, Crash, a_guard, a_world, key_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Direction, LoanKey

KEYS = (key_of(1), POOL)
ANSWERS = (
    *("ok", "ok", "lost_answer", "lost_request", "refused", "not_sent"),
    *("late:500", "late:3000", "late:4900", "late:5900"),
)
WRITES = ("plan", "mark_sent", "record", "write_episode")
BOUND_S = 180  # by then everything is closed
QUIET = {State.CONFIRMED, State.REJECTED, State.ABSENT, State.WITHDRAWN, State.AMBIGUOUS}


@dataclass(frozen=True)
class Weather:
    """How the exchange behaves for a stretch of time, and where the process dies in it."""

    answers: tuple[str, ...]
    stale_ms: int
    old_ltv_ms: int
    row_lag_ms: int
    down: tuple[str, ...]
    crash: str


WEATHER = st.builds(
    Weather,
    answers=st.lists(st.sampled_from(ANSWERS), max_size=2).map(tuple),
    stale_ms=st.sampled_from([0, 0, 2_000, 5_000]),
    old_ltv_ms=st.sampled_from([0, 0, 2_000, 5_000]),
    row_lag_ms=st.sampled_from([0, 0, 1_000, 4_500]),
    down=st.sampled_from([(), (), (), ("history_down",), ("prices_down",), ("orders_down",)]),
    crash=st.sampled_from(["", "", "", "", "before_send", "after_send", *WRITES]),
)
STRETCH = st.tuples(WEATHER, st.sampled_from([500, 1_000, 2_000]), st.integers(1, 15))
Stretch = tuple[Weather, int, int]


class SendPath(RuleBasedStateMachine):
    """One account with an order and a pool; the guard and its journal live through whatever the rules do.

    Every rule is an event, and the stretch of time after it.
    """

    @initialize(first=st.sampled_from(["0.30", "0.80"]), second=st.sampled_from(["0.35", "0.70"]))
    def begin(self, first: str, second: str) -> None:
        self.world = a_world(first, pool=second, wallet="50")
        self.world.on_sent = self.check_what_is_sent
        self.journal = MemoryJournal()
        self.guard = a_guard(self.world, self.journal)
        self.starts = 0
        self.rescued: set[str] = set()

    # What happens

    @rule(stretch=STRETCH)
    def nothing_happens(self, stretch: Stretch) -> None:
        self.live_through(stretch)

    @rule(
        key=st.sampled_from(KEYS),
        ltv=st.sampled_from(["0.30", "0.38", "0.60", "0.74", "0.76", "0.79", "0.82", "0.90"]),
        stretch=STRETCH,
    )
    def the_price_moves(self, key: LoanKey, ltv: str, stretch: Stretch) -> None:
        """To where this loan has that LTV."""
        loan = self.world.loans[key]
        price = loan.debt / (loan.collateral * Decimal(ltv))
        if Decimal(2_000) < price < Decimal(2_000_000):
            self.world.price = price
            self.world.note()
        self.live_through(stretch)

    @rule(skew=st.integers(-500, 500), stretch=STRETCH)
    def the_clock_is_measured_anew(self, skew: int, stretch: Stretch) -> None:
        self.world.skew_ms = skew
        self.live_through(stretch)

    @rule(
        key=st.sampled_from(KEYS),
        direction=st.sampled_from([Direction.ADD, Direction.REDUCE]),
        amount=st.sampled_from(["0.01", "0.1", "0.25", "all that we added last"]),
        stretch=STRETCH,
    )
    def the_user_adjusts_by_hand(
        self, key: LoanKey, direction: Direction, amount: str, stretch: Stretch
    ) -> None:
        added = [row.shown.amount for row in self.world.rows if row.intent_id and row.shown.key == key]
        if amount.startswith("0"):
            self.world.move(key, direction, Decimal(amount), None)
        elif added and direction is Direction.REDUCE:
            self.world.move(key, direction, added[-1], None)
        self.live_through(stretch)

    @rule(key=st.sampled_from(KEYS), share=st.sampled_from(["0.05", "0.3"]), stretch=STRETCH)
    def the_user_repays_a_part(self, key: LoanKey, share: str, stretch: Stretch) -> None:
        self.world.repay_part(key, Decimal(share))
        self.live_through(stretch)

    @rule(key=st.sampled_from(KEYS), share=st.sampled_from(["0.02", "0.1"]), stretch=STRETCH)
    def a_part_is_liquidated(self, key: LoanKey, share: str, stretch: Stretch) -> None:
        self.world.liquidate_part(key, Decimal(share))
        self.live_through(stretch)

    @rule(stretch=STRETCH)
    def it_crashes(self, stretch: Stretch) -> None:
        self.restart()
        self.live_through(stretch)

    def live_through(self, stretch: Stretch) -> None:
        weather, ms, count = stretch
        self.heal()
        world = self.world
        world.answers = list(weather.answers)
        world.stale_ms, world.old_ltv_ms = weather.stale_ms, weather.old_ltv_ms
        world.row_lag_ms = weather.row_lag_ms
        for name in weather.down:
            setattr(world, name, True)
        if weather.crash in WRITES:
            self.journal.on_write = self.crash_at_write(weather.crash)
        elif weather.crash:
            world.crash_at = weather.crash
        for _ in range(count):
            self.cycle()
            world.advance(ms)

    def crash_at_write(self, name: str) -> Callable[[str], None]:
        def crash(wanted: str) -> None:
            if wanted == name:
                self.journal.on_write = lambda _: None
                raise Crash

        return crash

    # What must hold

    def check_what_is_sent(self, intent: Intent) -> None:
        """Called at each send, before anything of it happens."""
        world = self.world
        assert sum(item.intent_id == intent.intent_id for item in world.sent) == 0, "signed twice"
        if intent.rescue_of is not None:
            assert intent.rescue_of not in self.rescued, "a second rescue"
            assert intent.direction is Direction.ADD
            self.rescued.add(intent.rescue_of)
            return
        held_up = [item.intent for item in world.pending if item.intent.key == intent.key]
        assert not held_up, "sent while an earlier one may still land"
        since = world.last_own_effect_ms(intent.key)
        views = world.views[intent.key]
        if since:
            # Views of the same ms may be from just before the effect: the last of them is not.
            views = views[max(index for index, view in enumerate(views) if view.at_ms <= since) :]
        shown = [view.collateral for view in views]
        assert any(abs(intent.coins_before - value) <= Decimal("0.00000002") for value in shown), (
            f"decided on a collateral of {intent.coins_before} that was never there since "
            f"our last effect: {shown[-3:]}"
        )
        # Old prices alone make an add smaller and a release wait: what matters is the other side.
        ltvs = [view.ltv for view in views]
        if intent.direction is Direction.ADD:
            sound = intent.ltv_before <= max(ltvs) * Decimal("1.09")  # what is told apart from a spread
        else:
            sound = intent.ltv_before >= min(ltvs) * Decimal("0.91")
        assert sound, (
            f"{intent.direction} decided on an LTV of {intent.ltv_before} that was never there since our "
            f"last effect: {min(ltvs):.4f} to {max(ltvs):.4f}"
        )

    def check_confirmed(self) -> None:
        rows = {row.shown.adjust_id: row for row in self.world.rows}
        for intent in self.journal.snapshot().intents.values():
            if intent.state is State.CONFIRMED:
                assert rows[intent.adjust_id].intent_id == intent.intent_id, "confirmed by another's row"
            if intent.state in {State.REJECTED, State.WITHDRAWN}:
                assert intent.intent_id not in self.world.applied, f"{intent.state}, yet it landed"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.check_confirmed()
        self.heal()
        for _ in range(BOUND_S):
            self.cycle()
            self.world.advance(1_000)
        self.check_confirmed()
        intents = self.journal.snapshot().intents.values()
        still_open = [(item.intent_id, item.state) for item in intents if item.state not in QUIET]
        assert not still_open, f"still open after {BOUND_S} s: {still_open}"
        for item in intents:
            if item.state is State.ABSENT:
                assert item.intent_id not in self.world.applied, "absent, yet it landed"
            assert self.world.applied.count(item.intent_id) <= 1
        for key in KEYS:
            assert self.world.ltv(key) < Decimal("0.75"), (
                f"{key} has funds and is left at {self.world.ltv(key)}"
            )

    # How

    def heal(self) -> None:
        world = self.world
        world.orders_down = world.history_down = world.prices_down = False
        world.stale_ms = world.old_ltv_ms = world.row_lag_ms = 0
        world.answers, world.crash_at = [], None
        self.journal.on_write = lambda _: None

    def cycle(self) -> None:
        with structlog.testing.capture_logs():
            try:
                asyncio.run(self.guard.cycle())
            except Crash:
                self.restart()

    def restart(self) -> None:
        """SIGKILL, and the next start: what is in memory is gone, the machine may have rebooted."""
        self.starts += 1
        self.journal = MemoryJournal.restored(self.journal.snapshot())
        self.world.monotonic_ms = self.starts
        self.world.crash_at = None
        self.guard = a_guard(self.world, self.journal)


TestSendPath = SendPath.TestCase
TestSendPath.settings = settings(max_examples=120, stateful_step_count=12)
