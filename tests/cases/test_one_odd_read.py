"""One odd read costs only itself: no limit is lifted by it, nothing is released for it, and help goes on."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import A_POOL, NEEDY, PRODUCTS, Product, World, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
BREACH = NEEDY["add"]  # an LTV of 0.789
CALM = D(50000)  # 0.60
EMERGENCY = D(34800)  # 0.862
CAPPED: dict[str, Any] = {
    "wallet": {"reserve": {"BTC": "4.8"}, "max_add_24h": {"BTC": "0.1"}},
    "policy": {"reduce": {"enabled": False}},
}


async def looks(world: World, count: int) -> None:
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)


def odd_ltv(world: World, value: str, *, times: int | None = 1) -> None:
    field = world.product.ltv_field
    world.fault("nonsense", endpoint=world.product.loans, field=field, value=value, times=times)


def added(world: World) -> Decimal:
    return sum((row.amount for row in world.effects()), D(0))


@pytest.mark.case(12)
@pytest.mark.parametrize("value", ["0.99", "4.9"])
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_a_wick_of_one_read_adds_nothing(open_a_world: OpenWorld, product: Product, value: str) -> None:
    async with open_a_world(scenario_of(CALM, product), config=CAPPED) as world, world.guarded():
        await looks(world, 2)
        odd_ltv(world, value)
        await world.until(lambda: bool(world.heard("odd_read")))
        await looks(world, 2)
        assert not world.exchange.writes
        await world.judge()


@pytest.mark.case(12)
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_a_wick_to_nothing_releases_nothing(open_a_world: OpenWorld, product: Product) -> None:
    async with open_a_world(scenario_of(CALM, product)) as world, world.guarded():
        await looks(world, 2)
        odd_ltv(world, "0")
        await looks(world, 4)
        odd_ltv(world, "0.05")
        await looks(world, 4)
        assert not world.exchange.writes


@pytest.mark.case(51)
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_an_ltv_that_its_amounts_contradict_again_and_again_moves_no_more_than_the_caps_allow(
    open_a_world: OpenWorld, product: Product
) -> None:
    async with open_a_world(scenario_of(CALM, product), config=CAPPED) as world, world.guarded():
        odd_ltv(world, "4.5", times=None)
        await world.until(lambda: bool(world.heard("loan_contradicts_itself") and world.effects()))
        await looks(world, 6)
        assert added(world) <= D("0.1")


@pytest.mark.case(51)
@pytest.mark.parametrize(
    ("field", "value"),
    [("collateralAmount", "10"), ("collateralAmount", "0.000000001"), ("totalDebt", "300000")],
)
async def test_an_amount_shown_absurdly_is_told_and_the_loan_is_saved_in_small_steps(
    open_a_world: OpenWorld, field: str, value: str
) -> None:
    async with open_a_world(scenario_of(BREACH), config={"policy": {"reduce": {"enabled": False}}}) as world:
        world.fault("nonsense", endpoint="orders", field=field, value=value, times=2)
        async with world.guarded():
            await world.until_settled_at_target()
            assert world.heard("loan_contradicts_itself")
            assert added(world) < D("0.25")


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
async def test_an_emergency_that_its_numbers_bear_out_is_one(
    open_a_world: OpenWorld, product: Product
) -> None:
    async with open_a_world(scenario_of(EMERGENCY, product), config=CAPPED) as world, world.guarded():
        await world.until_settled_at_target()
        assert added(world) > D("0.3")
        assert not world.heard("loan_contradicts_itself")


async def test_an_emergency_that_two_reads_show_and_no_price_contradicts_is_one(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(EMERGENCY), config=CAPPED) as world:
        world.fault("http_error", endpoint="tickers", times=None)
        async with world.guarded():
            await world.until_settled_at_target()
            assert added(world) > D("0.3")


@pytest.mark.case(2)
async def test_without_tickers_a_pool_is_helped_by_what_its_position_implies(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(D(38700), A_POOL), product=A_POOL) as world:
        world.fault("nonsense", endpoint="tickers", field="list", value=[], times=None)
        async with world.guarded():
            await world.until_settled_at_target()
        assert not world.heard("loan_set_aside")
        assert not world.heard("defect")


def two_coins() -> dict[str, Any]:
    """A pool of ETH, in breach, to which BTC may be added that it does not hold yet."""
    return {
        **scenario_of(product=A_POOL),
        "market": {"coins": {"BTC": {"path": [[0, "50000"]]}, "ETH": {"path": [[0, "2500"]]}}},
        "coins": {"BTC": {"tiers": [{"ratio": "0.9"}]}, "ETH": {"tiers": [{"ratio": "0.9"}]}},
        "users": {
            "1": {
                "funding": {"BTC": "5"},
                "pool": {"flexible": {"USDT": "1400"}, "collateral": {"ETH": "1"}},
            }
        },
    }


@pytest.mark.case(50)
async def test_one_ticker_at_a_hundredth_sizes_nothing(open_a_world: OpenWorld) -> None:
    """2000 USD count for the ETH at 2222; 0.003 BTC or so are needed."""
    calm = {"policy": {"reduce": {"enabled": False}}}
    async with open_a_world(two_coins(), config=calm, product=A_POOL) as world:
        world.fault("nonsense", endpoint="tickers", loan_id="BTCUSDT", field="usdIndexPrice", value="500")
        world.price(2000, "ETH")
        async with world.guarded():
            await world.until(lambda: bool(world.effects()))
            await world.until_quiet()
        needed = (D(1400) / D("0.65") - D(1800)) / D(45000)
        assert added(world) <= needed * D("1.05") + D("0.0001")


@pytest.mark.case(34)
async def test_above_its_trigger_in_a_dry_run_the_pace_is_calm(open_a_world: OpenWorld) -> None:
    dry = {"mode": "dry_run", "schedule": {"poll_interval_s": 1.5, "settle_interval_s": 0.1}}
    async with open_a_world(scenario_of(BREACH), config=dry) as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        await asyncio.sleep(
            2
        )  # twenty times `settle_interval_s`: a machine that stalls makes it fewer cycles
        assert len(world.heard("cycle_finished")) <= 3
        assert len(world.heard("breach_unanswered")) == 1


async def test_an_emergency_does_not_wait_for_a_wallet_that_hangs(open_a_world: OpenWorld) -> None:
    steps = {"policy": {"limits": {"max_add": {"BTC": "0.04"}}, "reduce": {"enabled": False}}}
    async with open_a_world(scenario_of(EMERGENCY), config=steps) as world:
        world.fault("hang_before", endpoint="wallet", after=1, times=None)
        async with world.guarded():
            await world.until(lambda: world.ltv() < D("0.80"))
            await world.until(world.none_is_open)
        assert world.heard("wallet_not_fresh")
        await world.judge()


@pytest.mark.parametrize("feeds", [False, True])
async def test_a_loan_that_cannot_be_saved_takes_nothing(open_a_world: OpenWorld, *, feeds: bool) -> None:
    scenario = scenario_of(D("31590"))  # 0.94966, and liquidated at 0.95
    scenario["users"]["1"]["funding"] = {"BTC": "0.0005"}
    async with (
        open_a_world(
            scenario, config={"policy": {"limits": {"feed_lost": feeds, "min_adjustment_ratio": 0.0001}}}
        ) as world,
        world.guarded(),
    ):
        if feeds:
            await world.until(lambda: bool(world.effects()))
        else:
            await world.until(lambda: bool(world.heard("protection_short")))
            (told, *_) = world.heard("protection_short")
            assert "would bring it below" in told["why"]
            await looks(world, 2)
            assert not world.exchange.writes
