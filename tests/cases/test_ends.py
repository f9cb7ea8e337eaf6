"""How a loan ended is read from the exchange, where it tells: a liquidation is not guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import A_POOL, AN_ORDER, PRODUCTS, USER, Product, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

CALM = Decimal(52000)


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_a_liquidation_from_afar_is_read(open_a_world: OpenWorld, product: Product) -> None:
    """At an LTV of 0.58 nothing spoke for one: the price fell and came back between two reads."""
    async with open_a_world(scenario_of(CALM, product), config={"mode": "dry_run"}) as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) >= 2)
            world.price(20000)
            world.price(CALM)
            await world.until(lambda: bool(world.heard("loan_liquidated") + world.heard("loan_gone")))
        (told,) = world.heard("loan_liquidated")
        assert told["read"] is True
        assert "liquidat" in told["why"]
        assert told["last_ltv"] < Decimal("0.6")


@pytest.mark.parametrize("read_fails", [False, True])
async def test_an_order_that_was_repaid_at_a_high_ltv_is_no_liquidation(
    open_a_world: OpenWorld,
    read_fails: bool,  # noqa: FBT001
) -> None:
    """Within 3 % of its liquidation LTV: where the exchange does not tell, that is what it is taken for."""
    scenario: Any = scenario_of(Decimal(32000), AN_ORDER)
    scenario["users"][USER]["funding"] = {"USDT": "40000"}
    async with open_a_world(scenario, config={"mode": "dry_run"}) as world:
        if read_fails:
            world.fault("http_error", endpoint="borrowed", status=404, times=None)
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) >= 2)
            world.exchange.user_repay(USER, AN_ORDER.loan_id, Decimal(30000))
            await world.until(lambda: bool(world.heard("loan_liquidated") + world.heard("loan_gone")))
        assert len(world.heard("loan_liquidated")) == int(read_fails)
        if not read_fails:
            assert world.heard("loan_gone")[0]["why"] == "the exchange lists it as repaid"


@pytest.mark.parametrize(("kind", "words"), [(6, "delayed liquidation"), (2, "by liquidation")])
async def test_what_paid_a_pools_last_debt_is_told_by_name(
    open_a_world: OpenWorld, kind: int, words: str
) -> None:
    scenario, config = scenario_of(CALM, A_POOL), {"mode": "dry_run"}
    async with open_a_world(scenario, config=config, product=A_POOL) as world:
        world.fault("nonsense", endpoint="repayments", field="repayType", value=kind, times=None)
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) >= 2)
            world.exchange.deposit(USER, "USDT", Decimal(30000))
            world.exchange.user_repay(USER, "pool", Decimal(27000))
            await world.until(lambda: bool(world.heard("loan_liquidated") + world.heard("loan_gone")))
        (told,) = world.heard("loan_liquidated")
        assert words in told["why"]
