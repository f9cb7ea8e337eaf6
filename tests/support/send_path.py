"""What the state machines of the send path share: the weather they live through, and what must hold in it.

Two promises are held against the truth that the model keeps. Safety, at every send: the facts it was decided
on include every effect that we ever had on the loan (one rescue excepted), so nothing is done twice for one
need. Liveness, at the end: once the exchange answers again, every intent closes within a bounded time, and a
loan that has funds is protected.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
from collections.abc import Callable, Collection, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import structlog
from exchange_model import POOL, Crash, World, a_guard, key_of
from exchange_world import Row, View
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ltv_guard.adapters.journal.memory import Contents, MemoryJournal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import IMPLAUSIBLE_LTV, Direction, Kind, LoanKey
from ltv_guard.core.model.policy import Limits
from ltv_guard.core.reconcile.freshness import CONTINUOUS
from ltv_guard.core.reconcile.plausibility import APART
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.state.intent_book import SETTLING_DOWN_MS

KEYS = (key_of(1), POOL)
WAITED = ("plan", "mark_sent")  # only where the signing waits
WRITES = ("write_sent", *WAITED, "record", "write_episodes")
BOUND_S = 180  # by then everything is closed
CALM_CYCLES = 12  # and nothing more is done in two minutes of calm
QUIET = {State.CONFIRMED, State.REJECTED, State.ABSENT, State.WITHDRAWN, State.AMBIGUOUS}
TRIGGER, TARGET = Decimal("0.75"), Decimal("0.65")
# The exchange shows what is done to a pool as being processed, for a while.
TO_POOL = st.lists(
    st.sampled_from(
        [
            "ok",
            "pending:1500",
            "pending:8000",
            "pending:40000",
            "failing:700",
            "unheard:1500",
            "unheard:12000",
        ]
    ),
    max_size=2,
).map(lambda answers: {POOL: tuple(answers)})
REPLICAS = st.sampled_from([*[(0, 0)] * 5, (20_000, 3), (62_000, 2), (62_000, 3), (180_000, 3)])
LATE_MS = 7_000  # an LTV is at most five seconds late; two more until it is acted on
COARSE_DIGITS = 2
COARSE = Decimal(20)  # coins that each loan holds, where the coin has few decimals and max_add is one coin
WORST: dict[str, int] = {}  # by machine: ms that a loan stood above its trigger though help was possible


@dataclass(frozen=True)
class Weather:
    """How the exchange behaves for a stretch of time, and where the process dies in it."""

    answers: tuple[str, ...] = ()
    answers_to: Mapping[Kind | LoanKey, tuple[str, ...]] = field(default_factory=dict)
    stale_ms: int = 0
    old_ltv_ms: int = 0
    old_debt_ms: int = 0
    stale_wallet_ms: int = 0
    row_lag_ms: int = 0
    replica: tuple[int, int] = (0, 0)  # how old, and every which read
    down: tuple[str, ...] = ()
    crash: str = ""
    crossed: int = -1  # so many turns of the loop into a cycle prices cross triggers; -1: they do not
    more: Mapping[str, object] = field(default_factory=dict)  # of a world that knows more than this


Stretch = tuple[Weather, int, int]


class Life(RuleBasedStateMachine):
    """One account with an order and a pool; the guard and its journal live through whatever the rules do.

    Every rule is an event, and the stretch of time after it.
    """

    world: World
    journal: MemoryJournal
    turn_each_ms = 0
    crossed = -1
    loop: asyncio.AbstractEventLoop | None = None  # None: that of all machines
    guard: Guard
    starts: int
    rescued: set[str | None]
    scale = Decimal(1)
    a_coin_at_a_time = False
    failed = False
    # A journal that went back can't tell old facts about an add that it does not know of; nor can any guard
    # tell which of two states that others have made is the older one.
    went_back = False
    disturbed = False
    sold: set[LoanKey]  # partly liquidated
    sold_unknown: set[LoanKey]  # and no process is left that knew what was owed before
    sold_from: list[tuple[LoanKey, Decimal, int]]  # the coins of just before each sale, and its time (ms)
    taken_out: set[LoanKey]  # of which the user has taken coins by hand
    above_ms: dict[tuple[str, LoanKey], int]
    new_id: Callable[[], str]
    old_journals: list[Contents]
    findings: list[AssertionError]

    def begin_with(self, world: World) -> None:
        self.world = world
        self.world.on_sent = self.hold_against_the_truth
        self.findings = []
        self.world.has_replicas = self.nothing_is_unknown
        self.journal = MemoryJournal()
        numbers = itertools.count(1)
        self.new_id = lambda: f"i{next(numbers)}"  # never the same again, though the journal goes back
        self.guard = self.a_guard()
        self.starts = 0
        self.rescued = set()
        self.above_ms = {}
        self.sold, self.sold_unknown, self.taken_out = set(), set(), set()
        self.sold_from = []
        self.old_journals = []

    def a_guard(self) -> Guard:
        return a_guard(self.world, self.journal, ids=self.new_id)

    def write_in_turns(self, each_ms: int) -> None:
        """The exchange takes one write each `each_ms`: whoever has more waits, and time passes."""
        self.turn_free_ms, self.turn_each_ms = 0, each_ms
        self.world.turn_comes = self.turn_comes

    def turn_comes(self) -> bool:
        left_ms = self.turn_free_ms - self.world.monotonic_ms
        if left_ms > 0:
            self.world.advance(left_ms)
        return left_ms > 0

    def live_through(self, stretch: Stretch) -> None:
        weather, ms, count = stretch
        self.heal()
        world = self.world
        self.crossed = weather.crossed
        world.answers = list(weather.answers)
        world.answers_to = {what: list(answers) for what, answers in weather.answers_to.items()}
        for name in ("stale_ms", "old_ltv_ms", "old_debt_ms", "stale_wallet_ms", "row_lag_ms"):
            setattr(world, name, getattr(weather, name))
        world.replica_ms, world.replica_each = (0, 0) if self.went_back or self.disturbed else weather.replica
        for name, value in [*weather.more.items(), *((name, True) for name in weather.down)]:
            setattr(world, name, value)
        if weather.crash in WRITES:
            self.journal.on_write = self.crash_at_write(weather.crash)
            world.slow_signings = int(weather.crash in WAITED)
        elif weather.crash:
            world.crash_at = weather.crash
        self.old_journals = [*self.old_journals[-2:], self.journal.snapshot()]
        for _ in range(count):
            self.cycle()
            self.advance(ms)

    def move_price(self, price: Decimal) -> None:
        """But not to where a loan has an LTV that none can have."""
        worst = max(self.world.ltv(other) for other in self.world.loans) * self.world.price / price
        if Decimal(2_000) < price < Decimal(2_000_000) and worst < IMPLAUSIBLE_LTV - 1:
            self.world.price = price
            self.world.note()

    def advance(self, ms: int) -> None:
        """Time passes; how long a loan has stood above its trigger, though help was possible, is measured.

        Where a cap leaves it one coin at a time, each that lands is help: the time without any is measured.
        """
        world = self.world
        world.advance(ms)
        down = (world.orders_down, world.pool_down, world.wallet_down, world.replica_each, world.answers)
        for key in self.funded():
            helpless = any(down) or world.pending or world.ltv(key) < TRIGGER
            helpless = helpless or world.answers_to.get(key) or self.is_unseen(key)
            helpless = helpless or self.is_taken_for_old(key)
            helped = self.a_coin_at_a_time and world.last_own_effect_ms(key) >= world.true_ms - ms
            helpless = helpless or helped
            self.count(type(self).__name__, key, 0 if helpless else ms)
            unread = world.history_down or world.repayments_down or world.transfers_down
            name = f"{type(self).__name__}, where histories can be read"
            self.count(name, key, 0 if helpless or unread else ms)

    def is_unseen(self, key: LoanKey) -> bool:
        """Its page fails, and so does whoever asks for it by its id."""
        world = self.world
        others = [other for other in world.loans if other.product is key.product]
        up = len(others) if world.pages_up is None else world.pages_up * world.rows_per_page
        return world.single_down and others.index(key) >= up

    def count(self, name: str, key: LoanKey, ms: int) -> None:
        """`ms` more above its trigger; 0: not any more."""
        self.above_ms[name, key] = self.above_ms.get((name, key), 0) + ms if ms else 0
        WORST[name] = max(WORST.get(name, 0), self.above_ms[name, key])

    def nothing_is_unknown(self) -> bool:
        """What an unknown's end is read from may be late, but not by a minute: that looks like never."""
        intents = self.journal.snapshot().intents.values()
        return not any(item.state in {State.SENT, State.UNKNOWN} for item in intents)

    def crash_at_write(self, name: str) -> Callable[[str], None]:
        def crash(wanted: str) -> None:
            if wanted == name:
                self.journal.on_write = lambda _: None
                raise Crash

        return crash

    # What must hold

    def hold_against_the_truth(self, intent: Intent) -> None:
        """What is wrong is kept: the guard reports an exception as a defect, and goes on."""
        self.turn_free_ms = self.world.monotonic_ms + self.turn_each_ms
        try:
            self.check_what_is_sent(intent)
        except AssertionError as finding:
            self.findings.append(finding)

    def check_what_is_sent(self, intent: Intent) -> None:
        """Called at each send, before anything of it happens."""
        world = self.world
        assert sum(item.intent_id == intent.intent_id for item in world.sent) == 0, "signed twice"
        if intent.rescue_of is not None:
            assert intent.rescue_of not in self.rescued, "a second rescue"
            assert intent.direction is Direction.ADD
            self.rescued.add(intent.rescue_of)
            self.check_that_it_knows_of_the_rescue_before(intent)
            return
        assert not self.on_their_way(intent.key), "sent while an earlier one may still land"
        if intent.direction is not Direction.TRANSFER:
            self.check_its_facts(intent)

    def check_that_it_knows_of_the_rescue_before(self, intent: Intent) -> None:
        """Where there is one: beside a release, whose own effect may come at any time."""
        sent = (item for item in self.world.sent if item.intent_id == intent.rescue_of)
        before = next(sent, None)
        if before is None or before.rescue_of is None:
            return
        assert before not in self.on_their_way(intent.key), "the rescue before may still land"
        landed = (row.landed_ms for row in self.world.rows if row.intent_id == before.intent_id)
        landed_ms = next(landed, None) or 0
        views = self.world.views[intent.key]
        shown = {view.collateral for view in views if view.at_ms >= landed_ms}
        assert intent.coins_before in shown, f"planned on {intent.coins_before}, without the rescue before"

    def on_their_way(self, key: LoanKey) -> list[Intent]:
        """What was sent for that loan, and may still have an effect."""
        return [item.intent for item in self.world.pending if item.intent.key == key]

    def check_its_facts(self, intent: Intent) -> None:
        views = self.since_our_last_effect(intent.key, set(Kind))
        repays = intent.direction is Direction.REPAY
        shown = [
            self.acted_on(intent, view)
            for view in self.since_our_last_effect(intent.key, {intent.channel.kind})
        ]
        near = Decimal("0.01") if repays else Decimal("0.00000002")
        assert any(abs(intent.coins_before - value) <= near for value in shown), (
            f"{intent.direction} decided on {intent.coins_before} {intent.coin} that were never there since "
            f"our last effect: {shown[-3:]}"
        )
        # Old prices alone make an add smaller and a release wait: what matters is the other side.
        ltvs = [view.ltv for view in views]
        if intent.direction is Direction.REDUCE:
            sound = intent.ltv_before >= min(ltvs) * Decimal("0.91")  # what is told apart from a spread
        else:
            sound = intent.ltv_before <= max(ltvs) * (APART if self.may_be_late(intent) else Decimal("1.09"))
            sound = sound or self.lies_where_the_last_add_led(intent) or self.is_needed_all_the_same(intent)
        assert sound, (
            f"{intent.direction} decided on an LTV of {intent.ltv_before} that was never there since our "
            f"last effect: {min(ltvs):.4f} to {max(ltvs):.4f}"
        )

    def acted_on(self, intent: Intent, view: View) -> Decimal:
        """Coins of what the intent acts on."""
        return view.debt if intent.direction is Direction.REPAY else view.collateral

    def may_be_late(self, intent: Intent) -> bool:
        """Whether an emergency is believed though prices say up to a quarter less: so soon after an add.

        A late LTV may lie, by chance, where the add led (docs/architecture.md). Too much is added then, and
        it stays in the loan.
        """
        landed_ms = self.world.last_own_effect_ms(intent.key, {Kind.ADJUSTMENT})
        emergency = intent.ltv_before >= Limits().emergency_ltv
        return emergency and intent.direction is Direction.ADD and self.world.true_ms - landed_ms <= LATE_MS

    def lies_where_the_last_add_led(self, intent: Intent) -> bool:
        """Whether an LTV of just before our add, shown late, lies by chance where that add led.

        That add was planned on an LTV of earlier still: a hand repaid in between, of which no row is in the
        history of adjustments, or prices rose, by no more than counts as contradicted (docs/architecture.md).
        It counts below the trigger only: a little too much is added then, and it stays in the loan.
        """
        world, last = self.world, self.last_add(intent.key)
        if intent.direction is not Direction.ADD or intent.ltv_before >= TRIGGER or last is None:
            return False
        landed_ms = world.last_own_effect_ms(intent.key, {Kind.ADJUSTMENT})
        before = [view for view in world.views[intent.key] if 0 <= landed_ms - view.at_ms <= 2 * LATE_MS]
        owed = world.debt_usd(intent.key) * Decimal("1.001")
        was_repaid = any(view.debt_usd > owed for view in before)
        is_near = intent.ltv_before <= world.ltv(intent.key) * APART
        led = last.ltv_before * last.coins_before / (last.coins_before + last.amount)
        return (
            (was_repaid or is_near)
            and self.was_there_lately(intent, before)
            and intent.ltv_before <= led * (1 + CONTINUOUS[Direction.ADD])
        )

    def is_needed_all_the_same(self, intent: Intent) -> bool:
        """Whether nothing is done twice, though its LTV is of just before our last effect.

        Prices rose since, and the loan still is above its trigger; it brings the loan at most to its target.
        Such is a careful step, where LTV and amounts contradict each other.
        """
        ltv, part = self.world.ltv(intent.key), intent.amount / intent.coins_before
        repays = intent.direction is Direction.REPAY
        leads_to = ltv * (1 - part) if repays else ltv / (1 + part)
        views = self.world.views[intent.key]
        return ltv >= TRIGGER and leads_to >= TARGET and self.was_there_lately(intent, views)

    def was_there_lately(self, intent: Intent, views: Sequence[View]) -> bool:
        """Whether the loan had the LTV that it is decided on, so late as the exchange may show it."""
        lately = [view for view in views if self.world.true_ms - view.at_ms <= LATE_MS]
        return any(abs(view.ltv - intent.ltv_before) < Decimal("0.0001") for view in lately)

    def last_add(self, key: LoanKey) -> Intent | None:
        """The last of ours that landed in it."""
        applied = set(self.world.applied)
        ours = (item for item in reversed(self.world.sent) if item.key == key and item.intent_id in applied)
        return next((item for item in ours if item.direction is Direction.ADD), None)

    def since_our_last_effect(self, key: LoanKey, kinds: Collection[Kind]) -> list[View]:
        """Views of the same ms may be from just before the effect: the last of them is not."""
        since = self.last_effect_ms(key, kinds)
        views = self.world.views[key]
        return (
            views[max(index for index, view in enumerate(views) if view.at_ms <= since) :] if since else views
        )

    def last_effect_ms(self, key: LoanKey, kinds: Collection[Kind]) -> int:
        """When something of ours last took effect on what these kinds of writes move."""
        return self.world.last_own_effect_ms(key, kinds)

    def check_confirmed(self) -> None:
        rows = {row.shown.adjust_id: row for row in self.world.rows}
        for intent in self.journal.snapshot().intents.values():
            if intent.state is State.CONFIRMED:
                row = rows[intent.adjust_id or ""]
                assert row.intent_id == intent.intent_id or self.is_the_users_twin(intent, row), (
                    "confirmed by another's row"
                )
            if intent.state in {State.REJECTED, State.WITHDRAWN}:
                assert intent.intent_id not in self.world.applied, f"{intent.state}, yet it landed"

    def is_the_users_twin(self, intent: Intent, row: Row) -> bool:
        """Whether it is a row that the user made, of a coin too coarse for fingerprints, where ours was lost.

        "Your own hand at the same moment": `docs/architecture.md`.
        """
        is_alike = row.intent_id is None and row.shown.amount == intent.amount
        return (
            is_alike and self.world.accuracy <= COARSE_DIGITS and intent.intent_id not in self.world.applied
        )

    def teardown(self) -> None:
        if self.failed or not hasattr(self, "world"):
            return
        self.check_confirmed()
        self.heal()
        self.check_quiet()
        for _ in range(CALM_CYCLES):
            self.cycle()
            self.advance(10_000)
        self.check_quiet()

    def check_quiet(self) -> None:
        """Within a bounded time all is closed, and as it was said to be."""
        self.live_until_quiet()
        self.check_confirmed()
        intents = self.journal.snapshot().intents.values()
        still_open = [(item.intent_id, item.state) for item in intents if item.state not in QUIET]
        assert not still_open, f"still open after {BOUND_S} s: {still_open}"
        for item in intents:
            if item.state is State.ABSENT:
                assert item.intent_id not in self.world.applied, f"absent, yet it landed: {item}"
            assert self.world.applied.count(item.intent_id) <= 1
        left = {key: self.world.ltv(key) for key in self.unprotected()}
        assert not left, f"these have funds, and are left above their trigger: {left}"

    def live_until_quiet(self) -> None:
        for _ in range(BOUND_S):
            self.cycle()
            self.advance(1_000)
            if self.is_quiet():
                break

    def is_quiet(self) -> bool:
        """Whether all is closed, and what can be protected is."""
        states = {item.state for item in self.journal.snapshot().intents.values()}
        return states <= QUIET and not self.world.pending and not self.unprotected()

    def unprotected(self) -> list[LoanKey]:
        """Loans that have funds, and are above their trigger."""
        world = self.world
        return [key for key in self.funded() if world.ltv(key) >= TRIGGER and not self.is_taken_for_old(key)]

    def is_taken_for_old(self, key: LoanKey) -> bool:
        """It holds just the coins of before one of ours, or of before a sale whose debt nobody knows.

        Nothing tells that from an old replica, for ten minutes or until it has long been an emergency:
        `docs/architecture.md`.
        """
        if key not in self.sold_unknown | self.taken_out:
            return False
        since_ms = self.world.now().exchange_ms - SETTLING_DOWN_MS
        held, digit = self.world.loans[key].collateral, Decimal(1).scaleb(-self.world.accuracy)
        before = [
            item.coins_before
            for item in self.journal.snapshot().intents.values()
            if item.key == key and item.intent_id in self.world.applied and item.updated_at_ms > since_ms
        ]
        if key in self.sold_unknown:
            before += [coins for sold, coins, at_ms in self.sold_from if sold == key and at_ms > since_ms]
        return any(abs(coins - held) < digit for coins in before)

    def funded(self) -> Collection[LoanKey]:
        """The loans for which there is enough to bring them to their targets."""
        return KEYS

    # How

    def heal(self) -> None:
        world, self.crossed = self.world, -1
        world.orders_down = world.history_down = world.prices_down = False
        world.repayments_down = world.transfers_down = world.wallet_down = world.unified_down = False
        world.pages_up, world.single_down = None, False
        world.stale_ms = world.old_ltv_ms = world.old_debt_ms = world.stale_wallet_ms = world.row_lag_ms = 0
        world.replica_ms = world.replica_each = 0
        world.answers, world.answers_to, world.crash_at, world.slow_signings = [], {}, None, 0
        self.journal.on_write = lambda _: None

    def cycle(self) -> None:
        with structlog.testing.capture_logs() as told:
            try:
                run(self.look(), self.loop or LOOP)
            except Crash:
                self.restart()
            except BaseException:
                self.failed = True
                raise
        self.hears(told)
        if self.findings:
            self.failed = True
            raise self.findings[0]

    async def look(self) -> None:
        """A cycle; and another at once, where prices cross triggers while it runs."""
        cycle = asyncio.ensure_future(self.guard.cycle())
        if self.crossed >= 0:
            for _ in range(self.crossed):
                await asyncio.sleep(0)
            self.guard.urge(KEYS)
        await cycle
        if self.crossed >= 0:
            await self.guard.cycle()

    def hears(self, told: Sequence[MutableMapping[str, Any]]) -> None:
        """What a cycle has logged: no error of ours."""
        defects = [line for line in told if line["event"] == "defect"]
        if defects and not self.findings:
            self.findings.append(AssertionError(f"{defects[0]['what']}: {defects[0]['why']}"))

    def restart(self, journal: Contents | None = None) -> None:
        """SIGKILL, and the next start: what is in memory is gone, the machine may have rebooted."""
        self.starts += 1
        self.sold_unknown |= self.sold
        held = journal or self.journal.snapshot()
        self.journal = MemoryJournal.restored(held)
        self.rescued &= {
            item.rescue_of for item in held.intents.values()
        }  # one that it lost, nobody knows of
        self.world.monotonic_ms = self.starts
        self.world.crash_at = None
        self.guard = self.a_guard()


LOOP = asyncio.new_event_loop()
atexit.register(LOOP.close)


def run(cycle: Coroutine[None, None, object], loop: asyncio.AbstractEventLoop) -> None:
    """As `asyncio.run`, on one loop for all: a night makes a hundred thousand cycles."""
    try:
        loop.run_until_complete(cycle)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def events(weather: st.SearchStrategy[Weather]) -> type[Life]:  # noqa: C901 - a rule for each event
    """A life in which anything may happen, in such weather."""
    stretches = st.tuples(weather, st.sampled_from([500, 1_000, 2_000]), st.integers(1, 15))

    class Events(Life):
        @rule(stretch=stretches)
        def nothing_happens(self, stretch: Stretch) -> None:
            self.live_through(stretch)

        @rule(
            key=st.sampled_from(KEYS),
            ltv=st.sampled_from(["0.30", "0.38", "0.60", "0.74", "0.76", "0.79", "0.82", "0.90"]),
            stretch=stretches,
        )
        def the_price_moves(self, key: LoanKey, ltv: str, stretch: Stretch) -> None:
            """To where this loan has that LTV; the pool, whose coins count for less, a higher one."""
            self.move_price(self.world.debt_usd(key) / (self.world.loans[key].collateral * Decimal(ltv)))
            self.live_through(stretch)

        @rule(skew=st.integers(-500, 500), stretch=stretches)
        def the_clock_is_measured_anew(self, skew: int, stretch: Stretch) -> None:
            self.world.skew_ms = skew
            self.live_through(stretch)

        @rule(
            key=st.sampled_from(KEYS),
            direction=st.sampled_from([Direction.ADD, Direction.REDUCE]),
            amount=st.sampled_from(["0.01", "0.1", "0.25", "all that we added last"]),
            stretch=stretches,
        )
        def the_user_adjusts_by_hand(
            self, key: LoanKey, direction: Direction, amount: str, stretch: Stretch
        ) -> None:
            self.disturbed = True
            if direction is Direction.REDUCE:
                self.taken_out.add(key)
            added = [
                row.shown.amount
                for row in self.world.rows
                if row.intent_id and row.shown.key == key and row.shown.direction is not Direction.REPAY
            ]
            if amount.startswith("0"):
                self.world.move(key, direction, Decimal(amount) * self.scale, None)
            elif added and direction is Direction.REDUCE:
                self.world.move(key, direction, added[-1], None)
            self.live_through(stretch)

        @rule(key=st.sampled_from(KEYS), share=st.sampled_from(["0.05", "0.3"]), stretch=stretches)
        def the_user_repays_a_part(self, key: LoanKey, share: str, stretch: Stretch) -> None:
            self.disturbed = True
            self.world.repay_part(key, Decimal(share))
            self.live_through(stretch)

        @rule(key=st.sampled_from(KEYS), share=st.sampled_from(["0.02", "0.1"]), stretch=stretches)
        def a_part_is_liquidated(self, key: LoanKey, share: str, stretch: Stretch) -> None:
            self.disturbed = True
            if self.world.ltv(key) < 1:  # beyond, nothing is left to be sold in part
                self.sold.add(key)
                held = self.world.loans[key].collateral
                self.sold_from.append((key, held, self.world.now().exchange_ms))
                self.world.liquidate_part(key, Decimal(share))
            self.live_through(stretch)

        @rule(stretch=stretches)
        def it_crashes(self, stretch: Stretch) -> None:
            self.restart()
            self.live_through(stretch)

    return Events


def odd_events(weather: st.SearchStrategy[Weather]) -> type[Life]:
    """The same, and: a database that goes back, and a history that fails for minutes."""
    stretches = st.tuples(weather, st.sampled_from([500, 1_000, 2_000]), st.integers(1, 15))

    class OddEvents(events(weather)):  # type: ignore[misc]
        @rule(stretch=stretches)
        def the_database_goes_back(self, stretch: Stretch) -> None:
            """To what it was some events ago: a restored backup, which the next start does not trust."""
            if not self.world.pending:
                self.went_back = True
                self.restart(self.old_journals[0] if self.old_journals else None)
            self.live_through(stretch)

        @rule(
            key=st.sampled_from(KEYS),
            falls=st.lists(st.sampled_from(["0.76", "0.79", "0.82"]), min_size=1, max_size=2),
        )
        def the_history_fails_for_minutes_while_prices_fall(self, key: LoanKey, falls: list[str]) -> None:
            """Adds are accepted: each need is met, but for one that is not told yet how it ended."""
            self.heal()
            for _ in range(8):
                self.cycle()
                self.advance(2_000)
            self.world.history_down = True
            for ltv in falls:
                if self.world.ltv(key) < Decimal(ltv) and max(map(self.world.ltv, KEYS)) < TRIGGER:
                    self.move_price(self.world.price * self.world.ltv(key) / Decimal(ltv))
                for _ in range(12):
                    self.cycle()
                    self.advance(5_000)

    return OddEvents
