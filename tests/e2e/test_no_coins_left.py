"""The scenario no_coins_left before the real daemon: what is said in time, and what saves the pool."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e_world import A_POOL, KEY, SECRET, Product

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
GUARDED, TWIN = "100001", "100002"
SCENARIO = Path(__file__).parents[2] / "config" / "scenarios" / "no_coins_left.yaml"
POLICY = {"collateral_preference": ["USDT", "BTC"], "reduce": {"enabled": False}}


@pytest.fixture
def product() -> Product:
    return A_POOL


@pytest.mark.slow
async def test_without_it_the_loan_is_lost_and_that_is_said_in_time_with_what_would_save_it(
    open_a_world: OpenWorld,
) -> None:
    scenario = yaml.safe_load(SCENARIO.read_text())
    scenario["keys"] = [{"key": KEY, "secret": SECRET, "user": GUARDED}]
    scenario["ids"] = "fixed"
    async with open_a_world(scenario, config={"policy": POLICY}) as world, world.guarded():
        await world.until(lambda: bool(world.heard("protection_short")))
        short = world.heard("protection_short")[0]
        assert short["level"] == "critical"
        assert short["ltv"] < D("0.80")
        assert world.exchange.ledger.liquidations == []
        sold = next(item for item in short["help"] if "of its collateral" in item)
        assert sold.startswith("repaying ")
        assert "with BTC of its collateral brings it to 0.65" in sold
        assert sold.endswith("(policy.repay_with_collateral is off)")
        assert any("to the Funding wallet" in item for item in short["by_hand"])
        assert any("there with BTC of its collateral, for about" in item for item in short["by_hand"])
        await world.until(lambda: bool(world.heard("loan_liquidated")), within_s=60)
        assert {item.user for item in world.exchange.ledger.liquidations} == {GUARDED, TWIN}
        assert world.exchange.ledger.repayments
        assert world.effects() == []
