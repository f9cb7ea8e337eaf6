"""What somebody else did a moment ago is listed, and the loan is shown as it was before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from contract_world import ContractWorld, ModelContracts
from exchange_model import POLICY, POOL, World, a_guard, a_world, key_of
from transfers_and_repayments import cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.loans import Direction, LoanKey
from ltv_guard.core.model.policy import CollateralRepayRule, RepayRule
from ltv_guard.guard.cycle import Guard

LATE_MS = 1_500
KEYS = pytest.mark.parametrize("key", [key_of(1), POOL], ids=["order", "pool"])


async def a_hands_release(key: LoanKey, amount: str) -> tuple[World, Guard]:
    """Of a loan that is low, listed, and not shown yet."""
    world = a_world("0.30") if key != POOL else a_world(pool="0.30")
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, 5, 2_000)
    world.stale_ms = LATE_MS
    assert world.move(key, Direction.REDUCE, Decimal(amount), None)
    return world, guard


@KEYS
async def test_nothing_is_released_on_top_of_what_a_hand_released(key: LoanKey) -> None:
    world, guard = await a_hands_release(key, "0.4")
    world.advance(500)
    await cycles(guard, world, 10, 1_000)
    assert not world.sent
    assert world.ltv(key) < Decimal("0.56")


@KEYS
async def test_what_is_too_much_still_is_released_once_that_is_shown(key: LoanKey) -> None:
    world, guard = await a_hands_release(key, "0.02")
    await cycles(guard, world, 40, 1_000)
    assert [item.direction for item in world.sent] == [Direction.REDUCE]


@pytest.mark.parametrize("ltv_falls_to", ["breach", "emergency"])
@pytest.mark.parametrize("sells", [False, True])
async def test_nothing_is_repaid_on_top_of_what_a_hand_repaid(ltv_falls_to: str, *, sells: bool) -> None:
    """Short of an emergency: that one waits for nothing."""
    bare = a_world(pool="0.70", wallet="0", owed="0" if sells else "12000")
    world = ContractWorld(loans=bare.loans, wallet=bare.wallet, unified=bare.unified, fee=Decimal("0.004"))
    policy = (
        replace(POLICY, repay_with_collateral=CollateralRepayRule(enabled=True))
        if sells
        else replace(POLICY, repay=RepayRule(enabled=True))
    )
    guard = a_guard(world, MemoryJournal(), policy=policy, contracts=ModelContracts(world))
    await cycles(guard, world, 5, 1_000)
    world.price *= Decimal("0.90" if ltv_falls_to == "breach" else "0.82")
    world.note()
    world.advance(LATE_MS)
    world.stale_ms = LATE_MS
    owed = world.loans[POOL].debt
    if sells:
        assert world.pay_with_collateral(Decimal(13_000), None)
    else:
        assert world.repay(POOL, owed / 5, None)
    world.advance(500)
    await cycles(guard, world, 10, 1_000)
    assert bool(world.sent) is (ltv_falls_to == "emergency")
