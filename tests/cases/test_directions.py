"""An exchange that takes `direction` the other way round: seen by `check`, and at the first adjustment."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import (
    A_POOL,
    AN_ORDER,
    BOTH_PRODUCTS,
    ORDER,
    PRODUCTS,
    USER,
    Product,
    Tree,
    World,
    also_an_order,
    crossed,
    scenario_of,
)

from ltv_guard.service.check import check

if TYPE_CHECKING:
    from conftest import OpenWorld

NEEDY = Decimal(38000)
BARELY_NEEDY = Decimal(39700)  # an LTV of 0.756: what should bring it to 0.65 brings it to 0.90, turned round
TARGET = Decimal("0.65")


def reversed_world(product: Product) -> Tree:
    """An exchange whose "0" takes out. The loan may lose collateral up to an LTV of 0.94."""
    scenario = scenario_of(BARELY_NEEDY, product, directions_reversed=True)
    scenario["coins"]["BTC"]["initial_ltv"] = "0.94"
    return scenario | {"pool_terms": {"initial_ltv": "0.94"}}


async def cycles(world: World, count: int) -> None:
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)


@pytest.mark.parametrize("product", crossed(PRODUCTS, stays=lambda product: product is A_POOL))
async def test_the_first_adjustment_that_did_the_opposite_is_the_last(
    open_a_world: OpenWorld, product: Product
) -> None:
    """A second order in breach waits until the first adjustment has told what the exchange means."""
    scenario = reversed_world(product)
    if product is AN_ORDER:
        also_an_order(scenario)
    async with open_a_world(scenario) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("needs_human")))
            await cycles(world, 8)
            (event,) = world.heard("needs_human")
            assert (event["level"], event["product"]) == ("critical", product.name)
            assert "the opposite of what was meant" in event["why"]
            assert len(world.adjustments_sent()) == 1
            assert any("opposite" in item["why"] for item in world.heard("breach_unanswered"))
        async with world.guarded():  # a restart forgets nothing: the history tells it before anything is sent
            await cycles(world, 4)
            assert len(world.adjustments_sent()) == 1


@pytest.mark.parametrize("product", crossed(PRODUCTS, stays=lambda product: product is AN_ORDER))
async def test_adds_that_are_refused_as_releases_end_until_a_row_bears_the_directions_out(
    open_a_world: OpenWorld, product: Product
) -> None:
    async with open_a_world(scenario_of(NEEDY, product)) as world, world.guarded():
        code = 177013 if product is AN_ORDER else 148009
        world.fault("ret_code", endpoint="adjust", code=code, applied=False, times=None)
        await world.until(lambda: bool(world.heard("needs_human")))
        await cycles(world, 8)
        assert len(world.adjustments_sent()) == 2
        world.exchange.clear_faults()
        assert "by hand" in world.heard("needs_human")[0]["mend"]
        world.by_hand("add", Decimal("0.05"))
        await world.until_settled_at_target()
        assert len(world.heard("human_not_needed")) == 1
        await world.judge()


async def test_the_other_product_goes_on(open_a_world: OpenWorld) -> None:
    scenario = scenario_of(NEEDY, A_POOL)
    also_an_order(scenario, order_id=ORDER)
    config = BOTH_PRODUCTS | {"policy": {"collateral_preference": ["BTC"]}}
    async with open_a_world(scenario, config=config) as world:
        # The pool's history tells the opposite of our add, and the pool goes on showing what was before.
        told = {"endpoint": "history", "product": "crypto_loan", "times": None}
        world.fault("nonsense", field="preLTV", value="0.5", **told)
        world.fault("nonsense", field="afterLTV", value="0.9", **told)
        world.fault("stale_reads", endpoint="position", seconds="60", times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("needs_human")))
            assert {event["product"] for event in world.heard("needs_human")} == {"crypto_loan"}
            await world.until(lambda: world.ltv(ORDER) <= TARGET)
            world.price(31000)
            await world.until(lambda: world.ltv(ORDER) <= TARGET)
            assert len(world.effects("pool")) == 1


async def test_an_odd_row_beside_a_loan_that_shows_what_was_meant_stops_nothing(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world:
        world.fault("nonsense", endpoint="history", field="afterLTV", value="0.99", times=None)
        async with world.guarded():
            await world.until_settled_at_target()
            world.price(31000)
            await world.until_settled_at_target()
        assert len(world.effects()) >= 2
        await world.judge()


async def said(world: World) -> str:
    """What `check` says of the directions."""
    findings = await check(world.settings())
    return next(item.found for item in findings if "directions" in item.what)


@pytest.mark.parametrize(("turned", "words"), [(True, "adds that raised the LTV"), (False, "bears them out")])
async def test_check_says_what_the_history_tells_of_the_directions(
    open_a_world: OpenWorld,
    turned: bool,  # noqa: FBT001
    words: str,
) -> None:
    scenario = reversed_world(AN_ORDER) if turned else scenario_of(NEEDY)
    async with open_a_world(scenario) as world:
        assert "no row of the last 30 days tells" in await said(world)
        world.exchange.user_adjust(USER, ORDER, "reduce" if turned else "add", Decimal("0.1"))
        assert words in await said(world)
        assert all(finding.good for finding in await check(world.settings())) != turned
