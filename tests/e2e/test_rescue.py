"""The history can't be read for a long time, and the price goes on falling: one rescue add, and no third."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import (
    A_POOL,
    AN_ORDER,
    BOTH_PRODUCTS,
    NEEDY,
    PRODUCTS,
    SECOND_ORDER,
    TARGETS,
    Product,
    World,
    also_an_order,
    crossed,
    scenario_of,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

RELEASE_TRIGGER = Decimal("0.40")
LOST = ["close_before", "close_after"]
OUTAGE = {"kind": "http_error", "endpoint": "history", "status": 504, "times": None}


async def cycles(world: World, count: int) -> None:
    """Waits until the guard has looked so many times more."""
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)


async def ends_well(world: World) -> None:
    """The history comes back: every intent is closed, and the loan brought to its target."""
    world.exchange.clear_faults()
    await world.until_settled_at_target()
    await world.judge()


@pytest.mark.parametrize(
    ("product", "lost"), crossed(PRODUCTS, LOST, stays=lambda *case: case == (A_POOL, "close_after"))
)
async def test_an_add_that_stays_unknown_gets_one_rescue_and_not_two(
    open_a_world: OpenWorld, product: Product, lost: str
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"], product)) as world:
        world.fault(**OUTAGE)
        world.fault(lost, endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            await cycles(world, 2)
            assert len(world.adjustments_sent()) == 1  # no emergency yet
            fall_to(world, "0.82")
            await world.until(lambda: bool(world.heard("rescue_sent")))
            await world.until(lambda: world.ltv() <= TARGETS["add"])
            first, second = world.adjustments_sent()
            assert first["payload"] != second["payload"]
            assert world.ltv() > RELEASE_TRIGGER  # also where both have landed
            fall_to(world, "0.83")
            await cycles(world, 3)
            assert len(world.adjustments_sent()) == 2
            assert len(world.heard("rescue_sent")) == 1
            await ends_well(world)
        assert sum(intent.rescue_of is not None for intent in await world.intents()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("product", crossed(PRODUCTS, stays=lambda product: product is AN_ORDER))
async def test_a_rescue_that_is_lost_as_well_gets_no_third(open_a_world: OpenWorld, product: Product) -> None:
    async with open_a_world(scenario_of(NEEDY["add"], product)) as world:
        world.fault(**OUTAGE)
        world.fault("close_before", endpoint="adjust", times=2)
        async with world.guarded():
            fall_to(world, "0.82")
            await world.until(lambda: len(world.heard("adjustment_unknown")) == 2)
            await cycles(world, 3)
            assert len(world.adjustments_sent()) == 2, "a third must never leave"
            assert not world.effects()
            await ends_well(world)
        states = [intent.state for intent in await world.intents()]
        assert states.count("absent") == 2


@pytest.mark.parametrize(
    ("product", "lost"), crossed(PRODUCTS, LOST, stays=lambda *case: case == (AN_ORDER, "close_after"))
)
async def test_an_open_release_does_not_block_an_add(
    open_a_world: OpenWorld, product: Product, lost: str
) -> None:
    async with open_a_world() as world:
        async with world.guarded():
            await cycles(world, 2)
            world.fault(lost, endpoint="adjust", direction="reduce")
            world.fault("hang_before", endpoint="history", times=None, seconds=30, after=1)
            world.price(NEEDY["reduce"])
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            (release,) = await world.intents()
            # Where it has landed the loan has less collateral than before: priced so that both are in need.
            world.price(38000 if lost == "close_before" else 66000)
            await world.until(lambda: bool(world.heard("rescue_sent")))
            await world.until(lambda: any(row.direction == "add" for row in world.effects()))
            rescue = (await world.intents())[0]
            assert rescue.rescue_of == release.intent_id
            assert world.ltv() <= TARGETS["add"]
            world.exchange.clear_faults()
            await world.until_quiet()
        await world.judge()


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_a_history_that_hangs_keeps_no_loan_from_being_protected(
    open_a_world: OpenWorld, product: Product
) -> None:
    """Waiting for it takes longer than facts are good for: they have to be read again."""
    scenario = also_an_order(scenario_of(NEEDY["add"], product), collateral="1.05")
    config = {"schedule": {"max_snapshot_age_s": 2}, **(BOTH_PRODUCTS if product is A_POOL else {})}
    async with open_a_world(scenario, config=config) as world:
        world.fault("hang_before", endpoint="history", times=None)
        world.fault("close_before", endpoint="adjust", loan_id=product.loan_id)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            fall_to(world, "0.82")
            await world.until(lambda: bool(world.effects(SECOND_ORDER)))  # which nothing hinders
            await world.until(world.is_at_target)  # by its rescue
            await ends_well(world)


def fall_to(world: World, ltv: str) -> None:
    """Sets the price at which the loan, as it truly stands, has this LTV."""
    price = world.exchange.moment().prices["BTC"]
    world.price((world.ltv() * price / Decimal(ltv)).quantize(Decimal("0.01")))
