"""A contract turns flexible just after a repayment of as much: that is no debt from before it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from contract_world import ContractWorld, ModelContracts, a_pool_with_contracts
from exchange_model import POLICY, POOL, a_guard, a_world
from exchange_world import OWED
from transfers_and_repayments import MOVES, PAYS, cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.policy import FixedRepayRule

REPAID = Decimal("0.1875")  # from LTV 0.80 to 0.65


def a_pool(at_end: AtEnd) -> ContractWorld:
    """What is fixed of its debt for 20 s more is as much as brings it to its target."""
    whole = a_world(pool="0.80", wallet="0", owed="100000")
    return a_pool_with_contracts(whole, {OWED: REPAID}, ends_in_ms=20_000, at_end=at_end)


async def test_the_pool_is_helped_again_in_an_emergency() -> None:
    world = a_pool(AtEnd.FLEXIBLE)
    guard = a_guard(world, MemoryJournal(), policy=PAYS, transfers=MOVES, contracts=ModelContracts(world))
    owed = world.loans[POOL].debt
    await cycles(guard, world, 15)
    assert len(world.applied) == 1
    assert world.loans[POOL].debt == pytest.approx(owed, rel=Decimal("0.0005"))
    world.price *= Decimal("0.75")
    await cycles(guard, world, 5)
    assert len(world.applied) == 2
    assert world.ltv(POOL) < Decimal("0.66")


@pytest.mark.parametrize("after_s", [70, 600])
@pytest.mark.parametrize("at_end", [AtEnd.FLEXIBLE, AtEnd.REPAID])
async def test_one_that_the_exchange_is_minutes_late_with_is_left_to_it(at_end: AtEnd, after_s: int) -> None:
    world = a_pool_with_contracts(
        a_world(pool="0.5", wallet="0", owed="9000"),
        {OWED: Decimal("0.2")},
        ends_in_ms=60_000,
        at_end=at_end,
        pays_after_ms=after_s * 1000,
    )
    policy = replace(POLICY, repay_fixed=FixedRepayRule(enabled=True))
    guard = a_guard(world, MemoryJournal(), policy=policy, contracts=ModelContracts(world))
    await cycles(guard, world, 60, 15_000)
    assert not world.sent
    assert not world.contracts


async def test_one_that_never_turns_is_repaid_an_hour_after_its_end() -> None:
    world = a_pool_with_contracts(
        a_world(pool="0.5", wallet="0", owed="9000"),
        {OWED: Decimal("0.2")},
        ends_in_ms=60_000,
        at_end=AtEnd.FLEXIBLE,
        pays_after_ms=86_400_000,
    )
    policy = replace(POLICY, repay_fixed=FixedRepayRule(enabled=True))
    guard = a_guard(world, MemoryJournal(), policy=policy, contracts=ModelContracts(world))
    await cycles(guard, world, 122, 30_000)
    assert not world.sent
    await cycles(guard, world, 4, 30_000)
    assert [item.contract_id is not None for item in world.sent] == [True]


async def test_an_old_replica_of_before_that_repayment_is_not_acted_on() -> None:
    world = a_pool(AtEnd.FLEXIBLE)
    guard = a_guard(world, MemoryJournal(), policy=PAYS, transfers=MOVES, contracts=ModelContracts(world))
    await cycles(guard, world, 15)
    world.stale_ms = 60_000
    await cycles(guard, world, 15)
    assert len(world.applied) == 1
