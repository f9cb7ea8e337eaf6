"""A pool's fixed loan that was repaid in full is not repaid again while an old list still shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_world import ContractWorld, ModelContracts, a_pool_with_contracts
from core_builders import D
from exchange_model import POLICY, POOL, a_guard, a_world
from exchange_world import OWED
from transfers_and_repayments import cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.policy import FixedRepayRule
from ltv_guard.guard.cycle import Guard

MINUTE_MS = 60_000
MONTH_MS = 30 * 24 * 60 * MINUTE_MS
REPAYS = replace(POLICY, repay_fixed=FixedRepayRule(enabled=True))


def a_pool() -> tuple[ContractWorld, Guard]:
    """It owes 1000 USDT that nothing repays in half an hour, and as much that is due in a month."""
    world = a_pool_with_contracts(
        a_world(pool="0.5", wallet="0", owed="9000"), {}, ends_in_ms=0, at_end=AtEnd.NOTHING
    )
    for ends_in_ms in (30 * MINUTE_MS, MONTH_MS):
        world.loans[POOL].debt -= 1000
        world.sign_contract(OWED, D(1000), ends_in_ms, AtEnd.NOTHING)
    world.contract_views.clear()
    world.note()
    return world, a_guard(world, MemoryJournal(), policy=REPAYS, contracts=ModelContracts(world))


@pytest.mark.parametrize(("shown_for_min", "asked_for"), [(9, 1), (11, 2)])
async def test_it_is_left_alone_for_ten_minutes_and_then_the_list_is_believed(
    shown_for_min: int, asked_for: int
) -> None:
    """More is owed in a new one: no sum tells that the list is of before."""
    world, guard = a_pool()
    await cycles(guard, world, 3)
    (first,) = world.sent
    assert world.applied == [first.intent_id]
    world.sign_contract(OWED, D(1500), MONTH_MS, AtEnd.NOTHING)
    world.old_contracts_ms = shown_for_min * MINUTE_MS
    await cycles(guard, world, 14 * 4, ms=15_000)
    assert [item.contract_id for item in world.sent] == [first.contract_id] * asked_for
    assert world.applied == [first.intent_id]
