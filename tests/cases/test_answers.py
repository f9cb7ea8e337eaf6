"""What an answer means, code by code: each costs only what it says, and has a remedy of its own."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import A_POOL, AN_ORDER, KEY, SECRET, USER, Product, Tree, World, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
NEEDY = D(38000)
MOST_TOGETHER = 8  # loans, wallet, prices and histories are asked for at once
RICH = {"USDT": "60000", "USDC": "60000", "BTC": "3", "ETH": "60"}


def a_pool(funding: Tree | None = None, owed: str = "34200", **changes: object) -> Tree:
    """User 1 owes 34200 USDT (LTV 0.76) on 1 BTC at 50000 USD, nine tenths of which count."""
    return {
        "name": "answers",
        "market": {"coins": {"BTC": {"path": [[0, "50000"]]}, "ETH": {"path": [[0, "2500"]]}}},
        "coins": {"USDT": {"accuracy": 4}, "USDC": {"accuracy": 4}},
        "keys": [{"key": KEY, "secret": SECRET, "user": USER}],
        "users": {
            USER: {
                "funding": RICH if funding is None else funding,
                "pool": {"flexible": {"USDT": owed}, "collateral": {"BTC": "1"}},
            }
        },
        **changes,
    }


def prefer(*coins: str) -> Tree:
    """Settings that add these coins, the first first, and release nothing."""
    return {"policy": {"collateral_preference": list(coins), "reduce": {"enabled": False}}}


def bodies(world: World) -> list[Tree]:
    return [json.loads(entry["payload"]) for entry in world.adjustments_sent()]


def coins_in_turn(world: World) -> list[str]:
    """The coins that were sent, without repetitions in a row."""
    sent = [body["currency"] for body in bodies(world)]
    return [coin for number, coin in enumerate(sent) if number == 0 or sent[number - 1] != coin]


def assert_no_body_came_twice(world: World) -> None:
    counted = Counter(entry["payload"] for entry in world.adjustments_sent())
    assert all(times == 1 for times in counted.values()), counted


# Refusals of a coin: the next one has its turn


@pytest.mark.slow
@pytest.mark.parametrize("product", [A_POOL], ids=str)
@pytest.mark.parametrize("codes", [(424242, 150001, -1003)])
async def test_three_unlisted_codes_pass_the_turn_to_the_next_coin_and_repeat_no_body(
    open_a_world: OpenWorld, product: Product, codes: tuple[int, ...]
) -> None:
    async with open_a_world(a_pool(), config=prefer("USDT", "USDC", "ETH", "BTC")) as world, world.guarded():
        for number, code in enumerate(codes):
            world.fault("ret_code", endpoint="adjust", code=code, applied=False, after=number)
        await world.until(lambda: bool(world.effects()), within_s=25)
        assert coins_in_turn(world) == ["USDT", "USDC", "ETH", "BTC"]
        assert [event["ret_code"] for event in world.heard("coin_refused")] == list(codes)
        assert_no_body_came_twice(world)
        await world.until_quiet()
        await world.judge()


@pytest.mark.parametrize("product", [A_POOL], ids=str)
@pytest.mark.parametrize(
    "code", [148048, *(pytest.param(code, marks=pytest.mark.slow) for code in (148006, 148014))]
)
async def test_a_refusal_of_one_coin_passes_the_turn_on(
    open_a_world: OpenWorld, product: Product, code: int
) -> None:
    async with open_a_world(a_pool(), config=prefer("USDT", "USDC", "BTC")) as world, world.guarded():
        world.fault("ret_code", endpoint="adjust", code=code, applied=False, times=2)
        await world.until(lambda: bool(world.effects()))
        assert coins_in_turn(world) == ["USDT", "USDC", "BTC"]
        assert_no_body_came_twice(world)
        await world.until_quiet()
        await world.judge()


@pytest.mark.parametrize("product", [A_POOL], ids=str)
async def test_a_platform_that_shows_its_limit_and_refuses_one_coin_takes_the_next(
    open_a_world: OpenWorld, product: Product
) -> None:
    scenario = a_pool(col_res="2", closed_collateral=["USDT"])
    async with open_a_world(scenario, config=prefer("USDT", "USDC")) as world, world.guarded():
        await world.until(lambda: bool(world.effects()))
        assert coins_in_turn(world) == ["USDT", "USDC"]
        assert world.heard("collateral_limit")
        await world.until_quiet()
        await world.judge()


@pytest.mark.parametrize("product", [A_POOL], ids=str)
async def test_a_coin_whose_own_row_says_that_it_is_full_is_tried_where_no_other_helps(
    open_a_world: OpenWorld, product: Product
) -> None:
    scenario = a_pool(coin_col_res={"BTC": "2"}, funding={"USDT": "5000", "BTC": "3"})
    async with open_a_world(scenario, config=prefer("BTC", "USDT")) as world, world.guarded():
        await world.until(lambda: len(world.effects()) >= 2)
        assert coins_in_turn(world) == ["USDT", "BTC"]
        await world.until_quiet()
        await world.judge()


# Refusals of an amount: the next try differs


@pytest.mark.parametrize(
    ("product", "takes", "decimals"),
    [
        pytest.param(AN_ORDER, 2, [8, 4, 2], id="order-2"),
        pytest.param(A_POOL, 4, [8, 4], id="pool-4"),
        pytest.param(A_POOL, 2, [8, 4, 2], id="pool-2", marks=pytest.mark.slow),
    ],
)
async def test_too_many_decimals_are_fewer_at_the_next_try(
    open_a_world: OpenWorld, product: Product, takes: int, decimals: list[int]
) -> None:
    scenario = scenario_of(NEEDY, product)
    scenario["coins"]["BTC"]["accuracy"] = takes
    scenario["users"][USER]["funding"]["BTC"] = "5"
    async with open_a_world(scenario) as world:
        world.fault("nonsense", endpoint="terms", field="collateralAccuracy", value=8, times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.effects()), within_s=15)
            await world.until_quiet()
        sent = [body["amount"].rstrip("0").partition(".")[2] for body in bodies(world)]
        assert all(len(digits) <= most for digits, most in zip(sent, decimals, strict=False))
        assert len(sent) >= len(decimals)
        assert len(world.heard("amount_bounded")) == len(decimals) - 1
        codes = {event["ret_code"] for event in world.heard("adjustment_rejected")}
        assert codes == {177004 if product is AN_ORDER else 148003}
        assert_no_body_came_twice(world)
        await world.judge()


@pytest.mark.parametrize("product", [A_POOL], ids=str)
async def test_an_amount_that_a_pool_does_not_take_has_fewer_decimals_at_the_next_try(
    open_a_world: OpenWorld, product: Product
) -> None:
    async with open_a_world(scenario_of(NEEDY, product)) as world, world.guarded():
        world.fault("ret_code", endpoint="adjust", code=148005, applied=False)
        await world.until(lambda: bool(world.effects()))
        first, second = (body["amount"].rstrip("0").partition(".")[2] for body in bodies(world)[:2])
        assert len(first) > 4 >= len(second)
        await world.until_quiet()
        await world.judge()


async def test_an_amount_below_the_minimum_is_larger_at_the_next_try(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world, world.guarded():
        world.fault("ret_code", endpoint="adjust", code=148002, applied=False)
        await world.until(lambda: bool(world.effects()))
        first, second = (D(body["amount"]) for body in bodies(world)[:2])
        assert second >= first * 2
        await world.until_quiet()
        await world.judge()


async def test_too_large_an_amount_is_smaller_at_the_next_try(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world, world.guarded():
        world.fault("ret_code", endpoint="adjust", code=148047, applied=False)
        await world.until_settled_at_target()
        first, second, *_ = (D(body["amount"]) for body in bodies(world))
        assert second <= first / 2
        await world.judge()


# Answers that prove nothing

ODD_ANSWERS = {
    46: ["1000000000000000000000000000000", "1e30", "true", '"177011"', "-1e999"],
    47: ['177011, "retMsg": "no \\ud800 money"', '10001, "retExtInfo": {"a": "\\udfff"}'],
}


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(
            number,
            code,
            marks=[pytest.mark.case(number), *([] if place == 0 else [pytest.mark.slow])],
            id=f"{number}-{place}",
        )
        for number, codes in ODD_ANSWERS.items()
        for place, code in enumerate(codes)
    ],
)
async def test_an_odd_answer_to_a_write_leaves_its_outcome_unknown_and_the_loan_is_saved(
    open_a_world: OpenWorld, number: int, code: str
) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world, world.guarded():
        body = f'{{"retCode": {code}, "result": {{}}, "time": 1}}'
        world.fault("not_json", endpoint="adjust", body=body, applied=False)
        await world.until_settled_at_target(within_s=20)
        assert [event["event"] for event in world.events if event["event"] == "cycle_failed"] == [], number
        ends = [intent.state.value for intent in reversed(await world.intents())]
        assert ends == ["absent", "confirmed"]
        assert all((intent.ret_msg or "").isprintable() for intent in await world.intents())
        await world.judge()


# What a person has to mend


@pytest.mark.case(13)
@pytest.mark.usefixtures("short_pauses")
async def test_http_401_without_a_body_is_the_key_and_sending_resumes_by_itself(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world, world.guarded():
        world.fault("http_error", endpoint="adjust", status=401, body="", applied=False)
        await world.until_settled_at_target(within_s=20)
        (event,) = world.heard("needs_human")
        assert event["level"] == "critical"
        assert "does not accept the API key" in event["why"]
        assert "secret" in event["mend"]
        assert len(world.heard("human_not_needed")) == 1
        await world.judge()


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(
    "code", [-2015, *(pytest.param(code, marks=pytest.mark.slow) for code in (10009, 10028))]
)
async def test_what_needs_a_human_is_said_with_its_remedy_and_sending_resumes(
    open_a_world: OpenWorld, code: int
) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world, world.guarded():
        world.fault("ret_code", endpoint="adjust", code=code, applied=False)
        await world.until_settled_at_target(within_s=20)
        (event,) = world.heard("needs_human")
        assert (event["ret_code"], bool(event["mend"])) == (code, True)
        assert len(world.heard("human_not_needed")) == 1
        await world.judge()


# Limits


@pytest.mark.slow
@pytest.mark.case(14)
async def test_the_limit_of_the_address_holds_every_request(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world, world.guarded():
        await world.until_settled_at_target()
        requests: Any = world.exchange.requests
        world.fault("ret_code", endpoint="*", code=10018, applied=False, times=None)
        seen = sum(requests.values())
        await world.until(lambda: sum(requests.values()) > seen)
        begun_s = world.exchange.clock.real_s()
        await world.until(lambda: world.exchange.clock.real_s() - begun_s >= 1)
        asked_together = sum(requests.values())  # before any of them was answered
        assert asked_together - seen <= MOST_TOGETHER
        await world.until(lambda: world.exchange.clock.real_s() - begun_s >= 4)
        assert sum(requests.values()) == asked_together, "it went on asking"
        world.exchange.clear_faults()
        world.price(31000)
        await world.until_settled_at_target()
        await world.judge()


# What every request carries


async def test_every_signed_request_says_how_it_is_signed(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY)) as world, world.guarded():
        await world.until_settled_at_target()
        signed = [entry for entry in (*world.exchange.writes, *world.exchange.reads) if entry["key"]]
        assert len(signed) > 4
        assert {entry["sign_type"] for entry in signed} == {"2"}
