"""Where the Funding wallet has no collateral: coins from the Unified account, moved once for one need.

`test_repaying.py` has what follows where there are none either.
"""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
import structlog
from exchange_model import POLICY, POOL, Crash, World, a_guard, a_world, with_limits
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
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Direction, Kind, LoanKey, Product
from ltv_guard.core.model.policy import LoanPolicy, TransferRules, WalletRules
from ltv_guard.guard.cycle import Guard

DUST = Decimal("0.0001")
LOST = ("lost_answer", "lost_request", "late:500", "late:4900")


def moving(
    world: World,
    journal: MemoryJournal,
    transfers: TransferRules = MOVES,
    policy: LoanPolicy = POLICY,
    **options: object,
) -> Guard:
    return a_guard(world, journal, policy=policy, transfers=transfers, **options)  # type: ignore[arg-type]


# One transfer, then one add.


async def test_with_an_empty_funding_wallet_one_transfer_and_one_add_bring_a_loan_to_its_target() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal), world, 5)
    assert landed(world) == [TRANSFER, ADD]
    assert at_target(world)
    assert world.wallet["BTC"] < DUST, "more was moved than was needed"


async def test_the_same_for_a_pool() -> None:
    world, journal = a_world(pool="0.77", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal), world, 5)
    assert landed(world) == [TRANSFER, ADD]
    assert at_target(world, POOL)


async def test_what_lies_in_funding_is_added_before_more_is_moved() -> None:
    world, journal = a_world("0.77", wallet="0.05", unified="10"), MemoryJournal()
    await cycles(moving(world, journal), world, 6)
    assert landed(world) == [ADD, TRANSFER, ADD]
    assert at_target(world)


@pytest.mark.parametrize("ltv", ["0.77", "0.82"])
@pytest.mark.parametrize("answer", ["lost_answer", "late:500", "late:4900", "pending:9000"])
async def test_a_transfer_without_a_plain_answer_lands_once_and_the_add_follows(
    answer: str, ltv: str
) -> None:
    world, journal = a_world(ltv, wallet="0", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: [answer]}
    await cycles(moving(world, journal), world)
    assert landed(world) == [TRANSFER, ADD]
    assert sent(world) == [TRANSFER, ADD]
    assert at_target(world)


async def test_a_request_that_was_lost_is_absent_after_its_window_and_another_transfer_follows() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: ["lost_request"]}
    await cycles(moving(world, journal), world)
    assert states(journal, TRANSFER) == [State.ABSENT, State.CONFIRMED]
    first, second = (item for item in world.sent if item.direction is TRANSFER)
    assert first.intent_id != second.intent_id
    gone_ms = journal.snapshot().intents[first.intent_id].signed_at_ms or 0
    assert second.created_at_ms - gone_ms >= 5_000 + 2_000 + 5_000
    assert at_target(world)


async def test_a_transfer_that_stays_pending_is_waited_for_and_cried_out_about() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: ["pending:200000"]}
    with structlog.testing.capture_logs() as events:
        await cycles(moving(world, journal), world, 90)
    assert sent(world) == [TRANSFER]
    assert {"critical"} == {item["log_level"] for item in events if item["event"] == "adjustment_unsettled"}
    guard = moving(world, journal)
    await cycles(guard, world, 20)
    assert landed(world) == [TRANSFER, ADD]
    assert at_target(world)


async def test_a_transfer_that_failed_is_rejected_and_tried_again_after_growing_rests() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: ["failing:100"] * 4}
    await cycles(moving(world, journal), world, 60, ms=1_000)
    assert states(journal, TRANSFER) == [*[State.REJECTED] * 4, State.CONFIRMED]
    times = [item.created_at_ms for item in world.sent if item.direction is TRANSFER]
    rests = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert rests == sorted(rests)
    assert rests[-1] >= 16_000
    assert at_target(world)


async def test_coins_that_landed_and_do_not_show_yet_are_not_moved_again() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    guard = moving(world, journal)
    await cycles(guard, world, 1)
    world.stale_wallet_ms = 6_000
    await cycles(guard, world, 8, ms=1_000)
    assert landed(world) == [TRANSFER, ADD]


async def test_nor_after_a_restart() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal), world, 1)
    world.stale_wallet_ms = 6_000
    await cycles(moving(world, journal), world, 1, ms=1_000)
    await cycles(moving(world, MemoryJournal.restored(journal.snapshot())), world, 8, ms=1_000)
    assert landed(world) == [TRANSFER, ADD]


async def test_one_run_waits_for_coins_that_landed_and_do_not_show_yet() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    guard = moving(world, journal)
    await guard.cycle()
    world.stale_wallet_ms = 6_000
    world.advance(2_000)
    outcome = await guard.cycle()
    assert (outcome.left_open, outcome.waits) == (0, True)
    await journal.pause(None, "look", 1)
    assert not (await guard.cycle()).waits


async def test_a_list_that_lags_moves_nothing_twice() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to, world.row_lag_ms = {Kind.TRANSFER: ["lost_answer"]}, 4_500
    world.stale_wallet_ms = 4_500
    await cycles(moving(world, journal), world, 20, ms=1_000)
    assert sent(world) == [TRANSFER, ADD]


async def test_a_row_that_turns_up_after_a_transfer_was_given_up_confirms_it_loudly() -> None:
    """Its coins are there meanwhile, so nothing else is moved; and in the end it counts."""
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to, world.row_lag_ms = {Kind.TRANSFER: ["lost_answer"]}, 40_000
    guard = moving(world, journal)
    await cycles(guard, world, 1)
    world.row_lag_ms = 0
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 60)
    late = [item for item in events if item["event"] == "adjustment_confirmed" and item["late"]]
    assert [item["log_level"] for item in late] == ["critical"]
    assert sent(world) == [TRANSFER, ADD]
    assert states(journal, TRANSFER) == [State.CONFIRMED]


async def test_coins_that_the_user_takes_away_again_are_moved_again_if_the_loan_still_needs_them() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    guard = moving(world, journal)
    await cycles(guard, world, 1)
    world.move_by_hand("BTC", Decimal(1))
    await cycles(guard, world, 12)
    assert landed(world) == [TRANSFER, TRANSFER, ADD]
    assert at_target(world)


# Who is served.


async def test_two_loans_that_lack_the_same_coin_are_served_by_one_transfer() -> None:
    world, journal = a_world("0.77", "0.78", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal), world, 8)
    assert landed(world) == [TRANSFER, ADD, ADD]
    assert at_target(world, ONE)
    assert at_target(world, TWO)


async def test_an_order_and_a_pool_as_well() -> None:
    world, journal = a_world("0.77", pool="0.78", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal), world, 8)
    assert landed(world) == [TRANSFER, ADD, ADD]
    assert at_target(world, ONE)
    assert at_target(world, POOL)


async def test_an_open_add_of_another_loan_does_not_make_a_transfer_larger() -> None:
    """Its coins are gone from the wallet already: they are not to be taken off once more."""
    world, journal = a_world("0.78", "0.60", wallet="0.21", unified="10"), MemoryJournal()
    world.answers_to, world.row_lag_ms = {Kind.ADJUSTMENT: ["lost_answer"]}, 4_000
    guard = moving(world, journal)
    await cycles(guard, world, 1)
    assert landed(world) == [ADD]
    world.loans[TWO].debt = Decimal("0.77") * 50_000
    world.note()
    await cycles(guard, world, 10)
    moved = [item.amount for item in world.sent if item.direction is TRANSFER]
    assert sum(moved) < Decimal("0.20"), f"0.185 was needed, and {moved} was moved"
    assert at_target(world, TWO)


# What holds it back.


async def test_nothing_is_moved_unless_it_is_switched_on() -> None:
    world, journal = a_world("0.82", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal, TransferRules()), world, 10)
    assert world.sent == []


async def test_a_dry_run_moves_and_repays_nothing() -> None:
    world, journal = a_world("0.82", pool="0.82", wallet="0", unified="10", owed="90000"), MemoryJournal()
    await cycles(moving(world, journal, policy=PAYS, live=False), world, 10)
    assert (world.sent, journal.snapshot().intents) == ([], {})


async def test_a_pause_stops_every_way_but_not_the_settling_of_what_is_open() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10", owed="90000"), MemoryJournal()
    world.answers_to, world.row_lag_ms = {Kind.TRANSFER: ["lost_answer"]}, 3_000
    guard = moving(world, journal, policy=PAYS)
    await cycles(guard, world, 1)
    await journal.pause(None, "look", 1)
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 20)
    assert (sent(world), states(journal, TRANSFER)) == ([TRANSFER], [State.CONFIRMED])
    cries = [item for item in events if item["event"] == "breach_unanswered"]
    assert cries
    assert {item["log_level"] for item in cries} == {"critical"}
    await journal.resume(None)
    await cycles(guard, world, 5)
    assert sent(world) == [TRANSFER, ADD]


async def test_a_transfer_moves_no_more_than_max_transfer() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    rules = TransferRules(enabled=True, max_transfer={"BTC": Decimal("0.1")})
    await cycles(moving(world, journal, rules), world, 12)
    assert landed(world) == [TRANSFER, ADD, TRANSFER, ADD]
    assert all(item.amount <= Decimal("0.1") for item in world.sent if item.direction is TRANSFER)
    assert at_target(world)


@pytest.mark.parametrize("answer", ["ok", *LOST, "pending:20000"])
async def test_a_days_transfers_stay_within_max_transfer_24h_over_restarts_and_unknown_ends(
    answer: str,
) -> None:
    """A request that was lost is absent in the end: it does not count then."""
    world, journal = a_world("0.92", wallet="0", unified="10"), MemoryJournal()
    cap = Decimal("0.2")
    rules = TransferRules(enabled=True, max_transfer={"BTC": Decimal("0.15")}, max_transfer_24h={"BTC": cap})
    world.answers_to = {Kind.TRANSFER: [answer] * 9}
    for _ in range(12):
        journal = MemoryJournal.restored(journal.snapshot())
        world.monotonic_ms = 5
        await cycles(moving(world, journal, rules), world, 5, ms=3_000)
        open_or_landed = [
            item.amount
            for item in journal.snapshot().intents.values()
            if item.direction is TRANSFER and (item.is_open or item.state is State.CONFIRMED)
        ]
        assert sum(open_or_landed) <= cap
    assert Decimal(10) - world.unified["BTC"] <= cap
    if answer != "lost_request":
        assert Decimal(10) - world.unified["BTC"] > Decimal("0.199")


async def test_a_key_that_may_not_transfer_adds_all_the_same() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: ["refused_key"] * 99}
    guard = moving(world, journal)
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 10)
    assert set(sent(world)) == {TRANSFER}
    assert landed(world) == []
    assert [item for item in events if item["event"] == "protection_short"]
    assert not [item for item in events if item["event"] == "needs_human"]
    world.move_by_hand("BTC", Decimal(-1))
    await cycles(guard, world, 3)
    assert landed(world) == [ADD]


async def test_a_transfer_that_is_refused_rests_longer_and_longer() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: ["refused_for_now"] * 99}
    await cycles(moving(world, journal), world, 150)
    assert len(world.sent) <= 10


async def test_an_unread_unified_account_is_waited_for() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.unified_down = True
    guard = moving(world, journal)
    with structlog.testing.capture_logs() as events:
        await cycles(guard, world, 10)
    assert world.sent == []
    assert "breach_unanswered" in {item["event"] for item in events if item["log_level"] == "critical"}
    world.unified_down = False
    await cycles(guard, world, 5)
    assert landed(world) == [TRANSFER, ADD]


async def test_the_reserve_is_left_in_the_funding_wallet() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    guard = moving(world, journal, wallet=WalletRules(reserve={"BTC": Decimal("0.1")}))
    await cycles(guard, world, 6)
    assert at_target(world)
    assert Decimal("0.1") <= world.wallet["BTC"] < Decimal("0.1001")


async def test_small_adds_are_fed_by_one_transfer() -> None:
    policy = with_limits(POLICY, max_add={"BTC": Decimal("0.05")})
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal, policy=policy), world, 15)
    assert landed(world) == [TRANSFER, ADD, ADD, ADD, ADD]
    assert at_target(world)


# What is said.


async def test_protection_is_not_called_short_while_coins_are_on_their_way() -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to, world.row_lag_ms = {Kind.TRANSFER: ["lost_answer"]}, 4_000
    with structlog.testing.capture_logs() as events:
        await cycles(moving(world, journal), world, 15)
    assert at_target(world)
    assert not [item for item in events if item["event"] in {"protection_short", "breach_unanswered"}]


async def test_it_is_called_short_where_neither_wallet_has_anything() -> None:
    world, journal = a_world("0.77", wallet="0", unified="0"), MemoryJournal()
    with structlog.testing.capture_logs() as events:
        await cycles(moving(world, journal, policy=PAYS), world, 2)
    (cry,) = [item for item in events if item["event"] == "protection_short"]
    assert cry["log_level"] == "critical"
    assert cry["held_back"] == [
        "the Funding wallet leaves 0 BTC",
        "the Unified account leaves 0 BTC",
        "repaying: the Funding wallet leaves 0 USDT",
    ]


# Crashes.


@pytest.mark.parametrize(
    ("where", "answer"),
    crossed_with_answers(CRASHES, ["ok", "lost_answer", "lost_request", "late:4000", "pending:4000"]),
)
async def test_a_crash_at_any_step_of_a_transfer_moves_nothing_twice(where: str, answer: str) -> None:
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    world.answers_to = {Kind.TRANSFER: [answer]}
    crashing(world, journal, where)
    guard, crashes = moving(world, journal), 0
    for _ in range(60):
        try:
            await guard.cycle()
        except Crash:
            crashes += 1
            journal = MemoryJournal.restored(journal.snapshot())
            world.monotonic_ms = 5
            guard = moving(world, journal)
        world.advance(2_000)
    assert crashes == 1
    assert landed(world) == [TRANSFER, ADD]
    assert not any(item.is_open for item in journal.snapshot().intents.values())
    confirmed = [i.intent_id for i in journal.snapshot().intents.values() if i.state is State.CONFIRMED]
    assert sorted(confirmed) == sorted(world.applied)
    assert at_target(world)


async def test_the_funding_wallet_is_no_loan() -> None:
    """Its transfers have a key of their own, and no loan bears it."""
    world, journal = a_world("0.77", wallet="0", unified="10"), MemoryJournal()
    await cycles(moving(world, journal), world, 5)
    assert world.sent[0].key == LoanKey(Product.FUNDING, "BTC")
    assert REPAY not in sent(world)


async def test_no_more_is_moved_for_a_rescue_where_an_open_add_shows_and_its_ltv_does_not() -> None:
    """Found by the state machine: 0.25109 BTC were moved where 0.24615 were needed."""
    world, journal = a_world(pool="0.81", wallet="0.02", unified="50"), MemoryJournal()
    needed = Decimal("0.81") / Decimal("0.65") - 1
    world.row_lag_ms = 4_500
    for old_ltv_ms in (0, 0, 2_000):
        journal = MemoryJournal.restored(journal.snapshot())
        world.old_ltv_ms = old_ltv_ms
        await a_guard(world, journal, transfers=MOVES).cycle()
        world.advance(500)
    moved = [item.amount for item in world.sent if item.direction is TRANSFER]
    assert sum(moved) <= needed + Decimal("0.0005")


async def test_coins_of_the_users_own_are_not_taken_for_a_transfer_that_has_just_landed() -> None:
    """Found by the state machine: he puts some there while it is pending, and then the wallet shows late."""
    world, journal = a_world("0.76", wallet="0", unified="50"), MemoryJournal()
    guard = a_guard(world, journal, policy=PAYS, transfers=MOVES)
    world.answers_to = {Kind.TRANSFER: ["pending:8000"]}
    await cycles(guard, world, 2)
    world.move_by_hand("BTC", Decimal("-0.3"))
    await cycles(guard, world, 2)
    world.stale_wallet_ms = 5_000
    world.price = world.price * world.ltv(ONE) / Decimal("0.90")
    world.note()
    await cycles(guard, world, 40, ms=1_000)
    moved = [item for item in world.sent if item.direction is TRANSFER]
    assert sum(item.amount for item in moved) <= world.loans[ONE].collateral - 1 - Decimal("0.3") + DUST
    assert at_target(world)


async def test_what_was_released_is_known_to_be_there_while_the_wallet_cannot_be_read() -> None:
    """Found by the state machine: coins were moved, and debt was repaid, beside what had been released."""
    world = a_world("0.30", wallet="0", unified="50", owed="1000000")
    guard = a_guard(world, MemoryJournal(), policy=PAYS, transfers=MOVES)
    while not world.sent:
        await cycles(guard, world, 1)
    world.wallet_down = True
    await cycles(guard, world, 3)
    world.price *= Decimal("0.66")
    world.note()
    assert world.ltv(ONE) > Decimal("0.82")
    await cycles(guard, world, 5)
    assert landed(world) == [Direction.REDUCE, ADD]
    assert at_target(world)
