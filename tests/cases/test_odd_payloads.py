"""One odd value costs itself, is said once, and the loan beside it is saved: over the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import (
    A_POOL,
    AN_ORDER,
    BOTH_PRODUCTS,
    ORDER,
    USER,
    Tree,
    World,
    also_an_order,
    merged,
    scenario_of,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
SLOW = pytest.mark.slow  # the same again, with another value
CALM_POOL = {"flexible": {"USDT": "27000"}, "collateral": {"BTC": "1"}}
TWO_COINS = {"policy": {"collateral_preference": ["ETH", "BTC"], "reduce": {"enabled": False}}}


def pool_of_two_coins(**user: Any) -> Tree:  # noqa: ANN401 - any part of a scenario
    """A pool in breach; ETH, which comes first, and BTC lie in the Funding wallet."""
    scenario = scenario_of(D(38000), A_POOL)
    scenario["market"]["coins"]["ETH"] = {"path": [[0, "2500"]]}
    scenario["users"][USER] |= {"funding": {"BTC": "5", "ETH": "100"}, **user}
    return scenario


def odd(world: World) -> list[tuple[str, str]]:
    """What was told of as odd, and where."""
    return [(item["endpoint"].split(" ")[0], item["row"]) for item in world.heard("answer_odd")]


@pytest.mark.case(3)
async def test_an_index_price_of_zero_gives_way_to_the_last_price(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(D(38000), A_POOL), product=A_POOL) as world:
        world.fault("nonsense", endpoint="tickers", field="usdIndexPrice", value="0", times=None)
        async with world.guarded():
            await world.until_settled_at_target()
        await world.judge()


@pytest.mark.case(5)
@pytest.mark.parametrize("value", ["", *(pytest.param(odd, marks=SLOW) for odd in (None, "-1", "1e999999"))])
async def test_an_odd_row_of_the_wallet_costs_its_own_coin_only(
    open_a_world: OpenWorld, value: str | None
) -> None:
    async with open_a_world(pool_of_two_coins(), product=A_POOL, config=TWO_COINS) as world:
        world.fault(
            "nonsense", endpoint="wallet", loan_id="ETH", field="transferBalance", value=value, times=None
        )
        async with world.guarded():
            await world.until_settled_at_target()
        assert odd(world) == [("/v5/asset/transfer/query-account-coins-balance", "ETH")]
        await world.judge()


@pytest.mark.case(5)
async def test_in_an_emergency_the_last_balance_of_a_coin_that_cannot_be_read_counts(
    open_a_world: OpenWorld,
) -> None:
    scenario = pool_of_two_coins(pool={"flexible": {"USDT": "30000"}, "collateral": {"BTC": "1", "ETH": "1"}})
    config = merged(TWO_COINS, {"policy": {"collateral_preference": ["BTC"]}})
    async with open_a_world(scenario, product=A_POOL, config=config) as world, world.guarded():
        await world.until_settled_at_target()
        world.fault(
            "nonsense", endpoint="wallet", loan_id="BTC", field="transferBalance", value="", times=None
        )
        world.price(28000)
        assert world.ltv() > D("0.8")
        await world.until_settled_at_target()
        await world.judge()


@pytest.mark.case(6)
async def test_a_list_of_orders_that_is_null_is_an_account_without_orders(open_a_world: OpenWorld) -> None:
    scenario = scenario_of(D(38000), A_POOL)
    async with open_a_world(scenario, product=A_POOL, config=BOTH_PRODUCTS) as world:
        world.fault("nonsense", endpoint="orders", field="list", value=None, times=None)
        async with world.guarded():
            await world.until_settled_at_target()
            await world.until(lambda: len(world.heard("cycle_finished")) > 3)
        assert not world.heard("read_failed")
        assert not world.heard("guard_blind")
        await world.judge()


@pytest.mark.case(7)
async def test_a_history_row_that_nobody_understands_keeps_no_journal_from_being_trusted(
    open_a_world: OpenWorld,
) -> None:
    scenario = pool_of_two_coins(pool={"flexible": {"USDT": "30000"}, "collateral": {"BTC": "1", "ETH": "1"}})
    config = merged(TWO_COINS, {"policy": {"collateral_preference": ["BTC"]}})
    async with open_a_world(scenario, product=A_POOL, config=config, trusted=False) as world:
        row = world.exchange.user_adjust(USER, "pool", "add", D("0.5"), "ETH")
        world.fault(
            "nonsense", endpoint="history", loan_id=str(row.adjust_id), field="status", value=4, times=None
        )
        async with world.guarded():
            await world.until_settled_at_target()
        told = world.heard("answer_odd")
        assert [(item["row"], item["level"]) for item in told] == [(str(row.adjust_id), "warning")]
        assert "its status is 4" in told[0]["why"]
        await world.judge()


@pytest.mark.case(7)
async def test_a_doubtful_row_that_could_be_ours_keeps_it_open_and_another_loan_is_saved(
    open_a_world: OpenWorld,
) -> None:
    """The answer to an add is lost, and its row's amount can't be read: nothing proves it absent."""
    scenario = scenario_of(D(38000), AN_ORDER)
    scenario["users"][USER]["pool"] = CALM_POOL
    config = merged(BOTH_PRODUCTS, {"policy": {"collateral_preference": ["BTC"]}})
    async with open_a_world(scenario, config=config) as world:
        world.fault("close_after", endpoint="adjust", product=AN_ORDER.name)
        world.fault(
            "nonsense", endpoint="history", product=AN_ORDER.name, field="amount", value="NaN", times=None
        )
        async with world.guarded():
            await world.until(lambda: bool(world.heard("answer_odd")) and world.ltv("pool") <= D("0.65"))
            seen = len(world.heard("cycle_finished"))
            await world.until(lambda: len(world.heard("cycle_finished")) > seen + 15)
            assert not world.heard("adjustment_absent")
            assert len(world.effects(AN_ORDER.loan_id)) == 1
            world.exchange.clear_faults()
            await world.until_settled_at_target()
        assert len(world.heard("answer_sound_again")) == 1
        await world.judge()


@pytest.mark.case(52)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "nonsense", "field": "vipCoinList", "value": None},
        pytest.param({"kind": "nonsense", "field": "marginCallLTV", "value": ""}, marks=SLOW),
        pytest.param({"kind": "http_error", "status": 500}, marks=SLOW),
    ],
    ids=["null", "empty", "HTTP 500"],
)
async def test_an_order_without_terms_is_guarded_by_the_usual_ones(
    open_a_world: OpenWorld, fault: dict[str, Any]
) -> None:
    async with open_a_world(scenario_of(D(38000))) as world:
        world.fault(endpoint="terms", times=None, **fault)
        async with world.guarded():
            await world.until_settled_at_target()
        assert "margin call at 0.87" in str(world.heard("answer_odd"))
        await world.judge()


@pytest.mark.case(52)
@pytest.mark.parametrize(
    "nonsense",
    [
        {"loan_id": "USDT", "field": "fixedTotalDebt", "value": ""},
        pytest.param({"loan_id": "pool", "field": "borrowList", "value": "?"}, marks=SLOW, id="borrowList"),
        {"loan_id": "pool", "field": "supplyList", "value": [{"currency": "\u202e\x1b[2J", "amount": None}]},
        pytest.param({"loan_id": "pool", "field": "totalDebt", "value": "NaN"}, marks=SLOW, id="totalDebt"),
        {"loan_id": "pool", "field": "ltv", "remove": True},
        {"loan_id": "ETH", "field": "amount", "value": "-3"},
        pytest.param({"loan_id": "ETH", "field": "currency", "value": "\u0395TH"}, marks=SLOW, id="currency"),
        pytest.param({"loan_id": "BTC", "field": "amountUSD", "value": ""}, marks=SLOW, id="amountUSD"),
    ],
    ids=lambda fault: fault["field"],
)
async def test_what_does_not_bear_on_the_decision_does_not_stop_it(
    open_a_world: OpenWorld, nonsense: dict[str, Any]
) -> None:
    scenario = pool_of_two_coins(pool={"flexible": {"USDT": "30000"}, "collateral": {"BTC": "1", "ETH": "1"}})
    config = merged(TWO_COINS, {"policy": {"collateral_preference": ["BTC"]}})
    async with open_a_world(scenario, product=A_POOL, config=config) as world:
        world.fault("nonsense", endpoint="position", times=None, **nonsense)
        async with world.guarded():
            await world.until_settled_at_target()
        assert len(odd(world)) == (0 if nonsense["field"] == "supplyList" else 1)
        assert not world.heard("loan_set_aside")
        await world.judge()


@pytest.mark.slow
@pytest.mark.case(52)
async def test_an_order_whose_ltv_cannot_be_read_is_saved_by_its_amounts_and_prices(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(D(38000))) as world:
        world.fault("nonsense", endpoint="orders", field="currentLTV", value="", times=None)
        async with world.guarded():
            await world.until(lambda: world.ltv() <= D("0.66"))
            await world.until_quiet()
        assert not world.heard("loan_set_aside")
        assert world.heard("loan_contradicts_itself")
        assert odd(world) == [("/v5/crypto-loan/ongoing-orders", ORDER)]
        await world.judge()


@pytest.mark.slow
@pytest.mark.case(52)
async def test_an_order_whose_ltv_nothing_tells_is_said_to_be_unguarded_until_something_does(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(D(38000))) as world:
        world.fault("nonsense", endpoint="orders", field="currentLTV", value="", times=None)
        world.fault("http_error", endpoint="tickers", times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("loan_set_aside")))
            assert not world.exchange.writes
            world.exchange.clear_faults()
            await world.until_settled_at_target()
        assert world.heard("loan_readable_again")
        await world.judge()


@pytest.mark.case(45)
async def test_answers_to_earlier_requests_are_no_reads_and_are_told(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltv_guard.adapters.bybit.envelope_time.APART_MS", 500)
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 4)
        world.fault("old_answer", endpoint="orders", seconds="0.6", times=None)
        world.price(38000)
        await world.until(lambda: bool(world.heard("guard_blind")))
        assert "belongs to another" in world.heard("guard_blind")[0]["why"]
        assert not world.effects()
        world.exchange.clear_faults()
        await world.until_settled_at_target()
        await world.judge()


@pytest.mark.case(45)
async def test_one_answer_of_another_time_is_read_again_at_once(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.fault("wild_time", endpoint="*", offset_ms=-40_000, times=3)
        world.price(38000)
        await world.until_settled_at_target()
        assert not world.heard("guard_blind")
        await world.judge()


@pytest.mark.case(45)
async def test_a_write_whose_answer_is_of_another_time_is_unknown_and_settled(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(D(38000))) as world:
        world.fault("wild_time", endpoint="adjust", offset_ms=-40_000)
        async with world.guarded():
            await world.until_settled_at_target()
        assert len(world.heard("adjustment_unknown")) == 1
        assert len(world.effects()) == 1
        await world.judge()


@pytest.mark.case(43)
async def test_a_history_that_is_too_large_as_a_whole_is_not_read_to_its_end(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(D(38000))) as world:
        world.fault("padding", endpoint="history", size=7_500_000, times=12)
        world.fault("cursor_loop", endpoint="history", value="endless", times=12)
        async with world.guarded():
            await world.until_settled_at_target()
        why = world.heard("history_unavailable")[0]["why"]
        assert "larger than" in why or "together" in why
        await world.judge()


@pytest.mark.case(44)
async def test_a_history_without_end_has_a_deadline_as_a_whole(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(D(38000))) as world:
        world.fault("slow", endpoint="history", seconds="0.4", times=60)
        world.fault("cursor_loop", endpoint="history", value="endless", times=60)
        async with world.guarded():
            await world.until(world.is_at_target)
            await world.until(lambda: bool(world.heard("history_unavailable")))
            assert "together took longer than 3.2 s" in world.heard("history_unavailable")[0]["why"]
            world.exchange.clear_faults()
            await world.until_settled_at_target()
        await world.judge()


@pytest.mark.case(53)
@pytest.mark.parametrize("coins", ["13000000000000.12345678", "13000000000000000000000.12345678"])
async def test_an_amount_of_any_size_is_added_to_the_step(open_a_world: OpenWorld, coins: str) -> None:
    scenario = scenario_of(D(38000))
    scenario["market"]["coins"]["TINY"] = {"path": [[0, "0.03"]]}
    scenario["users"][USER]["funding"] = {"TINY": str(D(coins) * 2)}
    owed = str((D(coins) * D("0.03") * D("0.77")).quantize(D("0.01")))
    scenario["users"][USER]["orders"][0] |= {"collateral_coin": "TINY", "collateral": coins, "debt": owed}
    async with open_a_world(scenario) as world:
        async with world.guarded():
            await world.until_settled_at_target()
        (row,) = world.effects()
        assert row.amount.as_tuple().exponent == -8
        await world.judge()


@pytest.mark.case(52)
async def test_an_order_whose_id_is_odd_is_not_told_as_gone_or_liquidated(open_a_world: OpenWorld) -> None:
    scenario = also_an_order(scenario_of(), debt="39000")
    async with open_a_world(scenario) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.fault(
            "nonsense", endpoint="orders", loan_id=AN_ORDER.loan_id, field="orderId", value="", times=None
        )
        await world.until(lambda: bool(world.heard("loan_set_aside")))
        seen = len(world.heard("cycle_finished"))
        await world.until(lambda: len(world.heard("cycle_finished")) > seen + 4)
        assert not world.heard("loan_gone")
        assert not world.heard("loan_liquidated")
        world.exchange.clear_faults()
        await world.until(lambda: len(world.heard("loan_readable_again")) == 1)
        world.exchange.set_price("BTC", D(39000))
        await world.until_settled_at_target()
        await world.judge()
