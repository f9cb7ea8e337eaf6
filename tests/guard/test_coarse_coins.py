"""A coin with few decimals under a small cap: the amounts to choose from are few, and are used again."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
import structlog
from exchange_model import POLICY, POOL, START_MS, a_guard, a_world, with_limits
from transfers_and_repayments import ONE, cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import LoanKey

SMALL = with_limits(POLICY, max_add={"BTC": Decimal(1)})


@pytest.mark.parametrize("accuracy", [0, 2])
async def test_a_loan_is_saved_one_coin_at_a_time(accuracy: int) -> None:
    world, journal = a_world("0.78", held="100", wallet="500", accuracy=accuracy), MemoryJournal()
    guard = a_guard(world, journal, policy=SMALL)
    await cycles(guard, world, 60)
    assert world.ltv(ONE) <= Decimal("0.652")
    assert len(world.applied) > 19


async def test_an_amount_that_is_not_settled_is_not_sent_again_and_the_wait_is_said_once() -> None:
    world, journal = a_world("0.82", held="100", wallet="500", accuracy=0), MemoryJournal()
    guard = a_guard(world, journal, policy=SMALL)
    world.answers = ["lost_answer"]
    world.history_down = True
    with structlog.testing.capture_logs() as logs:
        await cycles(guard, world, 15)
    said = [item["why"] for item in logs if item["event"] == "adjustment_put_off"]
    assert (len(world.sent), len(said)) == (1, 1)
    assert "that of an adjustment which is not settled" in said[0]
    world.history_down = False
    await cycles(guard, world, 60)
    assert world.ltv(ONE) <= Decimal("0.652")


@pytest.mark.parametrize("key", [ONE, POOL])
async def test_a_request_that_was_lost_costs_no_longer_than_the_proof_that_it_was(key: LoanKey) -> None:
    """There is one amount only, and it was refused by nobody: it is sent again once it can't be mistaken."""
    order, pool = ("0.82", "0.50") if key == ONE else ("0.50", "0.82")
    world, journal = a_world(order, pool=pool, held="20", wallet="500", accuracy=0), MemoryJournal()
    guard = a_guard(world, journal, policy=SMALL)
    world.answers = ["lost_request"]
    await guard.cycle()
    while not any(item.state is State.ABSENT for item in journal.snapshot().intents.values()):
        world.advance(1_000)
        await guard.cycle()
    proved_ms = world.true_ms
    while not world.applied:
        world.advance(1_000)
        await guard.cycle()
    assert proved_ms - START_MS <= 15_000
    assert world.true_ms - proved_ms <= 4_000


async def test_a_rescue_of_one_coin_beside_an_add_of_one_coin_is_told_by_both() -> None:
    """Found by the state machine: by its own plan alone either may explain the coin, and adding ended."""
    world, journal = a_world("0.90", held="20", wallet="500", accuracy=0), MemoryJournal()
    guard = a_guard(world, journal, policy=SMALL)
    world.history_down, world.stale_wallet_ms = True, 100_000
    await cycles(guard, world, 30)
    first, rescue, *_ = world.sent
    assert rescue.rescue_of == first.intent_id
    assert len(world.applied) >= 5
    assert world.loans[ONE].collateral == 20 + len(world.applied)


async def test_an_amount_that_was_refused_is_not_asked_for_again_within_a_minute() -> None:
    world, journal = a_world("0.82", held="20", wallet="500", accuracy=0), MemoryJournal()
    guard = a_guard(world, journal, policy=SMALL)
    world.answers = ["refused_for_now"]
    times = []
    world.on_sent = lambda _: times.append(world.true_ms)
    await cycles(guard, world, 40)
    assert times[1] - times[0] in range(60_000, 63_000)


@pytest.mark.parametrize("accuracy", [0, 2])
async def test_after_a_partial_liquidation_each_add_follows_the_one_before_at_once(accuracy: int) -> None:
    """What was sold has no row: measured by the adds of before, it would be a riddle anew after each."""
    world, journal = a_world("0.82", held="20", wallet="500", accuracy=accuracy), MemoryJournal()
    guard = a_guard(world, journal, policy=SMALL)
    await cycles(guard, world, 3)
    world.liquidate_part(ONE, Decimal("0.04"))
    world.price = world.price * world.ltv(ONE) / Decimal("0.90")
    world.note()
    await cycles(guard, world, 7)  # so long what was sold may be an old fact
    before = len(world.applied)
    await cycles(guard, world, 7)
    assert len(world.applied) >= before + 3
    await cycles(guard, world, 60)
    assert world.ltv(ONE) < Decimal("0.75")


async def test_a_part_of_a_coin_that_was_sold_is_not_taken_for_one_that_was_added() -> None:
    """Found by the state machine: of the release before, a coin more or less was as good as equal."""
    world, journal = a_world("0.30", held="20", wallet="500", accuracy=0), MemoryJournal()
    await cycles(a_guard(world, journal, policy=SMALL), world, 20)
    assert world.loans[ONE].collateral < 18
    for ltv in ("0.70", "0.77"):
        world.price = world.price * world.ltv(ONE) / Decimal(ltv)
        world.note()
        await cycles(a_guard(world, journal, policy=SMALL), world, 20)
    world.loans[ONE].collateral -= Decimal("1.5")
    world.price = world.price * world.ltv(ONE) / Decimal("0.79")
    world.note()
    await cycles(a_guard(world, journal, policy=SMALL), world, 20)
    assert world.ltv(ONE) < Decimal("0.75")


@pytest.mark.parametrize("accuracy", [0, 2])
async def test_a_journal_that_went_back_to_an_unknown_add_of_one_coin_repeats_none_of_them(
    accuracy: int,
) -> None:
    """Each of the coins since has a row of the same amount, and some are within the unknown's window."""
    world, journal = a_world("0.82", held="20", wallet="500", accuracy=accuracy), MemoryJournal()
    numbers = itertools.count(1)
    ids = lambda: f"i{next(numbers)}"  # noqa: E731 - never the same again, as in life
    guard = a_guard(world, journal, policy=SMALL, ids=ids)
    world.answers = ["lost_answer"]
    world.row_lag_ms = 500
    await guard.cycle()
    backup = journal.snapshot()
    assert [item.state for item in backup.intents.values()] == [State.UNKNOWN]
    await cycles(guard, world, 6, ms=1_000)
    assert len(world.applied) > 2
    journal = MemoryJournal.restored(backup)
    guard = a_guard(world, journal, policy=SMALL, ids=ids, continuous=False)
    await cycles(guard, world, 60)
    given_up = [item for item in journal.snapshot().intents.values() if item.state is State.ABSENT]
    assert not {item.intent_id for item in given_up} & set(world.applied)
    added = world.loans[ONE].collateral - 20
    assert world.ltv(ONE) < Decimal("0.75")
    assert added <= Decimal(20) * (Decimal("0.82") / Decimal("0.65") - 1) + 1
