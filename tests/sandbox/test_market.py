"""Prices between the points of a path, by hand, and at the bends."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.sandbox.market import Market, price_at
from ltv_guard.sandbox.scenario import MarketPlan, PricePath

PATH = PricePath.model_validate({"path": [["0s", "100"], ["10s", "50"], ["20s", "80"]]})


def market(speed_up: str = "2") -> Market:
    made = Market(MarketPlan(speed_up=Decimal(speed_up), coins={"BTC": PATH}))
    made.start(Decimal(5))
    return made


def test_prices_lie_on_straight_lines_and_the_last_is_held() -> None:
    assert [price_at(PATH, Decimal(at)) for at in (0, 5, 10, 15, 20, 99)] == [100, 75, 50, 65, 80, 80]


def test_the_market_runs_faster_than_the_clock_and_only_once_started() -> None:
    assert [market().price("BTC", Decimal(at)) for at in (0, 5, 10, 15)] == [100, 100, 50, 80]


def test_a_price_set_by_hand_holds_from_then_on_until_it_is_released() -> None:
    made = market()
    made.set_price("BTC", Decimal(7), Decimal(8))
    made.set_price("BTC", None, Decimal(12))
    assert [made.price("BTC", Decimal(at)) for at in (5, 8, 11, 15)] == [100, 7, 7, 80]


def test_dollars_cost_a_dollar_unless_told_otherwise() -> None:
    made = market()
    assert made.price("USDT", Decimal(0)) == 1
    made.set_price("USDT", Decimal("0.97"), Decimal(0))
    assert made.price("USDT", Decimal(0)) == Decimal("0.97")


@given(st.decimals(0, 30, places=3), st.decimals(0, 30, places=3))
def test_between_two_looks_no_price_is_lower_than_at_the_looks_and_bends(a: Decimal, b: Decimal) -> None:
    made, (since, until) = market(), sorted((a, b))
    looked = [since, *made.turns(since, until), until]
    lowest = min(made.price("BTC", at) for at in looked)
    between = [since + (until - since) * share / 50 for share in range(51)]
    assert all(made.price("BTC", at) >= lowest for at in between)
