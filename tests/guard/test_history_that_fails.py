"""The history fails for minutes, adds are accepted, prices fall: adding goes on, all else waits for it."""

from __future__ import annotations

from decimal import Decimal

import pytest
import structlog
from exchange_model import World, a_guard, a_world
from transfers_and_repayments import ADD, MOVES, PAYS, REPAY, TRANSFER, cycles, landed, states

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Direction, Kind, LoanKey

FALL = ("0.79", "0.78", "0.83", "0.76", "0.90")


def the_loan(kind: str, **wallet: str) -> tuple[World, LoanKey]:
    world = a_world("0.60", **wallet) if kind == "order" else a_world(pool="0.60", **wallet)
    (key,) = world.loans
    return world, key


def move_to(world: World, key: LoanKey, ltv: str) -> None:
    world.price = world.price * world.ltv(key) / Decimal(ltv)
    world.note()


@pytest.mark.parametrize("kind", ["order", "pool"])
@pytest.mark.parametrize("lag_ms", [0, 3_000])
async def test_each_need_of_a_long_fall_is_met_once(kind: str, lag_ms: int) -> None:
    world, key = the_loan(kind)
    journal = MemoryJournal()
    guard = a_guard(world, journal)
    world.history_down, world.stale_ms, world.old_ltv_ms = True, lag_ms, lag_ms
    await cycles(guard, world, 2)
    for count, ltv in enumerate(FALL, start=1):
        move_to(world, key, ltv)
        await cycles(guard, world, 12)
        assert landed(world) == [ADD] * count
        assert world.ltv(key) <= Decimal("0.6501")
    assert states(journal, ADD)[:-1] == [State.CONFIRMED] * (len(FALL) - 1)


@pytest.mark.parametrize("answer", ["ok", "pending:8000"])
async def test_transfers_follow_one_another_once_their_coins_went_from_one_wallet_to_the_other(
    answer: str,
) -> None:
    """Found by the state machine: the list of transfers failed, and none followed below an emergency."""
    world, key = the_loan("order", wallet="0", unified="50")
    journal = MemoryJournal()
    guard = a_guard(world, journal, policy=PAYS, transfers=MOVES)
    world.transfers_down = True
    for count, ltv in enumerate(("0.76", "0.77", "0.76"), start=1):
        world.answers_to = {Kind.TRANSFER: [answer]}
        move_to(world, key, ltv)
        await cycles(guard, world, 12)
        assert landed(world) == [TRANSFER, ADD] * count
        assert world.ltv(key) <= Decimal("0.6501")


async def test_a_transfer_whose_coins_may_be_the_users_own_holds_up_the_next() -> None:
    """As many came as it moves, and none left the Unified account."""
    world, key = the_loan("order", wallet="0", unified="50")
    journal = MemoryJournal()
    guard = a_guard(world, journal, policy=PAYS, transfers=MOVES)
    world.transfers_down, world.answers_to = True, {Kind.TRANSFER: ["pending:60000"]}
    move_to(world, key, "0.76")
    await guard.cycle()
    world.move_by_hand("BTC", -world.sent[0].amount)
    await cycles(guard, world, 12)
    move_to(world, key, "0.76")
    await cycles(guard, world, 12)
    assert states(journal, TRANSFER) == [State.ACCEPTED]


async def test_a_release_waits_for_the_rows_and_the_wait_is_told() -> None:
    world, key = the_loan("order")
    guard = a_guard(world, MemoryJournal())
    world.history_down = True
    for ltv in FALL[:2]:
        move_to(world, key, ltv)
        await cycles(guard, world, 6)
    move_to(world, key, "0.30")
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 60)
    assert landed(world) == [ADD, ADD]
    told = [item["waiting_for"] for item in logs if item["event"] == "adjustment_unsettled"]
    assert any("releases and repayments wait" in why for why in told)
    world.history_down = False
    await cycles(guard, world, 60)
    assert landed(world) == [ADD, ADD, Direction.REDUCE]


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_repayment_waits_for_the_rows(*, restarts: bool) -> None:
    """A restart forgets which wallet there was before the add: the loan has to show it for longer then."""
    world, key = the_loan("order", wallet="0.25", owed="1000000")
    journal = MemoryJournal()
    guard = a_guard(world, journal, policy=PAYS)
    world.history_down = True
    move_to(world, key, "0.79")
    await cycles(guard, world, 2)
    assert landed(world) == [ADD]
    if restarts:
        guard = a_guard(world, MemoryJournal.restored(journal.snapshot()), policy=PAYS)
    move_to(world, key, "0.79")
    await cycles(guard, world, 20)
    assert REPAY not in landed(world)
    world.history_down = False
    await cycles(guard, world, 20)
    assert REPAY in landed(world)


async def test_what_is_only_accepted_and_not_in_the_loan_is_waited_for() -> None:
    world, key = the_loan("pool")
    journal = MemoryJournal()
    guard = a_guard(world, journal)
    world.history_down = True
    world.answers = ["pending:60000"]
    move_to(world, key, "0.78")
    await cycles(guard, world, 15)
    assert landed(world) == []
    assert states(journal, ADD) == [State.ACCEPTED]


async def test_an_add_that_its_coins_confirmed_and_the_history_calls_failed_is_told() -> None:
    world, key = the_loan("order")
    guard = a_guard(world, MemoryJournal())
    world.history_down = True
    move_to(world, key, "0.79")
    await cycles(guard, world, 6)
    move_to(world, key, "0.79")
    await cycles(guard, world, 2)
    world.fail_rows()
    world.history_down = False
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 3)
    assert "adjustment_contradicted" in [item["event"] for item in logs]


@pytest.mark.parametrize("kind", ["order", "pool"])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_release_before_a_long_fall_starves_nobody(kind: str, *, restarts: bool) -> None:
    """Found by the state machine: one rescue, and then nothing for as long as the history failed."""
    world, key = the_loan(kind)
    journal = MemoryJournal()
    guard = a_guard(world, journal)
    move_to(world, key, "0.30")
    while not world.sent:
        await cycles(guard, world, 1)
    world.history_down = True
    if restarts:
        guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
    for ltv in FALL:
        move_to(world, key, ltv)
        await cycles(guard, world, 12)
        assert world.ltv(key) <= Decimal("0.6501")
    assert landed(world).count(Direction.REDUCE) == 1


async def test_a_release_that_its_coins_confirmed_waits_for_its_row_before_another_follows() -> None:
    world, key = the_loan("order")
    guard = a_guard(world, MemoryJournal())
    move_to(world, key, "0.30")
    while not world.sent:
        await cycles(guard, world, 1)
    world.history_down = True
    move_to(world, key, "0.30")
    await cycles(guard, world, 60)
    assert landed(world) == [Direction.REDUCE]
    world.history_down = False
    await cycles(guard, world, 60)
    assert landed(world) == [Direction.REDUCE] * 2
