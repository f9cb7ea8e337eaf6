"""The send path under attack: faults, crashes, clocks, the user's own hand and liquidations, in any order.

Two promises are held against the truth that the model keeps. Safety, at every send: the facts it was decided
on include every effect that we ever had on the loan (one rescue excepted), so nothing is done twice for one
need. Liveness, at the end: once the exchange answers again, every intent closes within a bounded time, and a
loan that has funds is protected.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import structlog
from exchange_model import Crash, a_guard, a_world, key_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Direction

KEYS = (key_of(1), key_of(2))
ANSWERS = (
    *("ok", "ok", "lost_answer", "lost_request", "refused", "not_sent"),
    *("late:500", "late:3000", "late:4900", "late:5900"),
)
WRITES = ("plan", "mark_sent", "record", "write_episode")
BOUND_S = 180  # by then everything is closed
QUIET = {State.CONFIRMED, State.REJECTED, State.ABSENT, State.WITHDRAWN, State.AMBIGUOUS}


class SendPath(RuleBasedStateMachine):
    """One account with two loans; the guard and its journal live through whatever the rules do."""

    @initialize(first=st.sampled_from(["0.30", "0.60", "0.80"]), second=st.sampled_from(["0.35", "0.70"]))
    def begin(self, first: str, second: str) -> None:
        self.world = a_world(first, second, wallet="50")
        self.world.on_sent = self.check_what_is_sent
        self.journal = MemoryJournal()
        self.guard = a_guard(self.world, self.journal)
        self.starts = 0
        self.rescued: set[str] = set()

    # What happens

    @rule(ms=st.sampled_from([100, 1_000, 2_000, 5_000, 15_000]), count=st.integers(1, 6))
    def cycles_run(self, ms: int, count: int) -> None:
        for _ in range(count):
            self.cycle()
            self.world.advance(ms)

    @rule(factor=st.sampled_from(["0.75", "0.85", "0.93", "0.99", "1.02", "1.1", "1.3", "1.6"]))
    def the_price_moves(self, factor: str) -> None:
        price = self.world.price * Decimal(factor)
        if Decimal(5_000) < price < Decimal(500_000):
            self.world.price = price
            self.world.note()

    @rule(answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=3))
    def the_next_answers_go_wrong(self, answers: list[str]) -> None:
        self.world.answers = answers

    @rule(which=st.sampled_from(["orders_down", "history_down", "prices_down"]), down=st.booleans())
    def a_read_fails(self, which: str, *, down: bool) -> None:
        setattr(self.world, which, down)

    @rule(ms=st.sampled_from([0, 1_000, 3_000, 5_000]))
    def reads_are_stale(self, ms: int) -> None:
        self.world.stale_ms = ms

    @rule(ms=st.sampled_from([0, 2_000, 5_000]))
    def the_ltv_lags_behind_the_collateral(self, ms: int) -> None:
        self.world.old_ltv_ms = ms

    @rule(ms=st.sampled_from([0, 1_000, 3_000, 4_500]))
    def rows_appear_late(self, ms: int) -> None:
        self.world.row_lag_ms = ms

    @rule(skew=st.integers(-500, 500))
    def the_clock_is_measured_anew(self, skew: int) -> None:
        self.world.skew_ms = skew

    @rule(
        key=st.sampled_from(KEYS),
        direction=st.sampled_from(list(Direction)),
        amount=st.sampled_from(["0.01", "0.1", "0.25"]),
    )
    def the_user_adjusts_by_hand(self, key, direction: Direction, amount: str) -> None:  # type: ignore[no-untyped-def]
        self.world.move(key, direction, Decimal(amount), None)

    @rule(key=st.sampled_from(KEYS), share=st.sampled_from(["0.05", "0.3"]))
    def the_user_repays_a_part(self, key, share: str) -> None:  # type: ignore[no-untyped-def]
        self.world.repay_part(key, Decimal(share))

    @rule(key=st.sampled_from(KEYS), share=st.sampled_from(["0.02", "0.1"]))
    def a_part_is_liquidated(self, key, share: str) -> None:  # type: ignore[no-untyped-def]
        self.world.liquidate_part(key, Decimal(share))

    @rule(where=st.sampled_from(["before_send", "after_send"]))
    def it_will_crash_at_the_send(self, where: str) -> None:
        self.world.crash_at = where

    @rule(name=st.sampled_from(WRITES), written=st.booleans())
    def it_will_crash_at_a_write(self, name: str, *, written: bool) -> None:
        """Before the write. After it is the same as before the next step, or at the send."""

        def crash(wanted: str) -> None:
            if wanted == name:
                self.journal.on_write = lambda _: None
                raise Crash

        self.journal.on_write = crash

    @rule()
    def it_crashes(self) -> None:
        self.restart()

    @precondition(lambda self: self.guard is not None)
    @rule()
    def the_exchange_answers_well_again(self) -> None:
        self.heal()

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
        shown = [view.collateral for view in world.views[intent.key] if view.at_ms >= since]
        latest_effects = [row for row in world.rows if row.intent_id and row.shown.key == intent.key]
        if latest_effects:
            # A view of the same ms may be from just before the effect: skip those.
            after = world.views[intent.key]
            at_effect = max(i for i, view in enumerate(after) if view.at_ms <= since)
            shown = [view.collateral for view in after[at_effect:]]
        assert any(abs(intent.collateral_before - value) <= Decimal("0.00000002") for value in shown), (
            f"decided on a collateral of {intent.collateral_before} that was never there since "
            f"our last effect: {shown[-3:]}"
        )
        if intent.direction is Direction.REDUCE:
            ltv = world.ltv(intent.key)
            after_it = (
                ltv
                * world.loans[intent.key].collateral
                / max(Decimal("0.00000001"), world.loans[intent.key].collateral - intent.amount)
            )
            lowest_price = min(view.price for view in world.views[intent.key][-400:])
            assert after_it <= Decimal("0.57") * max(
                Decimal(1), max(view.price for view in world.views[intent.key][-400:]) / lowest_price
            ), "released beyond the target"

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
TestSendPath.settings = settings(max_examples=150, stateful_step_count=40)
