"""An exchange that is slow, as in a crash: the loan that matters is saved, and no list is waited for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import (
    NEEDY,
    ORDER,
    PRODUCTS,
    SECOND_ORDER,
    Product,
    World,
    also_an_order,
    scenario_of,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

# A tenth of the defaults, as the latency is a tenth of what was met.
TENTH = {"schedule": {"max_snapshot_age_s": 1}}


def many_orders(count: int) -> dict[str, Any]:
    """The one loan that will need help, and others that never will: the newest are shown first."""
    scenario = scenario_of()
    for number in range(2001, 2000 + count):
        also_an_order(scenario, order_id=str(number), debt="22000")
    return scenario


def outcomes(world: World, since: int = 0) -> list[str]:
    return [item["outcome"] for item in world.heard("cycle_finished")[since:]]


@pytest.mark.case(49)
@pytest.mark.parametrize(
    ("count", "answer_s"), [(210, "0.34"), pytest.param(810, "0.13", marks=pytest.mark.slow)]
)
async def test_a_loan_is_saved_though_all_loans_take_longer_to_read_than_facts_may_be_old(
    open_a_world: OpenWorld, count: int, answer_s: str
) -> None:
    async with open_a_world(many_orders(count), config=TENTH) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        seen = len(world.heard("cycle_finished"))
        world.fault("slow", seconds=answer_s, times=None)
        world.price(NEEDY["add"])
        await world.until(lambda: world.is_at_target(loan_id=ORDER))
        await world.until(lambda: "slow" in outcomes(world, seen))
        told = world.heard("guard_slow")[0]
        assert (told["level"], told["what"], told["longest_ms"]) == ("warning", "loans", 1000)
        assert told["age_ms"] > 1000
        world.exchange.clear_faults()
        await world.until_quiet()
        await world.judge()
        assert len(world.effects()) == 1


@pytest.mark.case(49)
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_a_breach_that_slowness_leaves_unanswered_is_critical_and_no_cycle_calls_itself_ok(
    open_a_world: OpenWorld, product: Product
) -> None:
    config = {"schedule": {"max_snapshot_age_s": 0.3}}
    async with open_a_world(scenario_of(product=product), config=config) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        seen = len(world.heard("cycle_finished"))
        world.fault("slow", endpoint=product.loans, seconds="0.5", times=None)
        world.price(NEEDY["add"])
        await world.until(lambda: any(item["level"] == "critical" for item in world.heard("guard_slow")))
        told = next(item for item in world.heard("guard_slow") if item["level"] == "critical")
        assert told["loan_ids"] == [product.loan_id]
        assert told["age_ms"] > told["longest_ms"] == 300
        assert not world.exchange.writes
        await world.until(lambda: "slow" in outcomes(world, seen))
        world.exchange.clear_faults()
        await world.until_settled_at_target()
        await world.until(lambda: bool(world.heard("guard_in_time")))
        await world.judge()


@pytest.mark.slow
@pytest.mark.case(49)
async def test_a_release_waits_for_facts_that_are_fresh_as_a_whole(open_a_world: OpenWorld) -> None:
    async with open_a_world(many_orders(210), config=TENTH) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.fault("slow", endpoint="orders", seconds="0.36", times=None)
        world.price(NEEDY["reduce"])
        await world.until(lambda: len(world.heard("guard_slow")) > 0)
        await world.until(lambda: outcomes(world).count("slow") > 1)
        assert not world.exchange.writes


@pytest.mark.case(44)
async def test_a_loan_is_saved_while_a_history_is_read_that_has_no_end(open_a_world: OpenWorld) -> None:
    config = {"schedule": {"max_snapshot_age_s": 2}}
    async with open_a_world(also_an_order(scenario_of(), debt="22000"), config=config) as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) > 1)
            world.fault("close_after", endpoint="adjust", loan_id=ORDER)
            world.fault("cursor_loop", endpoint="history", value="endless", times=None)
            world.fault("slow", endpoint="history", seconds="0.3", times=None)
            world.price(NEEDY["add"])
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            seen = len(world.heard("cycle_finished"))
            # The second loan asks for help while the first one's end is looked for in the history.
            world.price(Decimal(26000))
            await world.until(lambda: bool(world.effects(SECOND_ORDER)))
            await world.until(lambda: len(world.heard("cycle_finished")) > seen + 3)
            assert world.heard("history_slow")
            world.exchange.clear_faults()
            world.price(NEEDY["add"])
            await world.until_quiet()
        await world.judge()
        assert world.ltv(ORDER) < Decimal("0.75")
