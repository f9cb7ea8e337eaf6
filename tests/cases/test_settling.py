"""What makes an adjustment certain never starves a loan; what is old is known as old whenever it comes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import AN_ORDER, NEEDY, ORDER, PRODUCTS, USER, Product, crossed, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

Tree = dict[str, Any]
COARSE = "OIL"


def coarse(accuracy: int) -> Tree:
    """An order of 100 coins of 385 USD, of which the exchange takes `accuracy` decimals: LTV 0.779."""
    scenario = scenario_of()
    scenario["market"]["coins"][COARSE] = {"path": [[0, "385"]]}
    scenario["coins"][COARSE] = {"accuracy": accuracy}
    (order,) = scenario["users"][USER]["orders"]
    order.update(collateral_coin=COARSE, collateral="100")
    scenario["users"][USER]["funding"] = {COARSE: "500"}
    return scenario


@pytest.mark.slow
@pytest.mark.case(36)
@pytest.mark.parametrize("accuracy", [0, 2])
async def test_a_coarse_coin_under_a_small_cap_never_runs_out_of_amounts(
    open_a_world: OpenWorld, accuracy: int
) -> None:
    """Five adds of a coin at a time are needed, and there are three amounts to choose from, or one."""
    policy = {
        "add": {"trigger_ltv": 0.75, "target_ltv": 0.745},
        "limits": {"max_add": {COARSE: 1}, "emergency_ltv": 0.84},
    }
    async with open_a_world(coarse(accuracy), config={"policy": policy}) as world, world.guarded():
        await world.until(lambda: world.ltv(ORDER) <= Decimal("0.7451"), within_s=20)
        await world.until_quiet()
        assert len(world.effects()) > 3
        assert all(row.amount <= 1 for row in world.effects())
        await world.judge()


@pytest.mark.case(39)
@pytest.mark.parametrize("reads", [1, 5])
async def test_a_loan_shown_as_it_was_before_an_add_is_not_added_to_again_whenever_that_comes(
    open_a_world: OpenWorld, reads: int
) -> None:
    """From an old replica, long after fresh reads were taken for the end of it."""
    async with open_a_world(scenario_of(NEEDY["add"])) as world, world.guarded():
        await world.until_settled_at_target()
        seen = len(world.heard("cycle_finished"))
        await world.until(lambda: len(world.heard("cycle_finished")) >= seen + 10)
        now_s = world.exchange.moment().real_s
        before = now_s - world.effects()[0].applied_s + 2
        world.fault("stale_reads", endpoint="orders", seconds=before, times=reads)
        await world.until(lambda: bool(world.heard("loan_shown_as_it_is")), within_s=12)
        await world.until_quiet()
        (said,) = world.heard("loan_shown_as_before")
        assert said["loan_id"] == ORDER
        assert len(world.effects()) == 1
        await world.judge()


@pytest.mark.case(38)
@pytest.mark.parametrize(
    ("product", "trouble"),
    crossed(PRODUCTS, ["500", "dropped"], stays=lambda *case: case == (AN_ORDER, "500")),
)
async def test_adds_go_on_while_the_history_fails_and_prices_fall(
    open_a_world: OpenWorld, product: Product, trouble: str
) -> None:
    """Each is accepted, and shows in the loan. What the history is needed for waits for it."""
    config = {"schedule": {"max_snapshot_age_s": 5}}
    async with open_a_world(scenario_of(NEEDY["add"], product), config=config) as world, world.guarded():
        kind = {"500": "http_error", "dropped": "close_before"}[trouble]
        world.fault(kind, endpoint="history", status=500, times=None)
        for count, price in enumerate((38000, 32000, 26000), start=1):
            world.price(price)
            await world.until(lambda count=count: len(world.effects()) == count, within_s=10)
            await world.until(world.is_at_target, within_s=10)
        assert [row.direction for row in world.effects()] == ["add"] * 3
        world.exchange.clear_faults()
        await world.until_quiet()
        await world.judge()


@pytest.mark.slow
@pytest.mark.case(40)
async def test_an_exchange_later_than_its_margins_doubles_nothing_once_that_was_measured(
    open_a_world: OpenWorld,
) -> None:
    """Loans and history show everything 2.5 s late; 0.3 s is what the margins assume."""
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("stale_reads", endpoint="orders", seconds="2.5", times=None)
        world.fault("history_lag", endpoint="history", seconds="2.5", times=None)
        async with world.guarded():
            await world.until_settled_at_target()
            await world.until(lambda: bool(world.heard("exchange_slower_than_assumed")))
            world.fault("close_after", endpoint="adjust")
            world.price(32000)
            await world.until(lambda: len(world.effects()) == 2)
            await world.until_quiet()
            await world.until(lambda: world.heard("decision_made")[-1]["cause"] in {"in_bounds", "at_target"})
        assert len(world.effects()) == 2
        assert Decimal(world.heard("exchange_slower_than_assumed")[-1]["used_s"]) >= Decimal("2.5")
        await world.judge()


@pytest.mark.case(24)
async def test_a_journal_that_does_not_fit_is_told_and_does_not_cost_the_loan(
    open_a_world: OpenWorld,
) -> None:
    """Another sandbox has the same user and order; what the journal says of it never happened there."""
    async with open_a_world(scenario_of(NEEDY["add"])) as world, world.guarded():
        await world.until_settled_at_target()
    async with open_a_world(scenario_of(Decimal(35000)), trusted=False) as world, world.guarded():
        await world.until(lambda: bool(world.effects()), within_s=40)
        await world.until(world.is_at_target)
        await world.until(lambda: bool(world.heard("journal_does_not_fit")), within_s=40)
        assert world.heard("journal_does_not_fit")[0]["loan_id"] == ORDER
