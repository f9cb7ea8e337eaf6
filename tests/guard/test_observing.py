"""How far back each list is read: as far as what is open in it, and no further for what is open elsewhere."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import POLICY, ModelPath, World, a_guard, a_world
from transfers_and_repayments import MOVES, ONE

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Kind, LoanKey, Owner, Product
from ltv_guard.guard.state.intent_book import DAY_MS

MONTH_MS = 30 * DAY_MS
KEYS = {Direction.ADD: ONE, Direction.REPAY: ONE, Direction.TRANSFER: LoanKey(Product.FUNDING, "BTC")}


def left_open(world: World, direction: Direction, age_ms: int) -> Intent:
    at_ms = world.now().exchange_ms - age_ms
    return Intent(
        intent_id=f"old-{direction}",
        owner=Owner("testnet", "7"),
        account="main",
        key=KEYS[direction],
        direction=direction,
        coin="USDT" if direction is Direction.REPAY else "BTC",
        amount=Decimal("0.1"),
        state=State.ACCEPTED,
        reason="",
        coins_before=Decimal(1),
        ltv_before=Decimal("0.76"),
        observed_at_ms=at_ms - 200,
        seen_ids=frozenset(),
        created_at_ms=at_ms,
        updated_at_ms=at_ms,
        signed_at_ms=at_ms,
        recv_window_ms=1_000,
        adjust_id=f"id-{direction}",
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[Kind, int]:
    """Since when each list was asked for, last."""
    found: dict[Kind, int] = {}
    history = ModelPath.history

    async def noting(self: ModelPath, since_ms: int) -> History:
        found[self.channel.kind] = since_ms
        return await history(self, since_ms)

    monkeypatch.setattr(ModelPath, "history", noting)
    return found


async def cycle_with(world: World, *intents: Intent, foreign_add_ms: int = 0) -> None:
    journal = MemoryJournal()
    journal._held.intents.update({item.intent_id: item for item in intents})
    policy = replace(POLICY, reduce=replace(POLICY.reduce, after_foreign_add_ms=foreign_add_ms))
    await a_guard(world, journal, policy=policy, transfers=MOVES).cycle()


@pytest.mark.parametrize("old", [Direction.ADD, Direction.REPAY, Direction.TRANSFER])
async def test_what_has_been_open_for_long_has_its_own_list_read_back_to_it(
    asked: dict[Kind, int], old: Direction
) -> None:
    world = a_world("0.60")
    now_ms = world.now().exchange_ms
    every = [
        left_open(world, item, MONTH_MS if item is old else 60_000) for item in (old, Direction.TRANSFER)
    ]
    await cycle_with(world, *every)
    for item in every:
        assert asked[item.direction.kind] == item.created_at_ms - DAY_MS, item.direction
    assert old is Direction.TRANSFER or asked[Kind.TRANSFER] > now_ms - 2 * DAY_MS


async def test_transfers_are_read_no_further_back_for_a_policy_that_looks_far(asked: dict[Kind, int]) -> None:
    """Their list takes a read a week: our own are known by their ids, and no other matters."""
    world = a_world("0.77", wallet="0", unified="10")
    transfer = left_open(world, Direction.TRANSFER, 60_000)
    await cycle_with(world, transfer, foreign_add_ms=MONTH_MS)
    assert asked[Kind.ADJUSTMENT] < world.now().exchange_ms - MONTH_MS
    assert asked[Kind.TRANSFER] == transfer.created_at_ms - DAY_MS


async def test_lists_in_which_nothing_is_open_are_not_read_in_a_quiet_cycle(asked: dict[Kind, int]) -> None:
    world = a_world("0.60")
    await cycle_with(world, left_open(world, Direction.TRANSFER, 60_000))
    assert set(asked) == {Kind.TRANSFER}
