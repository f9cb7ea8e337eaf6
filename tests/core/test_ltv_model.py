"""One scale for an order and for a pool: what is missing, what is spare, and what a change leads to."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import loan
from core_pools import PRICES, TARGET, D, Truth, at
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.model.loans import Debt

SOLID = [("0.9", "0", "50000"), ("0.8", "50000", "200000"), ("0.5", "200000", None)]
HELD = {"BTC": "1", "USDT": "1000"}


def model(truth: Truth) -> LtvModel:
    return LtvModel(loan=truth.shown(), prices=truth.prices)


def test_an_order_is_measured_in_its_coin_and_needs_no_price() -> None:
    order = loan("0.80", held="2")
    measure = LtvModel(loan=order)
    held = order.collateral[0]
    assert not measure.is_blind
    assert measure.to_gain(held, measure.missing(TARGET)) == D("0.46184616")
    low = loan("0.30", held="2")
    spare = LtvModel(loan=low).spare(D("0.55"))
    assert LtvModel(loan=low).to_lose(low.collateral[0], spare) == D("0.90872727")


def test_a_pool_is_blind_without_prices() -> None:
    shown = at("0.70", HELD).shown()
    assert LtvModel(loan=shown).is_blind
    assert not LtvModel(loan=shown, prices={}).is_blind


@pytest.mark.parametrize("coin", ["BTC", "ETH", "USDT"])
@pytest.mark.parametrize("unit", ["usd", "coins"])
def test_what_is_missing_brings_the_pool_to_its_target_and_hardly_below(coin: str, unit: str) -> None:
    truth = at("0.80", HELD, steps={"BTC": SOLID, "ETH": SOLID}, unit=unit)
    measure = model(truth)
    coins = measure.to_gain(truth.shown().collateral_in(coin), measure.missing(TARGET))  # type: ignore[arg-type]
    after = truth.plus(coin, coins).ltv
    assert after <= TARGET
    if unit == "usd":
        assert after > TARGET - D("0.00001")


@pytest.mark.parametrize("coin", ["BTC", "USDT"])
def test_what_is_spare_brings_the_pool_up_to_its_target_and_hardly_below(coin: str) -> None:
    truth = at("0.50", {"BTC": "1", "USDT": "20000"}, steps={"BTC": SOLID})
    measure = model(truth)
    coins = measure.to_lose(truth.shown().collateral_in(coin), measure.spare(D("0.55")))  # type: ignore[arg-type]
    after = truth.plus(coin, -coins).ltv
    assert D("0.55") - D("0.00001") < after <= D("0.55")


@pytest.mark.parametrize("usd", ["10", "100", "1000", "100000"])
def test_the_cents_that_are_added_for_rounding_are_little_to_small_pools(usd: str) -> None:
    """Its totals are quoted in cents: what that may hide is added. Ten USD are the least that this serves."""
    truth = at("0.80", {"USDT": usd})
    measure = model(truth)
    coins = measure.to_gain(truth.shown().collateral_in("USDT"), measure.missing(TARGET))  # type: ignore[arg-type]
    assert TARGET - D("0.002") <= truth.plus("USDT", coins).ltv <= TARGET


@given(
    st.decimals(D("0.5"), D("100000"), places=4),
    st.decimals(D("0.01"), D("0.99"), places=3),
    st.decimals(D("0.66"), D("0.9"), places=6),
)
def test_what_is_missing_is_enough_whatever_rounding_hides(usdt: Decimal, btc: Decimal, ltv: Decimal) -> None:
    truth = at(str(ltv), {"USDT": str(usdt), "BTC": str(btc)}, steps={"BTC": SOLID})
    measure = model(truth)
    for coin in ("USDT", "BTC", "ETH"):
        held = truth.shown().collateral_in(coin)
        assert held is not None
        assert truth.plus(coin, measure.to_gain(held, measure.missing(TARGET))).ltv <= TARGET


@given(st.decimals(D("0.05"), D("0.54"), places=6), st.sampled_from(["usd", "coins"]))
def test_a_release_never_goes_beyond_its_target(ltv: Decimal, unit: str) -> None:
    truth = at(str(ltv), {"BTC": "3", "USDT": "30000"}, steps={"BTC": SOLID}, unit=unit)
    measure = model(truth)
    for coin in ("BTC", "USDT"):
        held = truth.shown().collateral_in(coin)
        assert held is not None
        coins = measure.to_lose(held, measure.spare(D("0.55")))
        assume(coins < truth.held[coin])
        assert truth.plus(coin, -coins).ltv <= D("0.55")


def test_room_above_a_floor_is_what_can_be_added_without_falling_below_it() -> None:
    truth = at("0.82", HELD)
    measure = model(truth)
    held = truth.shown().collateral_in("BTC")
    assert held is not None
    assert truth.plus("BTC", measure.at_most(held, measure.room_above(D("0.40")))).ltv > D("0.40")


def test_a_loan_with_a_change_is_as_the_exchange_will_show_it() -> None:
    truth = at("0.70", {"BTC": "1.5", "USDT": "1000"}, steps={"BTC": SOLID})
    changed, shown = model(truth).with_change("BTC", D("-0.6")), truth.plus("BTC", D("-0.6")).shown()
    assert changed.ltv.quantize(D("0.0001")) == shown.ltv.quantize(D("0.0001"))
    assert changed.totals is not None
    assert shown.totals is not None
    assert changed.totals.collateral_usd.quantize(D(1)) == shown.totals.collateral_usd.quantize(D(1))
    assert changed.collateral_in("BTC").amount == D("0.9")  # type: ignore[union-attr]


@pytest.mark.parametrize("price", [None, D(0)])
def test_a_coin_without_a_price_can_do_nothing_and_harms_no_other(price: Decimal | None) -> None:
    truth = at("0.80", HELD)
    prices = {coin: usd for coin, usd in PRICES.items() if coin != "ETH"} | (
        {} if price is None else {"ETH": price}
    )
    measure = LtvModel(loan=truth.shown(), prices=prices)
    eth, btc = truth.shown().collateral_in("ETH"), truth.shown().collateral_in("BTC")
    assert eth is not None
    assert btc is not None
    assert measure.to_gain(eth, D(1)) == D("Infinity")
    assert measure.toward(eth, D(1)) == 0
    assert measure.at_most(eth, D(1)) == measure.to_lose(eth, D(1)) == measure.gain(eth, D(1)) == 0
    assert measure.to_gain(btc, D(45000)) == 1


def test_what_is_repaid_of_a_pool_counts_by_its_price_and_without_one_as_if_it_were_all_that_is_owed() -> (
    None
):
    shown = at("0.70", HELD).shown()
    (debt,) = shown.debts
    more = replace(
        shown, debts=(debt, Debt(coin="ETH", amount=D(4)))
    )  # the total holds both, and USDT are most
    half = D("0.5")
    priced = LtvModel(loan=shown, prices=PRICES).with_debt_less("USDT", debt.amount * half)
    assert priced.loan.ltv == pytest.approx(D("0.35"), abs=D("0.00001"))
    unpriced = LtvModel(loan=more, prices={"USDT": D(1)}).with_debt_less("ETH", D(1))
    assert unpriced.loan.ltv == D("0.75") * shown.ltv
    assert LtvModel(loan=more, prices={}).with_debt_less("XYZ", D(1)).loan.ltv == shown.ltv


def test_two_cents_are_kept_for_totals_that_are_rounded() -> None:
    """A pool is shown in cents: what is added is not too little for that, nor what is released too much."""
    measure = model(at("0.80", HELD))
    exact = measure.total * (measure.highest_ltv / TARGET - 1)
    assert measure.missing(TARGET) - exact == D("0.02")
    low = model(at("0.30", HELD))
    assert low.total * (1 - low.highest_ltv / TARGET) - low.spare(TARGET) == D("0.02")
    order = LtvModel(loan=loan("0.80", held="2"))
    assert order.missing(TARGET) == 2 * (order.highest_ltv / TARGET - 1)
