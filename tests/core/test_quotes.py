"""What a coin is worth where a ticker lacks, or parts from what is known."""

from __future__ import annotations

from decimal import Decimal

import pytest
from core_builders import D
from core_pools import at
from shown_loans import a_pool

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.decide.quotes import FRESH_MS, STOOD_MS, LastPrice, learnt, quoted

BTC = {"BTC": D(50_000)}
ODD = {"BTC": D(500)}


def known(price: int = 50_000, at_ms: int = 0) -> dict[str, LastPrice]:
    return {"BTC": LastPrice(price=D(price), at_ms=at_ms)}


def test_a_position_implies_the_price_of_what_it_holds_and_of_its_one_debt() -> None:
    found = composition_of(a_pool(D("0.775"))).implied_prices()
    assert found["BTC"] == D(50_000)
    assert abs(found["USDT"] - D("0.9")) < D("0.01")  # the builder's debt is in whole dollars of the coin


def test_where_tiers_can_be_read_in_two_ways_the_lower_price_is_implied() -> None:
    """It asks for more coins: an add is not to be too small."""
    steps = {"BTC": (("0.9", "0", "2"), ("0.5", "2", None))}  # 2 BTC, or 2 USD
    shown = at("0.70", {"BTC": "1"}, steps=steps, unit="coins").shown()
    assert composition_of(shown).implied_prices()["BTC"] == D(50_000)


def test_where_no_ticker_is_the_position_counts() -> None:
    found = quoted({}, None, {}, {"BTC": D(49_000)}, 0)
    assert (found.prices, found.doubted) == ({"BTC": D(49_000)}, frozenset())


def test_a_ticker_that_parts_from_the_position_is_passed_over() -> None:
    found = quoted(ODD, None, {}, {"BTC": D(49_000)}, 0)
    assert (found.prices["BTC"], found.doubted) == (D(49_000), frozenset())


def test_amounts_of_the_position_that_ticker_and_last_price_contradict_size_small_steps() -> None:
    found = quoted(BTC, None, known(), {"BTC": D(5_000)}, 0)
    assert (found.prices["BTC"], found.doubted) == (D(50_000), {"BTC"})


def test_a_price_near_the_last_one_needs_no_second_read() -> None:
    found = quoted({"BTC": D(46_000)}, None, known(), {}, FRESH_MS)
    assert not found.parted
    assert not found.doubted


@pytest.mark.parametrize("last", [{}, known(), known(at_ms=-FRESH_MS - 1)])
def test_a_price_with_nothing_to_bear_it_out_is_read_again(last: dict[str, LastPrice]) -> None:
    assert quoted(ODD, None, last, {}, 0).parted == {"BTC"}


def test_two_reads_that_agree_count_where_nothing_recent_contradicts_them() -> None:
    assert not quoted(BTC, BTC, {}, {}, 0).doubted
    assert not quoted(ODD, BTC, known(), {}, 0).doubted  # the second is near the last


def test_two_reads_that_part_from_the_last_price_size_small_steps_until_they_have_stood() -> None:
    last = known()
    found = quoted(ODD, ODD, last, {}, 1_000)
    assert found.doubted == {"BTC"}
    last = learnt(last, found, 1_000)
    assert quoted(ODD, ODD, last, {}, 1_000 + STOOD_MS - 1).doubted
    found = quoted(ODD, ODD, last, {}, 1_000 + STOOD_MS)
    assert not found.doubted
    assert learnt(last, found, 1_000 + STOOD_MS)["BTC"].price == Decimal(500)


def test_of_two_reads_that_contradict_each_other_the_one_counts_that_asks_for_fewer_coins() -> None:
    found = quoted(ODD, BTC, {}, {}, 0)
    assert (found.prices["BTC"], found.doubted) == (D(50_000), {"BTC"})
