"""The last resort: debt is repaid where no collateral can be added. It is final, so never too early."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
import structlog
from contract_world import a_pool_with_contracts
from exchange_model import POLICY, POOL, Crash, World, a_guard, a_world
from exchange_world import HELD, OWED
from transfers_and_repayments import (
    ADD,
    CRASHES,
    MOVES,
    ONE,
    PAYS,
    REPAY,
    TRANSFER,
    TWO,
    at_target,
    crashing,
    crossed_with_answers,
    cycles,
    landed,
    sent,
    states,
)

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Kind, LoanKey
from ltv_guard.core.model.policy import RepayRule, WalletRules
from ltv_guard.guard.cycle import Guard

INTEREST = Decimal("0.0001")  # an hour: much, to be seen
OF_BOTH = pytest.mark.parametrize("key", [ONE, POOL], ids=["order", "pool"])


def needy(key: LoanKey, ltv: str, owed: str = "90000", wallet: str = "0", unified: str = "0") -> World:
    """One loan at `ltv`, and coins to repay with."""
    if key == POOL:
        return a_world(pool=ltv, wallet=wallet, owed=owed, unified=unified)
    return a_world(ltv, wallet=wallet, owed=owed, unified=unified)


def paying(world: World, journal: MemoryJournal, **options: object) -> Guard:
    options = {"policy": PAYS, "transfers": MOVES, **options}
    return a_guard(world, journal, **options)  # type: ignore[arg-type]


def repaid(world: World) -> Decimal:
    return sum((row.shown.amount for row in world.rows if row.shown.direction is REPAY), Decimal(0))


# One repayment.


@OF_BOTH
async def test_where_there_is_no_collateral_one_repayment_brings_a_loan_to_its_target(key: LoanKey) -> None:
    world, journal = needy(key, "0.77"), MemoryJournal()
    await cycles(paying(world, journal), world, 5)
    assert landed(world) == [REPAY]
    assert at_target(world, key)
    assert states(journal, REPAY) == [State.CONFIRMED]


async def test_what_is_owed_in_the_coin_that_prices_are_told_in_is_repaid_though_none_can_be_read() -> None:
    """Beside a debt in another coin, so that the pool's numbers do not tell what either is worth."""
    of_two = {OWED: Decimal("0.1"), HELD: Decimal("0.1")}
    world = a_pool_with_contracts(
        needy(POOL, "0.77"), of_two, ends_in_ms=3_600_000_000, at_end=AtEnd.FLEXIBLE
    )
    journal, world.prices_down = MemoryJournal(), True
    await cycles(paying(world, journal), world, 5)
    assert landed(world) == [REPAY]
    assert at_target(world, POOL)


@OF_BOTH
async def test_nothing_is_repaid_unless_it_is_switched_on(key: LoanKey) -> None:
    world, journal = needy(key, "0.90"), MemoryJournal()
    await cycles(paying(world, journal, policy=POLICY), world, 10)
    assert world.sent == []


async def test_adding_goes_before_moving_and_moving_before_repaying() -> None:
    world, journal = needy(ONE, "0.80", wallet="0.08", unified="0.08"), MemoryJournal()
    await cycles(paying(world, journal), world, 12)
    assert landed(world) == [ADD, TRANSFER, ADD, REPAY]
    assert at_target(world)


@OF_BOTH
@pytest.mark.parametrize("answer", ["lost_answer", "late:500", "late:4900", "pending:9000"])
async def test_a_repayment_without_a_plain_answer_lands_once(answer: str, key: LoanKey) -> None:
    world, journal = needy(key, "0.77"), MemoryJournal()
    world.answers_to = {Kind.REPAYMENT: [answer]}
    await cycles(paying(world, journal), world)
    assert sent(world) == [REPAY]
    assert states(journal, REPAY) == [State.CONFIRMED]
    assert at_target(world, key)


@OF_BOTH
async def test_a_request_that_was_lost_is_absent_after_its_window_and_another_follows(key: LoanKey) -> None:
    world, journal = needy(key, "0.77"), MemoryJournal()
    world.answers_to = {Kind.REPAYMENT: ["lost_request"]}
    await cycles(paying(world, journal), world)
    assert states(journal, REPAY) == [State.ABSENT, State.CONFIRMED]
    first, second = world.sent
    assert first.amount != second.amount
    assert second.created_at_ms - (first.signed_at_ms or first.created_at_ms) >= 5_000 + 2_000 + 5_000
    assert at_target(world, key)


@OF_BOTH
async def test_one_that_failed_is_rejected_and_tried_again(key: LoanKey) -> None:
    world, journal = needy(key, "0.77"), MemoryJournal()
    world.answers_to = {Kind.REPAYMENT: ["failing:1000"]}
    await cycles(paying(world, journal), world)
    assert states(journal, REPAY) == [State.REJECTED, State.CONFIRMED]
    assert at_target(world, key)


@OF_BOTH
@pytest.mark.parametrize("interest", [Decimal(0), INTEREST])
@pytest.mark.parametrize("ltv", ["0.77", "0.85"])
@pytest.mark.parametrize("what", ["stale_ms", "old_ltv_ms", "old_debt_ms"])
async def test_what_is_shown_of_before_a_repayment_is_not_acted_on(
    what: str, ltv: str, interest: Decimal, key: LoanKey
) -> None:
    world, journal = needy(key, ltv), MemoryJournal()
    world.hourly_interest = interest
    guard = paying(world, journal)
    await cycles(guard, world, 1, ms=500)
    setattr(world, what, 6_000)
    await cycles(guard, world, 12, ms=1_000)
    assert sent(world) == [REPAY]
    assert world.ltv(key) < Decimal("0.651")


@OF_BOTH
@pytest.mark.parametrize("what", ["stale_ms", "old_ltv_ms", "old_debt_ms"])
async def test_nor_is_an_add_made_on_it(what: str, key: LoanKey) -> None:
    """Coins come in right after the repayment."""
    world, journal = needy(key, "0.77"), MemoryJournal()
    guard = paying(world, journal)
    await cycles(guard, world, 1, ms=500)
    setattr(world, what, 6_000)
    world.move_by_hand("BTC", Decimal(-5))
    await cycles(guard, world, 12, ms=1_000)
    assert sent(world) == [REPAY]


@OF_BOTH
@pytest.mark.parametrize("fall", ["0.93", "0.80"])
async def test_a_price_that_falls_on_meanwhile_is_answered_by_another(fall: str, key: LoanKey) -> None:
    """Between the plan and the look after it: that is a new need, and no echo of the old one."""
    world, journal = needy(key, "0.77"), MemoryJournal()
    world.hourly_interest = INTEREST
    guard = paying(world, journal)
    await cycles(guard, world, 1)
    world.price *= Decimal(fall)
    world.note()
    await cycles(guard, world, 30, ms=1_000)
    assert set(landed(world)) == {REPAY}
    assert world.ltv(key) < Decimal("0.75")


@OF_BOTH
async def test_in_an_emergency_without_ticker_prices_the_loan_is_not_left_alone(key: LoanKey) -> None:
    """For an order: a pool is not acted on without prices."""
    world, journal = needy(key, "0.77"), MemoryJournal()
    guard = paying(world, journal)
    await cycles(guard, world, 1)
    world.price *= Decimal("0.75")
    world.note()
    world.prices_down = key == ONE
    await cycles(guard, world, 30, ms=1_000)
    assert len(landed(world)) == 2
    assert world.ltv(key) < Decimal("0.66")


async def test_interest_that_ticks_does_not_keep_a_loan_from_being_believed() -> None:
    """The user borrows more beside our repayment, which no row tells: the debt is believed once it is steady.

    It never is to the last digit: interest moves it.
    """
    world, journal = needy(POOL, "0.77"), MemoryJournal()
    world.hourly_interest = INTEREST
    guard = paying(world, journal)
    await cycles(guard, world, 1)
    world.loans[POOL].debt += 20_000
    world.note()
    await cycles(guard, world, 20)
    assert world.ltv(POOL) < Decimal("0.651")


async def test_a_part_that_is_liquidated_is_not_taken_for_a_repayment_of_about_its_size() -> None:
    """Found by the state machine: the debt from between the two was believed, and repaid once more."""
    world, journal = needy(ONE, "0.90"), MemoryJournal()
    policy = replace(PAYS, repay=RepayRule(enabled=True, max_repay={"USDT": Decimal(5200)}))
    guard = paying(world, journal, policy=policy)
    world.answers_to = {Kind.REPAYMENT: ["late:4900"]}
    world.advance(5_000)
    world.liquidate_part(ONE, Decimal("0.1"))  # of 1 BTC at 50,000 USD
    world.stale_ms = 2_000
    await cycles(guard, world, 11, ms=500)
    world.stale_ms = 5_000
    await cycles(guard, world, 8, ms=500)
    assert sent(world) == [REPAY]


async def test_nor_is_a_repayment_whose_request_was_lost_waited_for_because_of_it() -> None:
    world, journal = needy(ONE, "0.77"), MemoryJournal()
    policy = replace(PAYS, repay=RepayRule(enabled=True, max_repay={"USDT": Decimal(5200)}))
    world.answers_to = {Kind.REPAYMENT: ["lost_request"]}
    guard = paying(world, journal, policy=policy)
    await cycles(guard, world, 1)
    world.liquidate_part(ONE, Decimal("0.1"))
    await cycles(guard, world, 20)
    assert states(journal, REPAY)[0] is State.ABSENT
    assert world.ltv(ONE) < Decimal("0.75")


# Caps.


@OF_BOTH
async def test_each_repayment_is_at_most_max_repay(key: LoanKey) -> None:
    world, journal = needy(key, "0.77"), MemoryJournal()
    policy = replace(PAYS, repay=RepayRule(enabled=True, max_repay={"USDT": Decimal(2000)}))
    await cycles(paying(world, journal, policy=policy), world, 15)
    assert set(landed(world)) == {REPAY}
    assert len(landed(world)) > 1
    assert all(item.amount <= 2000 for item in world.sent)
    assert world.ltv(key) < Decimal("0.651")


@pytest.mark.parametrize("answer", ["ok", "lost_answer", "lost_request", "late:4900", "pending:20000"])
async def test_a_days_repayments_stay_within_max_repay_24h_over_restarts_and_unknown_ends(
    answer: str,
) -> None:
    world, journal = needy(ONE, "0.93"), MemoryJournal()
    cap = Decimal(3000)
    policy = replace(PAYS, repay=RepayRule(enabled=True, max_repay={"USDT": Decimal(2000)}))
    wallet = WalletRules(max_repay_24h={"USDT": cap})
    world.answers_to = {Kind.REPAYMENT: [answer] * 9}
    for _ in range(12):
        journal = MemoryJournal.restored(journal.snapshot())
        world.monotonic_ms = 5
        await cycles(paying(world, journal, policy=policy, wallet=wallet), world, 6, ms=3_000)
        open_or_landed = [
            item.amount
            for item in journal.snapshot().intents.values()
            if item.is_open or item.state is State.CONFIRMED
        ]
        assert sum(open_or_landed) <= cap
    assert repaid(world) <= cap
    if answer != "lost_request":
        assert repaid(world) > Decimal(2990)


async def test_the_reserve_is_not_repaid_with_before_it_is_an_emergency() -> None:
    world, journal = needy(ONE, "0.77", owed="20000"), MemoryJournal()
    guard = paying(world, journal, wallet=WalletRules(reserve={"USDT": Decimal(20_000)}))
    await cycles(guard, world, 5)
    assert world.sent == []
    world.price *= Decimal("0.95")
    world.note()
    await cycles(guard, world, 5)
    assert landed(world) == [REPAY]


# Not too early.


@pytest.mark.parametrize("ltv", ["0.77", "0.82"])
@pytest.mark.parametrize("refusals", [1, 2])
async def test_a_refusal_of_the_moment_repays_nothing(refusals: int, ltv: str) -> None:
    """A balance that was read a moment too early, a clock that was off: the next try lands."""
    world, journal = needy(ONE, ltv, wallet="10"), MemoryJournal()
    world.answers_to = {Kind.ADJUSTMENT: ["refused_for_now"] * refusals}
    await cycles(paying(world, journal), world, 30, ms=500)
    assert landed(world) == [ADD]
    assert REPAY not in sent(world)
    assert at_target(world)


async def test_one_run_waits_for_the_next_try_before_it_repays_or_gives_up() -> None:
    world, journal = needy(ONE, "0.77", wallet="10"), MemoryJournal()
    world.answers_to = {Kind.ADJUSTMENT: ["refused_for_now"]}
    guard = paying(world, journal)
    await guard.cycle()
    world.advance(1_000)
    outcome = await guard.cycle()
    assert (outcome.left_open, outcome.waits) == (0, True)


async def test_a_refusal_of_long_ago_does_not_make_the_next_one_stand() -> None:
    """Between them the exchange took the coin."""
    world, journal = needy(ONE, "0.77", wallet="10"), MemoryJournal()
    world.answers_to = {Kind.ADJUSTMENT: ["refused_for_now", "ok", "refused_for_now"]}
    guard = paying(world, journal)
    await cycles(guard, world, 10)
    world.price *= Decimal("0.84")
    world.note()
    await cycles(guard, world, 20, ms=500)
    assert landed(world) == [ADD, ADD]
    assert REPAY not in sent(world)


@pytest.mark.parametrize("answer", ["refused_for_now", "failing:100"])
async def test_nor_does_one_of_a_transfer(answer: str) -> None:
    world, journal = needy(ONE, "0.77", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: [answer]}
    await cycles(paying(world, journal), world, 30, ms=500)
    assert landed(world) == [TRANSFER, ADD]
    assert REPAY not in sent(world)


@OF_BOTH
async def test_a_refusal_that_stands_is_repaid_around(key: LoanKey) -> None:
    world, journal = needy(key, "0.77", wallet="10"), MemoryJournal()
    world.answers_to = {Kind.ADJUSTMENT: ["refused_for_now"] * 9}
    await cycles(paying(world, journal), world, 30, ms=1_000)
    assert [item for item in sent(world) if item is ADD] == [ADD] * 3
    assert landed(world) == [REPAY]
    assert at_target(world, key)


@OF_BOTH
async def test_a_platform_that_takes_no_more_of_the_coin_is_repaid_around_at_once(key: LoanKey) -> None:
    world, journal = needy(key, "0.77", wallet="10"), MemoryJournal()
    world.answers_to = {Kind.ADJUSTMENT: ["refused_coin"]}
    await cycles(paying(world, journal), world, 5)
    assert sent(world) == [ADD, REPAY]
    assert at_target(world, key)


async def test_a_key_that_may_not_transfer_is_repaid_around_at_once() -> None:
    world, journal = needy(ONE, "0.77", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: ["refused_key"]}
    await cycles(paying(world, journal), world, 5)
    assert sent(world) == [TRANSFER, REPAY]


@pytest.mark.parametrize("ltv", ["0.77", "0.82"])
async def test_a_transfer_whose_answer_was_lost_is_not_repaid_around_before_its_window_is_over(
    ltv: str,
) -> None:
    """Its row and the coins show a moment later."""
    world, journal = needy(ONE, ltv, unified="10"), MemoryJournal()
    world.answers_to, world.row_lag_ms = {Kind.TRANSFER: ["lost_answer"]}, 4_000
    world.stale_wallet_ms = 4_000
    await cycles(paying(world, journal), world, 20, ms=1_000)
    assert landed(world) == [TRANSFER, ADD]


async def test_in_an_emergency_a_transfer_whose_end_stays_unknown_is_repaid_around() -> None:
    world, journal = needy(ONE, "0.82", unified="10"), MemoryJournal()
    world.answers_to, world.transfers_down = {Kind.TRANSFER: ["lost_request"]}, True
    await cycles(paying(world, journal), world, 8)
    assert sent(world) == [TRANSFER, REPAY]
    assert at_target(world)
    assert world.sent[1].created_at_ms - world.sent[0].created_at_ms >= 5_000 + 2_000


async def test_without_an_emergency_it_is_waited_for() -> None:
    world, journal = needy(ONE, "0.77", unified="10"), MemoryJournal()
    world.answers_to, world.transfers_down = {Kind.TRANSFER: ["lost_request"]}, True
    await cycles(paying(world, journal), world, 60)
    assert sent(world) == [TRANSFER]


async def test_in_an_emergency_a_transfer_that_stays_pending_is_repaid_around_after_half_a_minute() -> None:
    world, journal = needy(ONE, "0.82", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: ["pending:600000"]}
    await cycles(paying(world, journal), world, 30)
    assert sent(world) == [TRANSFER, REPAY]
    assert at_target(world)
    assert world.sent[1].created_at_ms - world.sent[0].created_at_ms >= 30_000


async def test_coins_of_an_open_add_may_be_there_for_another_loan_so_that_is_not_repaid() -> None:
    """The lost add took its coins already, and they are taken off once more until its end is known."""
    world, journal = a_world("0.78", "0.60", wallet="0.41", owed="90000"), MemoryJournal()
    world.answers_to, world.row_lag_ms = {Kind.ADJUSTMENT: ["lost_answer"]}, 4_000
    guard = paying(world, journal)
    await cycles(guard, world, 1)
    world.loans[TWO].debt = Decimal("0.77") * 50_000
    world.note()
    await cycles(guard, world, 10)
    assert set(landed(world)) == {ADD}
    assert at_target(world, TWO)


@pytest.mark.parametrize("what", ["wallet_down", "unified_down"])
async def test_a_read_that_fails_repays_nothing(what: str) -> None:
    world, journal = needy(ONE, "0.77", wallet="0", unified="10"), MemoryJournal()
    guard = paying(world, journal)
    setattr(world, what, True)
    await cycles(guard, world, 10)
    assert world.sent == []
    setattr(world, what, False)
    await cycles(guard, world, 5)
    assert landed(world) == [TRANSFER, ADD]


@OF_BOTH
async def test_without_the_list_of_repayments_nothing_is_repaid_and_that_is_said(key: LoanKey) -> None:
    world, journal = needy(key, "0.82"), MemoryJournal()
    world.repayments_down = True
    with structlog.testing.capture_logs() as events:
        await cycles(paying(world, journal), world, 10)
    assert world.sent == []
    cries = [item for item in events if item["event"] == "protection_short"]
    assert cries
    assert cries[0]["log_level"] == "critical"


@OF_BOTH
async def test_an_old_doubt_does_not_make_the_ltv_from_before_the_last_coins_believed(key: LoanKey) -> None:
    """Found by the state machine: what was left of the collateral was added, and all of the need repaid."""
    world, journal = needy(key, "0.80", wallet="0.5"), MemoryJournal()
    guard = paying(world, journal)
    await cycles(guard, world, 2)
    world.price *= Decimal("0.75")
    world.note()
    world.prices_off = Decimal("1.2")
    while sent(world) == [ADD]:
        await cycles(guard, world, 1, ms=1_000)
    world.old_ltv_ms = 5_000
    await cycles(guard, world, 5, ms=900)
    assert sent(world) == [ADD, ADD]


# Beside an open repayment.


@OF_BOTH
async def test_an_open_repayment_allows_one_rescue_add_in_an_emergency_once_its_window_is_over(
    key: LoanKey,
) -> None:
    world, journal = needy(key, "0.82"), MemoryJournal()
    world.answers_to, world.repayments_down = {Kind.REPAYMENT: ["lost_answer"]}, False
    guard = paying(world, journal)
    await cycles(guard, world, 1)
    world.repayments_down, world.stale_ms = True, 0
    world.price *= Decimal("0.75")
    world.move_by_hand("BTC", Decimal(-5))
    await cycles(guard, world, 20)
    assert sent(world) == [REPAY, ADD]
    first, rescue = world.sent
    assert rescue.rescue_of == first.intent_id
    assert rescue.created_at_ms - first.created_at_ms >= 5_000 + 2_000
    world.repayments_down = False
    await cycles(guard, world, 5)
    assert states(journal, REPAY) == [State.CONFIRMED]


async def test_both_may_land() -> None:
    world, journal = needy(ONE, "0.82"), MemoryJournal()
    world.answers_to = {Kind.REPAYMENT: ["pending:60000"]}
    guard = paying(world, journal)
    await cycles(guard, world, 2)
    world.move_by_hand("BTC", Decimal(-5))
    await cycles(guard, world, 40)
    assert landed(world) == [ADD, REPAY]
    assert world.ltv(ONE) > Decimal("0.40")
    assert not any(item.is_open for item in journal.snapshot().intents.values())


@OF_BOTH
@pytest.mark.parametrize("max_repay", [2_000, 90_000])
@pytest.mark.parametrize("pending_ms", [31_000, 34_000, 60_000])
async def test_an_ltv_from_between_the_rescue_and_what_it_rescues_is_not_acted_on(
    pending_ms: int, max_repay: int, key: LoanKey
) -> None:
    """The repayment lands late: what is shown then has the add in it, and an LTV from before the other."""
    world, journal = needy(key, "0.84"), MemoryJournal()
    policy = replace(PAYS, repay=RepayRule(enabled=True, max_repay={"USDT": Decimal(max_repay)}))
    world.answers_to = {Kind.REPAYMENT: [f"pending:{pending_ms}"]}
    guard = paying(world, journal, policy=policy)
    await cycles(guard, world, 2)
    world.move_by_hand("BTC", Decimal("-0.05"))
    while REPAY not in landed(world):
        await cycles(guard, world, 1, ms=500)
    assert sent(world) == [REPAY, ADD]
    world.old_ltv_ms = 5_000
    await cycles(guard, world, 9, ms=500)
    assert sent(world) == [REPAY, ADD]


# Crashes.


@pytest.mark.parametrize(
    ("where", "answer"),
    crossed_with_answers(
        [item for item in CRASHES if not item.endswith((":2", ":3"))],
        ["ok", "lost_answer", "lost_request", "late:4000", "pending:4000"],
    ),
)
@OF_BOTH
async def test_a_crash_at_any_step_of_a_repayment_repays_nothing_twice(
    key: LoanKey, where: str, answer: str
) -> None:
    world, journal = needy(key, "0.77"), MemoryJournal()
    world.answers_to = {Kind.REPAYMENT: [answer]}
    crashing(world, journal, where)
    guard, crashes = paying(world, journal), 0
    for _ in range(60):
        try:
            await guard.cycle()
        except Crash:
            crashes += 1
            journal = MemoryJournal.restored(journal.snapshot())
            world.monotonic_ms = 5
            guard = paying(world, journal)
        world.advance(2_000)
    assert crashes == 1
    assert landed(world) == [REPAY]
    assert not any(item.is_open for item in journal.snapshot().intents.values())
    confirmed = [i.intent_id for i in journal.snapshot().intents.values() if i.state is State.CONFIRMED]
    assert confirmed == world.applied
    assert at_target(world, key)


@pytest.mark.parametrize("what", ["stale_ms", "old_ltv_ms", "old_debt_ms"])
@OF_BOTH
async def test_a_restart_after_a_repayment_still_tells_old_facts_from_new_ones(
    key: LoanKey, what: str
) -> None:
    world, journal = needy(key, "0.77"), MemoryJournal()
    await cycles(paying(world, journal), world, 2, ms=500)
    setattr(world, what, 6_000)
    await cycles(paying(world, MemoryJournal.restored(journal.snapshot())), world, 9, ms=1_000)
    assert sent(world) == [REPAY]
