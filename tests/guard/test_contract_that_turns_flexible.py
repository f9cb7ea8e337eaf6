"""A contract turns flexible just after a repayment of as much: that is no debt from before it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from contract_world import ContractWorld, ModelContracts, a_pool_with_contracts
from exchange_model import POOL, a_guard, a_world
from exchange_world import OWED
from transfers_and_repayments import MOVES, PAYS, cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.contracts import AtEnd

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


async def test_an_old_replica_of_before_that_repayment_is_not_acted_on() -> None:
    world = a_pool(AtEnd.FLEXIBLE)
    guard = a_guard(world, MemoryJournal(), policy=PAYS, transfers=MOVES, contracts=ModelContracts(world))
    await cycles(guard, world, 15)
    world.stale_ms = 60_000
    await cycles(guard, world, 15)
    assert len(world.applied) == 1
