"""Pools against the real daemon: how much, of which coin, what is refused, and two products at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from e2e_world import A_POOL, KEY, ORDER, SECRET, USER, Product, Tree, World, merged

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
TARGET, WITHIN = D("0.65"), D("0.002")
SCENARIOS = Path(__file__).parents[2] / "config" / "scenarios"
BOTH = {"accounts": {"main": {"products": ["crypto_loan", "crypto_loan_legacy"]}}}
AN_ORDER_TOO = [
    {"order_id": ORDER, "loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
]


@pytest.fixture
def product() -> Product:
    return A_POOL


def pool_scenario(
    *,
    held: Mapping[str, str] | None = None,
    owed: str = "34200",
    funding: Mapping[str, str] | None = None,
    coins: Tree | None = None,
    orders: list[Tree] | None = None,
    **changes: object,
) -> Tree:
    """User 1 owes 34200 USDT (LTV 0.76) on 1 BTC at 50000 USD, nine tenths of which count."""
    pool = {"flexible": {"USDT": owed}, "collateral": dict(held or {"BTC": "1"})}
    rich = {"USDT": "60000", "USDC": "60000", "BTC": "3", "ETH": "60"}
    return {
        "name": "pools",
        "market": {"coins": {"BTC": {"path": [[0, "50000"]]}, "ETH": {"path": [[0, "2500"]]}}},
        "coins": {"USDT": {"accuracy": 4}, "USDC": {"accuracy": 4}, **(coins or {})},
        "keys": [{"key": KEY, "secret": SECRET, "user": USER}],
        "users": {
            USER: {
                "funding": dict(rich if funding is None else funding),
                "pool": pool,
                "orders": orders or [],
            }
        },
        **changes,
    }


def prefer(*coins: str, **policy: object) -> Tree:
    return {"policy": {"collateral_preference": list(coins), "reduce": {"enabled": False}, **policy}}


def sent_coins(world: World) -> list[str]:
    return [json.loads(entry["payload"])["currency"] for entry in world.adjustments_sent()]


async def cycles(world: World, count: int) -> None:
    """Waits until the guard has looked so many times more."""
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)


async def until_at_target(world: World) -> None:
    async def settled() -> bool:
        return TARGET - WITHIN <= world.ltv("pool") <= TARGET and await world.none_is_open()

    await world.until(settled)


# How much

BY_USD = {"tiers": [{"ratio": "0.9", "max": "50000"}, {"ratio": "0.7", "min": "50000"}], "tier_unit": "usd"}
BY_COINS = {"tiers": [{"ratio": "0.9", "max": "1.02"}, {"ratio": "0.7", "min": "1.02"}], "tier_unit": "coins"}
SMALL_USD = {"tiers": [{"ratio": "0.95", "max": "3000"}, {"ratio": "0.8", "min": "3000"}], "tier_unit": "usd"}
SMALL_COINS = {**SMALL_USD, "tier_unit": "coins"}


@pytest.mark.parametrize("coin", ["USDT", "BTC", pytest.param("ETH", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "coins",
    [
        {},
        {"BTC": BY_USD, "ETH": SMALL_USD, "USDT": {"accuracy": 4, **SMALL_USD}},
        {"BTC": BY_COINS, "ETH": {**BY_COINS}, "USDT": {"accuracy": 4, **SMALL_COINS}},
    ],
    ids=["flat", "usd", "coins"],
)
async def test_one_unhindered_add_ends_just_below_the_target(
    open_a_world: OpenWorld, coin: str, coins: Tree
) -> None:
    held = {"BTC": "1.01", "ETH": "0.5"}
    async with open_a_world(pool_scenario(held=held, coins=coins), config=prefer(coin)) as world:
        fall_to(world, "0.79")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_confirmed")))
            await cycles(world, 3)
        (row,) = world.effects()
        assert row.coin == coin
        assert TARGET - WITHIN <= row.ltv_after <= TARGET
        assert list(await world.judge()) == ["confirmed"]


async def test_what_the_terms_did_not_tell_the_next_adjustment_makes_up_for_at_once(
    open_a_world: OpenWorld,
) -> None:
    """The terms promise 0.95 of USDT, the exchange counts 0.6."""
    coins = {"USDT": {"accuracy": 4, "tiers": [{"ratio": "0.6"}]}}
    async with open_a_world(pool_scenario(coins=coins), config=prefer("USDT")) as world:
        world.fault("nonsense", endpoint="terms", field="collateralRatio", value="0.95", times=None)
        async with world.guarded():
            await until_at_target(world)
        first, second = world.effects()
        assert TARGET < first.ltv_after < D("0.75")
        assert TARGET - WITHIN <= second.ltv_after <= TARGET
        assert (
            second.applied_s - first.applied_s < 5
        )  # no cooldown: one adjustment a second is all it waits for
        assert list(await world.judge()) == ["confirmed"]


@pytest.mark.parametrize(("coin", "digits"), [("ETH", 3), ("BTC", 5)])
async def test_amounts_have_no_more_decimals_than_their_coin_takes(
    open_a_world: OpenWorld, coin: str, digits: int
) -> None:
    coins = {coin: {"accuracy": digits}}
    async with open_a_world(pool_scenario(coins=coins), config=prefer(coin)) as world:
        async with world.guarded():
            await until_at_target(world)
        assert not world.heard("adjustment_rejected")
        amount = D(json.loads(world.adjustments_sent()[0]["payload"])["amount"])
        assert amount == round(amount, digits)


async def test_the_pool_is_guarded_while_the_old_products_terms_are_gone(open_a_world: OpenWorld) -> None:
    async with open_a_world(pool_scenario(), config=prefer("BTC")) as world:
        gone = {"product": "crypto_loan_legacy", "endpoint": "terms", "status": 404, "times": None}
        world.fault("http_error", **gone)
        async with world.guarded():
            await until_at_target(world)
        assert not world.heard("guard_blind")


# Which coin


@pytest.mark.parametrize(
    ("scenario", "policy", "wallet"),
    [
        ({"funding": {"USDC": "60000"}}, {}, {}),
        ({}, {"limits": {"cooldown_s": 0, "max_add": {"USDT": 10}}}, {}),
        ({}, {}, {"reserve": {"USDT": 59999}}),
        ({}, {}, {"max_add_24h": {"USDT": 10}}),
    ],
    ids=["no balance", "max_add", "reserve", "max_add_24h"],
)
async def test_a_first_choice_that_is_held_back_is_not_even_tried(
    open_a_world: OpenWorld, scenario: Tree, policy: Tree, wallet: Tree
) -> None:
    config = {**prefer("USDT", "USDC", **policy), "wallet": wallet}
    async with open_a_world(pool_scenario(**scenario), config=config) as world:
        async with world.guarded():
            await until_at_target(world)
        assert sent_coins(world) == ["USDC"]
        assert not world.heard("protection_short")
        await world.judge()


@pytest.mark.parametrize(
    "code",
    [148004, 148006, 148048, pytest.param(148012, marks=pytest.mark.slow)],
)
async def test_after_a_refusal_the_next_cycle_uses_the_next_coin(open_a_world: OpenWorld, code: int) -> None:
    async with open_a_world(pool_scenario(), config=prefer("USDT", "USDC")) as world:
        world.fault("ret_code", endpoint="adjust", code=code, applied=False)
        async with world.guarded():
            await until_at_target(world)
        assert sent_coins(world) == ["USDT", "USDC"]
        (refused,) = world.heard("adjustment_rejected")
        assert refused["ret_code"] == code
        assert sorted(await world.judge()) == ["confirmed", "rejected"]


async def test_coins_that_are_not_enough_alone_are_added_one_after_the_other(open_a_world: OpenWorld) -> None:
    scenario = pool_scenario(owed="36000", funding={"USDT": "3000", "BTC": "0.1", "ETH": "4"})
    async with open_a_world(scenario, config=prefer("USDT", "BTC", "ETH")) as world:
        async with world.guarded():
            await until_at_target(world)
        assert [row.coin for row in world.effects()] == [
            "ETH",
            "USDT",
        ]  # what brings most, then what is enough
        assert not world.heard("protection_short")
        await world.judge()


# What is short


@pytest.mark.slow
async def test_a_shortage_is_said_once_and_again_when_it_changes(open_a_world: OpenWorld) -> None:
    scenario = pool_scenario(funding={"BTC": "0.02"})
    async with open_a_world(scenario, config=prefer("USDT", "BTC")) as world, world.guarded():
        await world.until(
            lambda: any(item["level"] == "critical" for item in world.heard("protection_short"))
        )
        await cycles(world, 10)
        adding, short = world.heard("protection_short")  # with what there is, and when that is gone
        assert (adding["level"], short["level"]) == ("warning", "critical")
        assert short["coin"] == "USDT"
        assert short["held_back"][0] == "the Funding wallet leaves 0 USDT"
        assert len(short["held_back"]) == 2  # and next to nothing of BTC: what its mark left
        assert abs(short["reachable_ltv"] - world.ltv("pool")) <= D("0.0001")
        for price in ("50010", "50020", "50030"):  # how much is missing changes all the time: that is no news
            world.price(price)
            await cycles(world, 2)
        assert len(world.heard("protection_short")) == 2
        world.exchange.deposit(USER, "USDT", short["missing"])
        await until_at_target(world)
        assert len(world.heard("protection_short")) == 2
        assert not [item for item in world.events if "Infinity" in str(item)]


@pytest.mark.slow
@pytest.mark.usefixtures("short_pauses")
async def test_a_coin_that_stays_refused_is_tried_again_and_again_and_said_once(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(pool_scenario(closed_collateral=["USDT"]), config=prefer("USDT")) as world:
        async with world.guarded():
            await world.until(lambda: len(world.adjustments_sent()) >= 2)
            await cycles(world, 3)
            (short,) = world.heard("protection_short")
            assert short["level"] == "critical"
            assert short["missing"] > 0
            assert "148048" in short["held_back"][0]
            world.exchange.set_platform(closed_collateral=[])
            await until_at_target(world)
            assert len(world.heard("protection_short")) == 1
        await world.judge()


# colRes


@pytest.mark.parametrize(("col_res", "means"), [("1", "nearly full"), ("-1", "unknown"), ("2", "refused")])
async def test_what_the_platform_shows_of_all_coins_together_is_said_once_and_hinders_nothing(
    open_a_world: OpenWorld, col_res: str, means: str
) -> None:
    async with open_a_world(pool_scenario(col_res=col_res), config=prefer("USDT")) as world, world.guarded():
        await until_at_target(world)
        await cycles(world, 5)
        (warning,) = world.heard("collateral_limit")
        assert (warning["level"], warning["additions"]) == ("warning", means)
        assert not world.heard("protection_short")
        world.exchange.set_platform(col_res="0")
        await world.until(lambda: len(world.heard("collateral_taken_again")) == 1)


# The history's status


async def test_what_is_still_processed_stays_open_and_the_pool_is_left_alone(open_a_world: OpenWorld) -> None:
    async with open_a_world(pool_scenario(), config=prefer("USDT")) as world, world.guarded():
        world.fault("status_processing", endpoint="adjust", seconds="4")
        await world.until(lambda: bool(world.adjustments_sent()))
        world.price("47000")  # LTV 0.81, an emergency
        await world.until(lambda: any(item["worst_ltv"] > D("0.8") for item in world.heard("cycle_finished")))
        await cycles(world, 5)
        (intent,) = await world.intents()
        assert intent.state == "accepted"
        assert len(world.adjustments_sent()) == 1
        await until_at_target(world)
        assert [item.state for item in await world.intents()] == ["confirmed", "confirmed"]
        await world.judge()


async def test_what_the_exchange_fails_to_process_is_rejected_and_made_up_for(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(pool_scenario(), config=prefer("USDT", "USDC")) as world:
        world.fault("status_processing", endpoint="adjust", seconds="0.5")
        world.fault("status_failed", endpoint="adjust")
        async with world.guarded():
            await until_at_target(world)
        (rejected,) = world.heard("adjustment_rejected")
        assert rejected["ret_msg"] == "the exchange's history says that it failed"
        assert sent_coins(world)[:2] == ["USDT", "USDC"]
        assert {"confirmed", "rejected"} <= (await world.judge()).keys()


@pytest.mark.slow
@pytest.mark.usefixtures("short_pauses")
async def test_a_coin_that_always_fails_is_not_tried_in_every_cycle(open_a_world: OpenWorld) -> None:
    async with open_a_world(pool_scenario(), config=prefer("USDT")) as world, world.guarded():
        world.fault("status_failed", endpoint="adjust", times=None)
        await world.until(lambda: len(world.heard("adjustment_rejected")) >= 4)
        sent = [int(entry["timestamp"]) for entry in world.adjustments_sent()]
        gaps = [later - earlier for earlier, later in pairwise(sent)]
        assert gaps[2] > gaps[0] * 1.2  # 0.5 s, 1 s, 2 s: a turn of a second hides the first
        world.exchange.clear_faults()
        await until_at_target(world)
        await world.judge()


# Releases


def releasing(*coins: str) -> Tree:
    return {"policy": {"collateral_preference": list(coins)}}


async def test_releases_go_in_reverse_preference_each_within_its_own_maximum(open_a_world: OpenWorld) -> None:
    scenario = pool_scenario(held={"BTC": "1", "ETH": "1", "USDT": "1000"}, owed="16000")
    async with open_a_world(scenario, config=releasing("USDT", "BTC", "ETH")) as world, world.guarded():

        async def settled() -> bool:
            return D("0.54") <= world.ltv("pool") <= D("0.55") and await world.none_is_open()

        await world.until(settled)
        assert [row.coin for row in world.effects()] == ["ETH", "BTC"]
        assert all(row.direction == "reduce" and row.amount <= row.maximum for row in world.effects())
        await world.judge()


async def test_a_coin_that_the_exchange_does_not_let_go_keeps_no_other(open_a_world: OpenWorld) -> None:
    scenario = pool_scenario(held={"BTC": "1", "ETH": "1"}, owed="16000")
    async with open_a_world(scenario, config=releasing("BTC", "ETH")) as world, world.guarded():
        world.fault(
            "nonsense", endpoint="maximum", field="maxCollateralAmount", value="0"
        )  # the first read: ETH's
        await world.until(lambda: len(world.effects()) >= 1)
        assert world.effects()[0].coin == "BTC"


# Two products, one account


@pytest.mark.parametrize(
    ("broken", "product_name", "guarded", "blind_about"),
    [
        ("position", "crypto_loan", ORDER, "crypto_loan"),
        ("orders", "crypto_loan_legacy", "pool", "crypto_loan_legacy"),
    ],
)
@pytest.mark.parametrize(
    "how", ["http_error", *(pytest.param(how, marks=pytest.mark.slow) for how in ("not_json", "hang_before"))]
)
async def test_a_product_that_fails_does_not_blind_the_other(
    open_a_world: OpenWorld, broken: str, product_name: str, guarded: str, blind_about: str, how: str
) -> None:
    scenario = pool_scenario(orders=AN_ORDER_TOO, owed="27000")
    async with open_a_world(scenario, config=merged(BOTH, prefer("USDT"))) as world:
        world.price("39000", "BTC")  # both loans are in breach
        world.fault(how, endpoint=broken, product=product_name, times=None)
        async with world.guarded():
            await world.until(lambda: world.ltv(guarded) <= TARGET)
            await world.until(lambda: bool(world.heard("guard_blind")))
            assert {item["what"] for item in world.heard("guard_blind")} == {blind_about}
            assert {row.loan_id for row in world.effects()} == {guarded}
            world.exchange.clear_faults()
            await world.until(lambda: world.ltv("pool") <= TARGET and world.ltv(ORDER) <= TARGET)
            await world.until_quiet()
        await world.judge()


async def test_both_products_draw_on_one_wallet_and_neither_overdraws_it(open_a_world: OpenWorld) -> None:
    scenario = pool_scenario(orders=AN_ORDER_TOO, owed="27000", funding={"BTC": "0.3"})
    async with open_a_world(scenario, config=merged(BOTH, prefer("BTC"))) as world, world.guarded():
        world.price("39000", "BTC")
        await world.until(lambda: bool(world.heard("protection_short")) and len(world.effects()) >= 2)
        await world.until(world.none_is_open)
        await cycles(world, 5)
        assert not world.heard("adjustment_rejected")
        assert sum(row.amount for row in world.effects()) <= D("0.3")
        assert {row.loan_id for row in world.effects()} == {"pool", ORDER}
        await world.judge()


async def test_an_account_without_a_pool_is_quiet_about_it(open_a_world: OpenWorld) -> None:
    scenario = pool_scenario(orders=AN_ORDER_TOO, owed="27000")
    del scenario["users"][USER]["pool"]
    async with open_a_world(scenario, config=merged(BOTH, prefer("USDT"))) as world, world.guarded():
        await cycles(world, 5)
        loud = [item for item in world.events if item["level"] in {"warning", "error", "critical"}]
        assert {item["event"] for item in loud} <= {"key_without_ip"}


@pytest.mark.parametrize(
    "nonsense",
    [
        {"field": "collateralList", "remove": True, "loan_id": "pool"},
        {"field": "collateralList", "value": [], "loan_id": "pool"},
    ],
    ids=["no list of coins", "no coins"],
)
async def test_a_pool_that_makes_no_sense_is_set_aside_loudly_and_the_order_is_guarded(
    open_a_world: OpenWorld, nonsense: dict[str, Any]
) -> None:
    scenario = pool_scenario(orders=AN_ORDER_TOO, owed="27000")
    async with open_a_world(scenario, config=merged(BOTH, prefer("USDT"))) as world, world.guarded():
        world.fault("nonsense", endpoint="position", times=None, **nonsense)
        world.price("39000", "BTC")
        await world.until(lambda: bool(world.heard("loan_set_aside")) and world.ltv(ORDER) <= TARGET)
        (aside,) = world.heard("loan_set_aside")
        assert (aside["level"], aside["loan_id"], aside["product"]) == ("critical", "pool", "crypto_loan")
        assert not world.heard("loan_gone")
        assert not world.heard("loan_liquidated")
        world.exchange.clear_faults()
        await world.until(lambda: world.ltv("pool") <= TARGET)
        assert len(world.heard("loan_readable_again")) == 1


# The shipped crashes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pool_crash", "mixed_crash"])
async def test_a_crash_takes_the_twin_and_not_the_guarded_loans(open_a_world: OpenWorld, name: str) -> None:
    scenario = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    scenario["keys"][0] |= {"key": KEY, "secret": SECRET}
    async with open_a_world(scenario, config=merged(BOTH, prefer("USDT", "USDC", "BTC", "ETH"))) as world:
        market = world.exchange.market
        async with world.guarded():
            await world.until(lambda: world.exchange.moment().market_s >= market.length_s, within_s=60)
            await world.until_quiet()
        assert {one.user for one in world.exchange.ledger.liquidations} == {"100002"}
        loans = list(world.exchange.ledger.accounts["100001"].loans())
        assert all(loan.status == "open" and loan.peak_ltv < D("0.82") for loan in loans)
        assert not world.heard("adjustment_rejected")
        assert world.exchange.limits.violations["limited"] == 0
        await world.judge()


def fall_to(world: World, ltv: str) -> None:
    """Lets the pool owe as much as makes this LTV; what its coins count for stays as it is."""
    pool = world.exchange.ledger.accounts[USER].pool
    assert pool is not None
    prices = world.exchange.moment().prices
    pool.flexible["USDT"] = (pool.collateral_usd(prices) * D(ltv)).quantize(D("0.01"))
