"""The last help in virtual time: a pool's debt is repaid with its own collateral, also by contract.

No id comes back. Whatever becomes of the answer, of the row, of what is read, or of the process: at most one
effect an intent, no more repaid than the one need asked for, and the pool at its target in the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
import structlog
from contract_world import ContractWorld, ModelContracts, a_pool_with_contracts
from core_builders import D
from exchange_model import POLICY, POOL, Crash, a_guard, a_world
from exchange_world import HELD, OWED
from transfers_and_repayments import CRASHES, crashing, crossed_with_answers, cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Kind
from ltv_guard.core.model.policy import CollateralRepayRule, LoanPolicy, WalletRules
from ltv_guard.guard.cycle import Guard

FEE = D("0.004")
# 1 BTC at 50000 USD counts for 45000. (34650 - x) / (45000 - 0.909 x) is 0.65 where x = 5400 / 0.40915.
NEEDED = D(5400) / D("0.40915")
IN_A_MONTH_MS = 30 * 86_400_000
KINDS = [Kind.REPAYMENT, Kind.FIXED_REPAYMENT]
OF_BOTH = pytest.mark.parametrize(
    "kind",
    [pytest.param(Kind.REPAYMENT, marks=pytest.mark.slow), Kind.FIXED_REPAYMENT],
    ids=["flexible", "fixed"],
)
SELLS = LoanPolicy(
    collateral_preference=POLICY.collateral_preference,
    add=POLICY.add,
    limits=POLICY.limits,
    repay_with_collateral=CollateralRepayRule(enabled=True),
)

IN_STEPS = CollateralRepayRule(enabled=True, max_repay={OWED: D(3000)})


@dataclass(slots=True)
class Life:
    """A pool at an LTV of 0.77 that nothing else can help: all is owed flexibly, or in these contracts."""

    kind: Kind
    shares: tuple[str, ...] = ("1",)
    policy: LoanPolicy = SELLS
    caps: WalletRules = field(default_factory=WalletRules)
    world: ContractWorld = field(init=False)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    guard: Guard = field(init=False)

    def __post_init__(self) -> None:
        bare = a_world(pool="0.77", wallet="0", owed="0")
        owed = bare.loans[POOL].debt
        self.world = a_pool_with_contracts(
            bare, {}, ends_in_ms=IN_A_MONTH_MS, at_end=AtEnd.REPAID, fee=FEE, hourly_interest=D(0)
        )
        if self.kind is Kind.FIXED_REPAYMENT:
            for number, share in enumerate(self.shares):
                self.world.loans[POOL].debt -= owed * D(share)
                self.world.sign_contract(OWED, owed * D(share), IN_A_MONTH_MS + number, AtEnd.REPAID)
        self.start()

    def start(self) -> None:
        """A process that has just started."""
        self.guard = a_guard(
            self.world,
            self.journal,
            policy=self.policy,
            wallet=self.caps,
            contracts=ModelContracts(self.world),
        )

    async def goes_on(self, count: int = 30, ms: int = 2_000) -> None:
        await cycles(self.guard, self.world, count, ms)

    async def until_it_leaves(self) -> None:
        """Contracts are read at the end of a cycle: they are paid in the next one."""
        while not self.world.sent:
            await self.guard.cycle()

    def answers(self, *answers: str) -> None:
        self.world.answers_to = {self.kind: list(answers)}

    @property
    def intents(self) -> list[Intent]:
        held = self.journal.snapshot().intents.values()
        return sorted(held, key=lambda item: (item.created_at_ms, item.intent_id))

    @property
    def states(self) -> list[State]:
        return [item.state for item in self.intents]

    @property
    def repaid(self) -> Decimal:
        own = (row for row in self.world.rows if row.intent_id is not None and row.landed_ms is not None)
        return sum((row.shown.amount for row in own), D(0))

    def check(self) -> None:
        """One effect an intent at most, none without one that is told, and the pool where it belongs."""
        world = self.world
        assert len(set(world.applied)) == len(world.applied)
        landed = {item.intent_id for item in self.intents if item.state is State.CONFIRMED}
        assert set(world.applied) <= landed
        assert world.ltv(POOL) <= D("0.6513")
        assert abs(self.repaid - NEEDED) <= NEEDED * D("0.02")


async def test_one_repayment_brings_it_to_its_target() -> None:
    for kind in KINDS:
        life = Life(kind)
        await life.goes_on(5)
        life.check()
        (intent,) = life.intents
        assert intent.channel.kind is kind
        assert (intent.coin, intent.collateral_coin, intent.collateral_before) == (OWED, HELD, 1)
        assert intent.adjust_id == life.world.rows[0].shown.adjust_id


@OF_BOTH
async def test_none_is_made_where_it_is_off(kind: Kind) -> None:
    life = Life(kind, policy=POLICY)
    await life.goes_on(10)
    assert life.world.sent == []


@OF_BOTH
@pytest.mark.parametrize("answer", ["lost_answer", "late:500", "late:4900", "pending:9000"])
async def test_one_without_a_plain_answer_lands_once(answer: str, kind: Kind) -> None:
    life = Life(kind)
    life.answers(answer)
    await life.goes_on()
    assert life.states == [State.CONFIRMED]
    life.check()


@OF_BOTH
async def test_a_request_that_was_lost_is_absent_after_its_window_and_another_follows(kind: Kind) -> None:
    life = Life(kind)
    life.answers("lost_request")
    await life.goes_on()
    assert life.states == [State.ABSENT, State.CONFIRMED]
    first, second = life.world.sent
    assert first.amount != second.amount
    assert second.created_at_ms - first.created_at_ms >= 5_000 + 2_000 + 5_000
    life.check()


@OF_BOTH
@pytest.mark.parametrize("answer", ["failing:1000", "refused", "refused_for_now", "refused_coin"])
async def test_one_that_was_refused_or_failed_is_tried_again_later(answer: str, kind: Kind) -> None:
    life = Life(kind)
    life.answers(answer)
    await life.goes_on(60)
    assert life.states == [State.REJECTED, State.CONFIRMED]
    first, second = life.world.sent
    assert first.amount != second.amount
    life.check()


@OF_BOTH
@pytest.mark.parametrize("answer", ["ok", "lost_answer", "lost_request"])
@pytest.mark.parametrize("history", ["partial", "down"])
@pytest.mark.parametrize("lag_ms", [0, pytest.param(4_500, marks=pytest.mark.slow)])
async def test_a_history_that_is_late_partial_or_down_makes_no_second_one(
    lag_ms: int, history: str, answer: str, kind: Kind
) -> None:
    """Whoever decides needs the list: what comes after the write is struck."""
    life = Life(kind)
    life.world.row_lag_ms = lag_ms
    life.answers(answer)
    await life.until_it_leaves()
    assert len(life.world.sent) == 1
    down = "fixed_repayments_down" if kind is Kind.FIXED_REPAYMENT else "repayments_down"
    name, value = (down, True) if history == "down" else ("rows_lack_each", 2)
    setattr(life.world, name, value)
    await life.goes_on(30, ms=1_000)
    if history == "down":
        assert [item.intent_id for item in life.intents if item.is_open] == [life.intents[0].intent_id]
    setattr(life.world, name, 0)
    await life.goes_on(30)
    assert life.states == ([State.ABSENT] if answer == "lost_request" else []) + [State.CONFIRMED]
    life.check()


@OF_BOTH
@pytest.mark.parametrize("what", ["stale_ms", "old_ltv_ms", "old_debt_ms"])
async def test_what_is_shown_of_before_it_is_not_acted_on(what: str, kind: Kind) -> None:
    life = Life(kind)
    await life.until_it_leaves()
    setattr(life.world, what, 6_000)
    await life.goes_on(12, ms=1_000)
    assert len(life.world.sent) == 1
    life.check()


@OF_BOTH
async def test_a_price_that_falls_on_is_answered_by_another(kind: Kind) -> None:
    life = Life(kind)
    await life.goes_on(2)
    life.world.price *= D("0.85")
    life.world.note()
    await life.goes_on(20)
    assert life.states == [State.CONFIRMED] * 2
    assert life.world.ltv(POOL) <= D("0.6513")


@OF_BOTH
async def test_coins_that_come_in_go_first(kind: Kind) -> None:
    life = Life(kind)
    life.world.move_by_hand(HELD, D(-1))
    await life.goes_on()
    assert [item.direction.value for item in life.world.sent] == ["add"]


@OF_BOTH
async def test_two_equal_ones_by_hand_and_ours_lost_end_ambiguous_are_told_and_never_repeated(
    kind: Kind,
) -> None:
    life = Life(kind)
    life.answers("lost_request")
    with structlog.testing.capture_logs() as events:
        await life.until_it_leaves()
        (ours,) = life.world.sent
        for _ in range(2):
            assert life.world.pay_with_collateral(ours.amount, None, of=ours.contract_id)
            life.world.advance(500)
        await life.goes_on(40)
    assert life.states == [State.AMBIGUOUS]
    assert [item["intent_id"] for item in events if item["event"] == "adjustment_ambiguous"] == [
        ours.intent_id
    ]
    assert len(life.world.sent) == 1


async def test_of_contracts_that_are_too_small_one_follows_the_other_at_once() -> None:
    """The list is read once a minute at most: what one owes after its repayment is reckoned meanwhile."""
    life = Life(Kind.FIXED_REPAYMENT, shares=("0.25",) * 4)
    await life.goes_on(8)
    assert len({item.contract_id for item in life.intents}) == len(life.intents) == 2
    life.check()


async def test_a_flexible_debt_goes_first_and_a_fixed_loan_after_it() -> None:
    life = Life(Kind.FIXED_REPAYMENT, shares=("0.8",))
    await life.goes_on(8)
    assert [item.contract_id for item in life.intents] == [None, life.world.contracts[0].loan_id]
    life.check()


async def test_a_contract_that_turned_flexible_after_both_were_repaid_keeps_no_emergency_waiting() -> None:
    """Found by the state machine: each debt was measured by the other, and neither was seen to stay."""
    life = Life(Kind.FIXED_REPAYMENT, shares=("0.8",))
    life.world.contracts[0].at_end = AtEnd.FLEXIBLE
    life.world.contracts[0].ends_ms = life.world.true_ms + 30_000
    await life.goes_on(20)
    assert len(life.intents) == 2
    assert not life.world.contracts
    life.world.price *= D("0.78")
    life.world.note()
    await life.goes_on(8)
    assert len(life.intents) > 2


async def test_steps_follow_one_another_at_once_though_something_was_added_before() -> None:
    """What they take of the collateral no row tells: that is no reason to doubt it, after our own add."""
    for kind in KINDS:
        life = Life(kind, policy=replace(SELLS, repay_with_collateral=IN_STEPS))
        life.world.wallet[HELD] = D("0.05")
        await life.goes_on(10, ms=1_000)
        assert [item.collateral_coin for item in life.intents] == [None, *[HELD] * 4]
        assert life.world.ltv(POOL) <= D("0.6513")


async def test_a_part_of_one_is_paid_and_then_the_rest_of_its_need() -> None:
    """At most 5000 USDT at a time, which is no limit of what it may come to."""
    policy = CollateralRepayRule(enabled=True, max_repay={OWED: D(5000)})
    life = Life(Kind.FIXED_REPAYMENT, policy=LoanPolicy(
        collateral_preference=SELLS.collateral_preference,
        add=SELLS.add, limits=SELLS.limits, repay_with_collateral=policy,
    ))  # fmt: skip
    with structlog.testing.capture_logs() as events:
        await life.goes_on(12)
    life.check()
    assert len(life.intents) == 3
    assert all(item.amount <= 5000 for item in life.intents)
    assert not [item for item in events if item["event"] == "protection_short"]


def short(events: list[Any]) -> list[str]:
    return [item["log_level"] for item in events if item["event"] == "protection_short"]


@OF_BOTH
async def test_nothing_alarms_between_the_steps_of_a_rescue(kind: Kind) -> None:
    """Prices fall on."""
    life = Life(kind)
    with structlog.testing.capture_logs() as events:
        for _ in range(6):
            await life.goes_on(3, ms=700)
            life.world.price *= D("0.96")
            life.world.note()
        await life.goes_on(10)
    assert len(life.intents) == 2
    assert life.world.ltv(POOL) < D("0.75")
    assert short(events) == []


@OF_BOTH
@pytest.mark.slow
async def test_nor_while_the_end_of_the_last_add_is_awaited(kind: Kind) -> None:
    """It is in the loan by its coins, and its row is late: in a moment collateral may pay."""
    life = Life(kind)
    life.world.move_by_hand(HELD, D("-0.004"))
    life.world.row_lag_ms = 15_000
    with structlog.testing.capture_logs() as events:
        await life.goes_on(20)
    assert [item.collateral_coin for item in life.intents] == [None, HELD]
    assert short(events) == ["warning"]  # with the add: there was too little of it


@OF_BOTH
async def test_what_a_days_cap_leaves_undone_is_a_warning_below_the_trigger_and_an_alarm_above_it(
    kind: Kind,
) -> None:
    life = Life(kind, caps=WalletRules(max_repay_with_collateral_24h={OWED: D(9000)}))
    with structlog.testing.capture_logs() as events:
        await life.goes_on(8)
        assert D("0.65") < life.world.ltv(POOL) < D("0.75")
        assert set(short(events)) == {"warning"}
        assert any("max_repay_with_collateral_24h" in str(item.get("held_back")) for item in events)
        life.world.price *= D("0.9")
        life.world.note()
        await life.goes_on(3)
        assert short(events)[-1] == "critical"
        told = len(short(events))
        life.world.price /= D("0.9")
        life.world.note()
        await life.goes_on(40)
    assert short(events)[told:].count("critical") == 0


@OF_BOTH
@pytest.mark.parametrize(("fee", "level"), [("0.004", "info"), ("0.01", "info"), ("0.013", "warning")])
async def test_what_one_really_took_is_told_and_whether_that_was_more_than_expected(
    fee: str, level: str, kind: Kind
) -> None:
    life = Life(kind)
    life.world.fee = D(fee)
    with structlog.testing.capture_logs() as events:
        await life.goes_on(10)
    told = [item for item in events if item["event"] == "collateral_sold"]
    assert [item["intent_id"] for item in told] == [item.intent_id for item in life.intents]
    first = told[0]
    assert (first["fee"], first["max_fee"], first["log_level"]) == (D(fee), D("0.01"), level)
    assert ("why" in first) is (level == "warning")
    assert first["sold"] == 1 - life.world.views[POOL][-1].collateral or len(told) > 1


@OF_BOTH
@pytest.mark.parametrize(("lags", "after"), [(["row_lag_ms"], 0), (["row_lag_ms", "old_debt_ms"], 8)])
async def test_what_a_hand_sold_for_another_debt_is_no_fee_of_ours(
    lags: list[str], after: int, kind: Kind
) -> None:
    """Also where its row is late, or what it paid of the debt."""
    life = Life(kind, shares=("0.5", "0.4"))
    if kind is Kind.REPAYMENT:
        life.world.loans[POOL].debt -= 2000
        life.world.sign_contract(OWED, D(2000), IN_A_MONTH_MS, AtEnd.REPAID)
    other = life.world.contracts[-1]
    with structlog.testing.capture_logs() as events:
        await life.until_it_leaves()
        assert life.world.sent[0].contract_id != other.loan_id
        for lag in lags:
            setattr(life.world, lag, 4_000)
        await life.goes_on(after, ms=500)
        assert life.world.pay_with_collateral(D(1500), None, of=other.loan_id)
        await life.goes_on(9, ms=500)
        for lag in lags:
            setattr(life.world, lag, 0)
        await life.goes_on(20, ms=1_000)
    assert [item for item in events if item["event"] == "collateral_sold" and item["fee"] > D("0.01")] == []


@OF_BOTH
@pytest.mark.parametrize("lag_ms", [0, 4_000])
async def test_nor_is_what_a_hand_took_out(lag_ms: int, kind: Kind) -> None:
    """Its row may be late."""
    life = Life(kind)
    with structlog.testing.capture_logs() as events:
        await life.until_it_leaves()
        life.world.row_lag_ms = lag_ms
        life.world.advance(1)
        assert life.world.move(POOL, Direction.REDUCE, D("0.003"), None)
        life.world.move_by_hand(HELD, D("0.003"))
        life.world.price *= D("1.03")
        await life.goes_on(20, ms=1_000)
    assert len(life.world.sent) == 1
    assert {item["fee"] for item in events if item["event"] == "collateral_sold"} <= {FEE}


async def test_what_one_took_waits_while_the_pool_can_not_be_read() -> None:
    life = Life(Kind.FIXED_REPAYMENT)
    with structlog.testing.capture_logs() as events:
        await life.until_it_leaves()
        life.world.stale_ms = 2_000
        await life.goes_on(1, ms=500)
        life.world.pool_down = True
        await life.goes_on(3)
        assert not [item for item in events if item["event"] in {"defect", "collateral_sold"}]
        life.world.pool_down, life.world.stale_ms = False, 0
        await life.goes_on(3)
    assert [item["fee"] for item in events if item["event"] == "collateral_sold"] == [FEE]


@OF_BOTH
async def test_it_is_told_where_its_answer_was_lost_with_the_process_too(kind: Kind) -> None:
    life = Life(kind)
    await die(life, "after_send")
    with structlog.testing.capture_logs() as events:
        await life.goes_on(20)
    (told,) = [item for item in events if item["event"] == "collateral_sold"]
    assert told["fee"] == FEE


async def die(life: Life, where: str) -> None:
    crashing(life.world, life.journal, where)
    for _ in range(6):
        try:
            await life.goes_on(1)
        except Crash:
            break
    life.journal = MemoryJournal.restored(life.journal.snapshot())
    life.world.monotonic_ms = 5
    life.world.crash_at, life.world.slow_signings = None, 0
    life.start()


@OF_BOTH
async def test_one_that_ends_late_while_nobody_looks_is_found_by_a_row_with_the_time_of_its_end(
    kind: Kind,
) -> None:
    """And the pool is helped again when prices fall on."""
    life = Life(kind)
    life.answers("pending:9000")
    await life.until_it_leaves()
    life.world.advance(10_000)
    life.world.rows = [
        replace(row, shown=replace(row.shown, at_ms=row.landed_ms or 0)) for row in life.world.rows
    ]
    life.start()
    await life.goes_on(20)
    assert life.states == [State.CONFIRMED]
    life.check()
    life.world.price *= D("0.85")
    life.world.note()
    await life.goes_on(20)
    assert life.world.ltv(POOL) <= D("0.6513")


ANSWERS = ("ok", "lost_answer", "lost_request", "late:4900", "pending:9000", "failing:1000")


def crossed(places: Iterable[str]) -> list[object]:
    """The full matrix is of the night; a class of outcome is told by what stays."""
    stay = {("after_send", "ok"), ("after_send", "lost_request"), ("write:record:1", "lost_answer")}
    return [
        pytest.param(*pair, marks=() if pair in stay else pytest.mark.nightly, id=" ".join(pair))
        for pair in crossed_with_answers(places, ANSWERS)
    ]


@OF_BOTH
@pytest.mark.parametrize(("where", "answer"), crossed(CRASHES))
async def test_a_process_that_dies_anywhere_doubles_nothing(where: str, answer: str, kind: Kind) -> None:
    life = Life(kind)
    life.answers(answer)
    await die(life, where)
    await life.goes_on(40)
    assert all(not item.is_open for item in life.intents)
    life.check()


@OF_BOTH
@pytest.mark.nightly
@pytest.mark.parametrize("lag_ms", [0, 1_500, 4_500])
@pytest.mark.parametrize("what", ["", "stale_ms", "old_ltv_ms", "old_debt_ms"])
@pytest.mark.parametrize("every", [0, 2, 3])
@pytest.mark.parametrize(
    "answer", [*ANSWERS, "late:500", "refused", "refused_for_now", "refused_coin", "not_sent"]
)
async def test_whatever_becomes_of_the_answer_the_row_and_what_is_read(
    answer: str, every: int, what: str, lag_ms: int, kind: Kind
) -> None:
    """Every answer with every lag of the row, every row that is not understood, all that is shown late."""
    life = Life(kind)
    life.world.row_lag_ms = lag_ms
    life.answers(answer)
    await life.until_it_leaves()
    life.world.rows_lack_each = every
    if what:
        setattr(life.world, what, 5_000)
    await life.goes_on(20, ms=1_000)
    if what:
        setattr(life.world, what, 0)
    life.world.rows_lack_each = 0
    await life.goes_on(40)
    assert all(not item.is_open for item in life.intents)
    life.check()


async def test_a_contract_that_ends_during_an_emergency_of_minutes_is_told_as_overdue_all_the_same() -> None:
    small = replace(SELLS, repay_with_collateral=CollateralRepayRule(enabled=True, max_repay={OWED: D(600)}))
    life = Life(Kind.REPAYMENT, policy=small)
    life.world.sign_contract(OWED, D(100), 20_000, AtEnd.REPAID)
    life.world.price *= D("0.84")
    with structlog.testing.capture_logs() as told:
        await life.goes_on(20, ms=8_000)
    ended = [line for line in told if line["event"] == "cycle_finished"]
    assert all(line["open_intents"] and line["worst_ltv"] > D("0.80") for line in ended[1:])
    overdue = {line["contract"] for line in told if line["event"] == "loan_overdue"}
    assert overdue == {life.world.contracts[0].loan_id}
