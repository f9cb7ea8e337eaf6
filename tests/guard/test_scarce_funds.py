"""Too few coins for two loans, over the whole of a rescue: nobody takes what a worse one will need next."""

from __future__ import annotations

from decimal import Decimal

import pytest
from exchange_model import POLICY, POOL, World, a_guard, a_world, key_of, with_limits

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import LoanKey

D = Decimal
WORSE, BETTER = key_of(1), key_of(2)
IN_SMALL_STEPS = with_limits(POLICY, max_add={"BTC": D("0.02")})


async def guarded(world: World, *, seconds: int = 60) -> World:
    guard = a_guard(world, MemoryJournal(), policy=IN_SMALL_STEPS)
    for _ in range(seconds):
        await guard.cycle()
        world.advance(1_000)
    return world


@pytest.mark.parametrize(
    "mishap",
    [
        {},
        {"row_lag_ms": 2_000},
        {"row_lag_ms": 4_500},
        {"stale_ms": 3_000},
        {"old_ltv_ms": 3_000},
        {"answers": ["lost_answer", "lost_answer"]},
        {"answers": ["late:3000"]},
    ],
    ids=["none", "late rows", "later rows", "stale reads", "old LTVs", "lost answers", "a late effect"],
)
@pytest.mark.parametrize("better", [BETTER, POOL], ids=["order", "pool"])
async def test_all_goes_to_the_worse_though_it_takes_several_adjustments(
    mishap: dict[str, object], better: LoanKey
) -> None:
    world = a_world("0.85", "0.79", wallet="0.06", pool="0.79")
    del world.loans[POOL if better is BETTER else BETTER]
    for name, value in mishap.items():
        setattr(world, name, value)
    await guarded(world)
    assert {row.shown.key for row in world.rows} == {WORSE}
    assert world.ltv(better) == D("0.79")
    assert D("0.8018") < world.ltv(WORSE) < D("0.8021")


@pytest.mark.parametrize("row_lag_ms", [0, 2_000, 4_500])
async def test_in_small_steps_both_end_level_and_stay_so(row_lag_ms: int) -> None:
    world = a_world("0.85", "0.79", wallet="0.16")
    world.row_lag_ms = row_lag_ms
    await guarded(world)
    level = D("1.64") / D("2.16")
    for key in (WORSE, BETTER):
        assert abs(world.ltv(key) - level) < D("0.002")
    moved = len(world.rows)
    await guarded(world, seconds=20)
    assert len(world.rows) == moved


async def test_coins_of_an_add_that_only_the_loan_shows_are_not_in_an_older_wallet() -> None:
    """In the cycle that confirms it by them, and goes by an older wallet, they are spent all the same."""
    world, journal = a_world("0.85", "0.60", wallet="0.2"), MemoryJournal()
    guard = a_guard(world, journal)
    await guard.cycle()
    world.wallet_down = world.history_down = True
    world.loans[key_of(2)].debt *= D("1.42")
    for _ in range(40):
        world.advance(1_000)
        await guard.cycle()
    assert [item.state for item in journal.snapshot().intents.values()] == [State.CONFIRMED]
    assert world.refused == []


async def test_coins_of_an_add_whose_product_can_not_be_read_are_not_promised_twice() -> None:
    world = a_world("0.60", pool="0.78", wallet="0.25")
    guard = a_guard(world, MemoryJournal())
    world.answers_to = {POOL: ["pending:8000"]}
    await guard.cycle()
    world.pool_down = True
    world.loans[WORSE].debt *= D("1.3")
    world.note()
    for _ in range(3):
        world.advance(1_000)
        await guard.cycle()
    assert [intent.key for intent in world.sent] == [POOL, WORSE]
    assert sum(intent.amount for intent in world.sent) <= D("0.25")


async def test_they_are_not_kept_from_an_emergency_for_longer_than_the_add_may_take() -> None:
    """It has landed, the wallet lacks them already, and nothing tells that any more."""
    world = a_world("0.60", pool="0.78", wallet="0.4")
    guard = a_guard(world, MemoryJournal())
    await guard.cycle()
    world.pool_down = world.history_down = True
    world.loans[WORSE].debt *= D("1.5")
    world.note()
    for _ in range(10):
        world.advance(1_000)
        await guard.cycle()
    assert [intent.key for intent in world.sent] == [POOL, WORSE]
    assert world.wallet["BTC"] < D("0.0001")
