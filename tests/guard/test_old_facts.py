"""Old facts after fresh ones: a loan, a wallet, a history from a replica that is a minute behind."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest
import structlog
from exchange_model import POLICY, POOL, START_MS, World, a_guard, a_world, with_limits
from transfers_and_repayments import ADD, MOVES, ONE, PAYS, REPAY, TRANSFER, at_target, cycles, landed, states

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import RowStatus
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Direction, Kind, LoanKey
from ltv_guard.core.model.policy import AddRule, LoanPolicy, RepayRule
from ltv_guard.guard.cycle import Guard

MINUTE = 30  # cycles of two seconds


@pytest.mark.parametrize("key", ["order", "pool"])
@pytest.mark.parametrize("old_s", [61, 75, 300])
async def test_a_read_from_before_an_add_is_never_acted_on(key: str, old_s: int) -> None:
    world = a_world("0.79") if key == "order" else a_world(pool="0.79")
    (loan,) = world.loans
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, MINUTE)
    assert landed(world) == [ADD]
    world.stale_ms = old_s * 1000
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, MINUTE)
    assert landed(world) == [ADD]
    assert [item["loan_id"] for item in logs if item["event"] == "loan_shown_as_before"] == [loan.loan_id]
    world.stale_ms = 0
    with structlog.testing.capture_logs() as more:
        await cycles(guard, world, 8)
    assert [item["event"] for item in (*logs, *more)].count("loan_shown_as_it_is") == 1
    await falls_and_is_saved(guard, world, loan)


def fall_to(world: World, loan: LoanKey, ltv: str) -> None:
    world.price = world.price * world.ltv(loan) / Decimal(ltv)
    world.note()


async def falls_and_is_saved(guard: Guard, world: World, loan: LoanKey) -> None:
    """The next need is met: nothing of the doubt is left."""
    before = world.applied[:]
    fall_to(world, loan, "0.80")
    await cycles(guard, world, 5)
    assert len(world.applied) == len(before) + 1


@pytest.mark.parametrize("restarts", [False, True])
async def test_nor_is_one_beside_a_history_that_shows_the_add_as_being_processed(*, restarts: bool) -> None:
    """An old replica of both: the row moves nothing yet, and the coins of before agree with that."""
    world, journal = a_world(pool="0.78"), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = ["pending:8000"]
    await cycles(guard, world, 1)
    old_ms = world.true_ms
    await cycles(guard, world, 10)
    assert landed(world) == [ADD]
    if restarts:
        guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
    for _ in range(20):
        world.stale_ms = world.old_rows_ms = world.true_ms - old_ms
        await cycles(guard, world, 1, ms=1_000)
    assert landed(world) == [ADD]


@pytest.mark.parametrize("restarts", [False, True])
async def test_nor_is_an_old_ltv_beside_new_coins_whose_row_is_shown_as_being_processed(
    *, restarts: bool
) -> None:
    """Found by the soak: until it is carried out, its row tells the same LTV twice, as if nothing moved."""
    world, journal = a_world(pool="0.78"), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = ["pending:1500"]
    await cycles(guard, world, 1, ms=1_000)
    fall_to(world, POOL, "0.79")
    before_ms = world.true_ms
    for _ in range(5):
        world.advance(1_000)
        world.old_ltv_ms = world.old_rows_ms = world.true_ms - before_ms
        await guard.cycle()
        if restarts:
            guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
    assert landed(world) == [ADD]
    assert [item.awaits_row for item in journal.snapshot().intents.values()] == [True]
    world.old_ltv_ms = world.old_rows_ms = 0
    await falls_and_is_saved(guard, world, POOL)


@pytest.mark.parametrize("key", [ONE, POOL])
async def test_nor_is_an_ltv_of_before_two_adds_of_which_the_later_moved_next_to_nothing(
    key: LoanKey,
) -> None:
    world = a_world("0.79", wallet="0.1") if key == ONE else a_world(pool="0.79", wallet="0.1")
    policy = with_limits(POLICY, min_adjustment_ratio=Decimal("0.0005"), cooldown_ms=0)
    guard = a_guard(world, MemoryJournal(), policy=policy)
    world.advance(1_000)
    before_ms = world.true_ms - 500
    await cycles(guard, world, 1, ms=1_000)
    world.move_by_hand("BTC", Decimal("-0.001"))
    await cycles(guard, world, 1, ms=1_000)
    assert landed(world) == [ADD, ADD]
    world.move_by_hand("BTC", Decimal(-10))
    world.old_ltv_ms = world.true_ms - before_ms
    await cycles(guard, world, 1, ms=1_000)
    assert landed(world) == [ADD, ADD]
    world.old_ltv_ms = 0
    await cycles(guard, world, 10)
    assert world.ltv(key) > Decimal("0.64")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("key", [ONE, POOL])
async def test_nor_is_one_that_owes_less_because_more_was_borrowed_since(
    key: LoanKey, *, restarts: bool
) -> None:
    """Less debt beside the coins of before looks as if a liquidation had taken as many."""
    world, journal = a_world("0.76") if key == ONE else a_world(pool="0.76"), MemoryJournal()
    old_ms = world.true_ms
    world.advance(5_000)
    guard = a_guard(world, journal)
    await cycles(guard, world, 10)
    if restarts:
        guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
        await cycles(guard, world, 1)
    world.loans[key].debt *= Decimal("1.05")
    world.note()
    await cycles(guard, world, 5)
    for _ in range(20):
        world.stale_ms = world.true_ms - old_ms
        await cycles(guard, world, 1, ms=1_000)
    assert landed(world) == [ADD]


@pytest.mark.parametrize("key", [ONE, POOL])
async def test_just_what_was_repaid_is_borrowed_anew_and_an_emergency_is_not_left_alone_for_that(
    key: LoanKey,
) -> None:
    """Found by the state machine. Below an emergency it waits: nothing tells it from a debt of before."""
    world = (
        a_world("0.79", wallet="0", owed="1000000")
        if key == ONE
        else a_world(pool="0.79", wallet="0", owed="1000000")
    )
    guard = a_guard(world, MemoryJournal(), policy=PAYS)
    await cycles(guard, world, 2)
    assert landed(world) == [REPAY]
    (paid,) = world.sent
    world.loans[key].debt += paid.amount
    world.move_by_hand("BTC", Decimal(-50))
    world.note()
    await cycles(guard, world, 60, ms=1_000)
    assert landed(world) == [REPAY]
    fall_to(world, key, "0.88")
    await cycles(guard, world, 5, ms=1_000)
    assert landed(world) == [REPAY, ADD]


@pytest.mark.parametrize("key", [ONE, POOL])
@pytest.mark.parametrize("apart_s", [1, 2, 8, 30])
async def test_the_same_ltv_again_and_again_as_prices_go_on_falling_is_acted_on_at_once(
    key: LoanKey, apart_s: int
) -> None:
    """Found by the benchmark of reactions: to the last digit it is what earlier adds were planned on."""
    world = a_world("0.735", wallet="1000") if key == ONE else a_world(pool="0.735", wallet="1000")
    still = replace(with_limits(POLICY, cooldown_ms=0), reduce=replace(POLICY.reduce, enabled=False))
    guard = a_guard(world, MemoryJournal(), policy=still)
    for many in range(1, 9):
        fall_to(world, key, "0.735")
        await cycles(guard, world, 2, ms=1_000)
        fall_to(world, key, "0.755")
        await guard.cycle()
        assert len(world.sent) == many
        await cycles(guard, world, apart_s, ms=1_000)


async def test_prices_that_part_by_more_than_a_small_add_moved_hold_up_nothing_after_a_larger_one() -> None:
    """In a crash quoted prices part: they bear out what the larger moved, and the small one does no harm."""
    world = a_world(pool="0.751", wallet="1000")
    rule = AddRule(trigger_ltv=Decimal("0.75"), target_ltv=Decimal("0.745"))
    still = replace(with_limits(POLICY, cooldown_ms=0), add=rule)
    guard = a_guard(world, MemoryJournal(), policy=still)
    for many, ltv in enumerate(("0.751", "0.79", "0.77"), start=1):
        fall_to(world, POOL, ltv)
        await guard.cycle()
        assert len(world.sent) == many
        world.advance(1_000)
        await cycles(guard, world, 1, ms=500)
        world.prices_off = Decimal("1.01") if many == 2 else Decimal(1)


async def test_a_read_from_before_a_repayment_is_never_acted_on() -> None:
    world = a_world("0.79", wallet="0", owed="1000000")
    guard = a_guard(world, MemoryJournal(), policy=PAYS)
    await cycles(guard, world, MINUTE)
    paid = landed(world)
    assert set(paid) == {REPAY}
    world.stale_ms = 62_000
    await cycles(guard, world, 4)
    assert landed(world) == paid


@pytest.mark.parametrize("interest", ["0", "0.0001"])
async def test_a_read_from_long_before_a_repayment_is_never_acted_on(interest: str) -> None:
    """Found by the state machine: its LTV was another one than the repayment was planned on."""
    world = a_world("0.85", wallet="0")
    world.hourly_interest = Decimal(interest)
    guard = a_guard(world, MemoryJournal(), policy=PAYS)
    await cycles(guard, world, MINUTE)
    fall_to(world, ONE, "0.79")
    world.wallet["USDT"] = Decimal(1_000_000)
    await cycles(guard, world, MINUTE)
    assert landed(world) == [REPAY]
    world.stale_ms = 90_000
    await cycles(guard, world, 4)
    assert landed(world) == [REPAY]


async def falls_and_can_pay(guard: Guard, world: World, loan: LoanKey, ltv: str) -> None:
    """A second later it is looked at anew, for fifteen."""
    fall_to(world, loan, ltv)
    world.wallet["USDT"] = Decimal(1_000_000)
    world.advance(1_000)
    await cycles(guard, world, 30, ms=500)


def pays_at_most(usdt: int) -> LoanPolicy:
    return replace(POLICY, repay=RepayRule(enabled=True, max_repay={"USDT": Decimal(usdt)}))


async def test_an_ltv_of_before_a_repayment_far_below_where_that_led_repays_nothing_more() -> None:
    """Found by the state machine: it was planned on an LTV of seconds ago, and prices had risen since."""
    world = a_world(pool="0.98", wallet="0")
    guard = a_guard(world, MemoryJournal(), policy=pays_at_most(4_000))
    world.old_ltv_ms = 5_000
    await cycles(guard, world, 3)
    await falls_and_can_pay(guard, world, POOL, "0.668")
    assert landed(world) == [REPAY]


async def test_without_prices_one_near_where_it_led_repays_no_more_than_is_needed() -> None:
    """Found by the state machine: the price had jumped just as it was planned, and 0.74 is near 0.76."""
    world = a_world("0.84", wallet="0")
    guard = a_guard(world, MemoryJournal(), policy=pays_at_most(4_000))
    world.prices_down = True
    world.old_ltv_ms = 5_000
    await cycles(guard, world, 3)
    await falls_and_can_pay(guard, world, ONE, "0.74")
    assert landed(world) == [REPAY, REPAY]
    assert at_target(world)


@pytest.mark.parametrize("key", [ONE, POOL])
@pytest.mark.parametrize(
    ("ltv", "rises", "no_prices", "waits"),
    [
        ("0.79", "0.01", True, True),
        ("0.79", "0.01", False, False),
        ("0.79", "0", True, False),
        ("0.79", "-0.01", True, False),
        ("0.98", "0.01", True, False),
    ],
)
async def test_a_further_repayment_waits_only_where_the_market_seems_to_have_risen(
    key: LoanKey, ltv: str, rises: str, *, no_prices: bool, waits: bool
) -> None:
    orders, pool = ([], ltv) if key == POOL else ([ltv], None)
    world = a_world(*orders, pool=pool, wallet="0", owed="1000000")
    guard = a_guard(world, MemoryJournal(), policy=pays_at_most(1_000))
    world.prices_down = no_prices
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 1, ms=1_000)
        world.price *= 1 + Decimal(rises)
        world.note()
        await cycles(guard, world, 4, ms=1_000)
        assert len(landed(world)) == (1 if waits else 5)
        assert not waits or not [item for item in logs if item["log_level"] == "critical"]
    if waits:
        assert (await guard.cycle()).waits
        await cycles(guard, world, 9, ms=1_000)
        assert len(landed(world)) > 1


async def test_nor_for_longer_where_the_end_was_written_down_by_a_clock_that_is_ahead() -> None:
    world, journal = a_world("0.79", wallet="0", owed="1000000"), MemoryJournal()
    policy = pays_at_most(1_000)
    world.prices_down = True
    await cycles(a_guard(world, journal, policy=policy), world, 2, ms=1_000)
    left = journal.snapshot()
    for intent_id, item in left.intents.items():
        left.intents[intent_id] = replace(item, updated_at_ms=item.updated_at_ms + 400_000)
    world.price *= Decimal("1.005")
    world.note()
    before = len(landed(world))
    await cycles(a_guard(world, MemoryJournal.restored(left), policy=policy), world, 30, ms=1_000)
    assert len(landed(world)) > before


async def test_a_wallet_from_before_a_transfer_moves_nothing_again() -> None:
    """The need passed before the coins were added, and comes again a minute later."""
    world = a_world("0.79", wallet="0", unified="50")
    guard = a_guard(world, MemoryJournal(), transfers=MOVES)
    world.answers_to = {Kind.TRANSFER: ["pending:1500"]}
    await cycles(guard, world, 1)
    fall_to(world, ONE, "0.60")
    await cycles(guard, world, MINUTE)
    assert landed(world) == [TRANSFER]
    fall_to(world, ONE, "0.79")
    world.stale_wallet_ms = 90_000
    await cycles(guard, world, 4)
    assert landed(world).count(TRANSFER) == 1
    world.stale_wallet_ms = 0
    await cycles(guard, world, 8)
    assert landed(world) == [TRANSFER, ADD]


async def test_what_the_user_takes_out_of_the_wallet_is_moved_again_once_it_stays_so() -> None:
    world = a_world("0.79", wallet="0.01", unified="50")
    guard = a_guard(world, MemoryJournal(), transfers=MOVES)
    await cycles(guard, world, MINUTE)
    world.move_by_hand("BTC", world.wallet["BTC"])
    fall_to(world, ONE, "0.76")
    await cycles(guard, world, 20)
    assert landed(world).count(TRANSFER) == 2


async def test_a_history_that_lost_rows_proves_no_absence() -> None:
    """An add is lost, as far as the old history tells: it landed."""
    world, journal = a_world("0.79"), MemoryJournal()
    guard = a_guard(world, journal)
    await cycles(guard, world, MINUTE)
    fall_to(world, ONE, "0.76")
    world.answers = ["lost_answer"]
    world.old_rows_ms = 200_000
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 1)
        world.stale_ms = 200_000
        await cycles(guard, world, 20)
    assert states(journal, ADD) == [State.CONFIRMED, State.UNKNOWN]
    (said,) = [item for item in logs if item["event"] == "history_shown_as_before"]
    assert said["rows"] == 1
    world.old_rows_ms = world.stale_ms = 0
    await cycles(guard, world, 10)
    assert states(journal, ADD) == [State.CONFIRMED] * 2


@pytest.mark.parametrize("each", [2, 4])
@pytest.mark.parametrize("key", [ONE, POOL])
async def test_an_add_that_its_loan_has_shown_is_not_absent_though_old_replicas_show_nothing_of_it(
    key: LoanKey, each: int
) -> None:
    """Its answer is lost, and its row is late; every second or fourth read is from before it."""
    world, journal = a_world("0.79") if key == ONE else a_world(pool="0.79"), MemoryJournal()
    guard = a_guard(world, journal)
    world.row_lag_ms, world.answers = 40_000, ["lost_answer"]
    await cycles(guard, world, 1)
    for number in range(MINUTE):
        world.stale_ms = 0 if number % each else 60_000
        await cycles(guard, world, 1)
    assert states(journal, ADD) == [State.CONFIRMED]


@pytest.mark.parametrize("key", [ONE, POOL])
async def test_nor_is_it_rescued_on_what_they_show(key: LoanKey) -> None:
    """In an emergency, too, the loan waits for a read that shows what an earlier one has shown."""
    world, journal = a_world("0.83") if key == ONE else a_world(pool="0.83"), MemoryJournal()
    guard = a_guard(world, journal)
    world.row_lag_ms, world.answers = 40_000, ["lost_answer"]
    await cycles(guard, world, 2)
    world.stale_ms = 60_000
    await cycles(guard, world, 12)
    assert landed(world) == [ADD]
    world.stale_ms = 0
    fall_to(world, key, "0.84")
    await cycles(guard, world, 2)
    assert landed(world) == [ADD, ADD]


async def test_a_row_of_a_hand_that_had_ended_is_not_processed_again() -> None:
    world, journal = a_world(pool="0.60"), MemoryJournal()
    guard = a_guard(world, journal)
    fall_to(world, POOL, "0.79")
    await cycles(guard, world, 2)
    world.move(POOL, ADD, Decimal("0.01"), None)
    await cycles(guard, world, 2)
    world.rows[-1] = replace(world.rows[-1], landed_ms=world.true_ms + 20_000)
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 3, ms=1_000)
    (said,) = [item for item in logs if item["event"] == "history_shown_as_before"]
    assert said["rows"] == 1
    (channel,) = [item for item in guard._memory.shelf.histories if item.kind is Kind.ADJUSTMENT]
    assert {row.status for row in guard._memory.shelf.histories[channel].rows} == {RowStatus.SUCCESS}


async def test_what_the_user_takes_out_by_hand_is_no_old_fact() -> None:
    """A row tells of it: what was added is missing again, and is added again."""
    world = a_world("0.79")
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, MINUTE)
    (added,) = [row.shown.amount for row in world.rows]
    assert world.move(ONE, Direction.REDUCE, added, None)
    await cycles(guard, world, 5)
    assert landed(world) == [ADD, ADD]


@pytest.mark.parametrize(("prices_are_known", "by_then"), [(True, [ADD, ADD]), (False, [ADD])])
async def test_an_ltv_that_is_back_where_it_was_before_an_add_is_believed_at_once_where_the_price_fell_so_far(
    by_then: list[Direction], *, prices_are_known: bool
) -> None:
    world = a_world(pool="0.79")
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, 2)
    world.prices_down = not prices_are_known
    fall_to(world, POOL, "0.79")
    await cycles(guard, world, 4)
    assert landed(world) == by_then


async def test_a_liquidation_of_just_as_many_coins_is_no_old_fact() -> None:
    """Of a coarse coin that is no rare chance; it pays debt, and that tells."""
    world = a_world("0.79", held="100", wallet="500", accuracy=0)
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, MINUTE)
    loan = world.loans[ONE]
    added = loan.collateral - 100
    assert added > 0
    loan.collateral -= added
    loan.debt -= added * world.price * 9 / 10
    fall_to(world, ONE, "0.82")
    await cycles(guard, world, 20)
    assert world.ltv(ONE) < 0.7


@pytest.mark.parametrize(("accuracy", "is_helped"), [(0, True), (8, False)])
async def test_a_liquidation_just_before_a_restart_is_no_old_fact_for_long_in_an_emergency(
    accuracy: int, *, is_helped: bool
) -> None:
    """What was owed is not known any more. Of a fine coin no liquidation takes as many: it is old."""
    world, journal = a_world("0.79", held="100", wallet="500", accuracy=accuracy), MemoryJournal()
    await a_guard(world, journal).cycle()
    loan = world.loans[ONE]
    added = loan.collateral - 100
    loan.collateral -= added
    loan.debt -= added * world.price * 9 / 10
    fall_to(world, ONE, "0.82")
    guard = a_guard(world, journal)
    await cycles(guard, world, 18)
    assert len(world.applied) == 1
    await cycles(guard, world, 12)
    assert (world.ltv(ONE) < 0.7) is is_helped


async def test_less_debt_beside_the_coins_of_before_is_no_liquidation_so_soon_after_an_add() -> None:
    """The user repaid a part just before the add landed: old facts show as few coins, and owe less."""
    world = a_world("0.79")
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, MINUTE)
    fall_to(world, ONE, "0.85")
    world.answers = ["late:1000"]
    await guard.cycle()
    world.advance(500)
    world.repay_part(ONE, Decimal("0.01"))
    world.advance(500)
    old_ms = world.true_ms - 300
    for _ in range(6):
        world.stale_ms = world.true_ms - old_ms
        await guard.cycle()
        world.advance(1_000)
    assert landed(world) == [ADD, ADD]
    world.stale_ms = 0
    await cycles(guard, world, MINUTE)
    assert landed(world) == [ADD, ADD]


async def test_old_facts_of_before_a_partial_liquidation_leave_no_riddle_behind() -> None:
    """An old replica shows the loan as it was before the first add; then it is shown as it is again."""
    world = a_world("0.79")
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, MINUTE)
    world.liquidate_part(ONE, Decimal("0.04"))
    fall_to(world, ONE, "0.79")
    await cycles(guard, world, MINUTE)
    assert landed(world) == [ADD, ADD]
    world.stale_ms = world.true_ms - START_MS
    await cycles(guard, world, 3)
    world.stale_ms = 0
    fall_to(world, ONE, "0.80")
    await cycles(guard, world, 2)
    assert landed(world) == [ADD, ADD, ADD]


async def a_pool_whose_debt_was_repaid_by_hand(old_debt_ms: int) -> tuple[Guard, World]:
    """Its LTV of 0.55 is that of now, its debt that of before: 0.79. There were no coins until then."""
    world = a_world(pool="0.79", wallet="0")
    guard = a_guard(world, MemoryJournal(), policy=with_limits(POLICY, max_add={"BTC": Decimal("0.01")}))
    world.old_debt_ms = old_debt_ms
    await cycles(guard, world, 3)
    world.repay_part(POOL, Decimal("0.3"))
    world.wallet["BTC"] = Decimal(1)
    world.note()
    return guard, world


async def test_a_debt_that_is_shown_late_outvotes_no_ltv() -> None:
    """Found by the state machine: two adds on an LTV of before what the user repaid."""
    guard, world = await a_pool_whose_debt_was_repaid_by_hand(5_000)
    await cycles(guard, world, MINUTE)
    assert world.sent == []


async def test_a_breach_that_an_ltv_hides_is_helped_once_it_stands_for_longer_than_old_facts_can() -> None:
    guard, world = await a_pool_whose_debt_was_repaid_by_hand(120_000)
    await cycles(guard, world, 5)
    assert world.sent == []
    await cycles(guard, world, 3)
    assert landed(world)[:1] == [ADD]


async def test_an_old_debt_does_not_bear_out_the_ltv_that_an_add_was_planned_on() -> None:
    """Found by the state machine: as many coins were added as had been sold, so that the old debt agreed."""
    world = a_world(pool="0.82", wallet="50", held="10", accuracy=0)
    guard = a_guard(world, MemoryJournal(), policy=with_limits(POLICY, max_add={"BTC": Decimal(1)}))
    world.old_ltv_ms = world.old_debt_ms = 2_000
    world.advance(500)
    world.liquidate_part(POOL, Decimal("0.1"))
    await cycles(guard, world, 4, ms=400)
    assert landed(world) == [ADD]
    await cycles(guard, world, 10, ms=400)
    assert landed(world) == [ADD] * 2


async def test_nor_does_it_where_the_process_is_gone_that_knew_what_the_coin_was_worth_then() -> None:
    """Found by the state machine: nothing tells whether the price has moved since."""
    world, journal = a_world(pool="0.60", held="20"), MemoryJournal()
    guard = a_guard(world, journal)
    world.old_ltv_ms, world.old_debt_ms = 2_000, 5_000
    fall_to(world, POOL, "0.77")
    world.advance(6_000)
    world.liquidate_part(POOL, Decimal("0.1"))
    await cycles(guard, world, 1, ms=1_000)
    assert landed(world) == [ADD]
    again = a_guard(
        world, MemoryJournal.restored(journal.snapshot()), ids=(f"j{n}" for n in count()).__next__
    )
    await cycles(again, world, 20, ms=500)
    assert landed(world) == [ADD]
    world.old_ltv_ms = world.old_debt_ms = 0
    await falls_and_is_saved(again, world, POOL)


@pytest.mark.parametrize("moved", ["1", "0.995"])
@pytest.mark.parametrize("share", ["0.23", "0.27"])
@pytest.mark.parametrize("key", [ONE, POOL])
async def test_an_old_debt_does_not_bear_out_the_ltv_that_the_row_of_an_add_says_was_there_before_it(
    key: LoanKey, share: str, moved: str
) -> None:
    """Found by the state machine: a hand repaid just before the add, and the debt of before was shown on.

    Nor does a price that moved by far less than the add.
    """
    world = a_world("0.60") if key == ONE else a_world(pool="0.60")
    guard = a_guard(world, MemoryJournal())
    world.old_ltv_ms, world.old_debt_ms = 2_000, 5_000
    fall_to(world, key, "0.91")
    world.advance(6_000)
    world.repay_part(key, Decimal(share))
    world.advance(1_000)
    await cycles(guard, world, 1, ms=500)
    world.price *= Decimal(moved)
    world.note()
    await cycles(guard, world, 20, ms=500)
    assert landed(world) == [ADD]
    world.old_ltv_ms = world.old_debt_ms = 0
    await falls_and_is_saved(guard, world, key)


async def test_what_was_sold_before_an_add_does_not_make_a_read_from_before_it_new() -> None:
    """Found by the state machine: the sale explained fewer coins, and so the add was made a second time."""
    rule = AddRule(trigger_ltv=Decimal("0.60"), target_ltv=Decimal("0.59"))
    world = a_world("0.601", held="20", accuracy=2)
    guard = a_guard(world, MemoryJournal(), policy=replace(POLICY, add=rule))
    await cycles(guard, world, 3, ms=1_000)
    assert landed(world) == [ADD]
    world.liquidate_part(ONE, Decimal("0.1"))
    fall_to(world, ONE, "0.70")
    world.stale_ms, world.prices_down = 2_000, True
    await cycles(guard, world, 60, ms=500)
    assert landed(world) == [ADD, ADD]
    assert world.ltv(ONE) > Decimal("0.58")
