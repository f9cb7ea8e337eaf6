"""Where there are no coins left: a pool's debt is repaid with its own collateral. Over the wire.

Whatever becomes of the write, which has no id: at most one effect an intent, never more repaid than the one
need asked for, and the loan at its target once the fault is over. It is off unless it is switched on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import A_POOL, NEEDY, USER, Product, Tree, World, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

SELLS = {"policy": {"repay_with_collateral": {"enabled": True}}}
# 27000 USDT owed, 1 BTC at 38000 USD that counts for 0.9: LTV 0.7895. With the fee that is reckoned with,
# (27000 - x) / (34200 - 0.9 x 1.01) = 0.65 where x = 4770 / (1 - 0.65 x 0.909).
NEEDED = Decimal(4770) / (1 - Decimal("0.65") * Decimal("0.909"))


@pytest.fixture
def product() -> Product:
    """An order's collateral pays for nothing."""
    return A_POOL


def needy(**wallets: str) -> Tree:
    """User 1's pool at LTV 0.7895, and nothing that it could be helped with."""
    scenario = scenario_of(NEEDY["add"], A_POOL)
    scenario["users"][USER] |= {"funding": wallets, "unified": {}}
    return scenario


def sold(world: World) -> list[Decimal]:
    return [row.amount for row in world.repayments() if row.selling]


async def is_saved(world: World) -> None:
    await world.until_settled_at_target("add")
    assert abs(sum(sold(world)) - NEEDED) <= 50, world.story()


async def test_a_pool_without_coins_at_hand_is_brought_to_its_target(open_a_world: OpenWorld) -> None:
    async with open_a_world(needy(), config=SELLS) as world:
        async with world.guarded():
            await is_saved(world)
        (intent,) = await world.judged()
        assert (intent.state, intent.coin, intent.collateral_coin) == ("confirmed", "USDT", "BTC")
        assert not [event for event in world.events if event["level"] == "critical"]
