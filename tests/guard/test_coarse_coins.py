"""A coin with few decimals under a small cap: the amounts to choose from are few, and are used again."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
import structlog
from exchange_model import POLICY, a_guard, a_world, with_limits
from transfers_and_repayments import ONE, cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State

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
    assert "in use by an adjustment that is not settled" in said[0]
    world.history_down = False
    await cycles(guard, world, 60)
    assert world.ltv(ONE) <= Decimal("0.652")


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
