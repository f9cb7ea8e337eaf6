"""Whose time ends first, by how fast prices fall now."""

from __future__ import annotations

from decimal import Decimal

from core_builders import D, loan
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.watch.time_left import SLOWEST, Falling, seconds_left

DANGERS = st.decimals(min_value=D("0.5"), max_value=D("1.2"), places=4)
PAIR = ("BTC", "USDT")
SPEEDS = st.decimals(min_value=SLOWEST, max_value=D("0.1"), places=3)


def falling(*told: tuple[int, str]) -> Falling:
    """BTC in USDT, at those moments."""
    found = Falling()
    for at_ms, price in told:
        found.saw({"BTC": D(price), "USDT": D(1)}, at_ms)
    return found


def test_a_speed_is_the_share_that_is_lost_in_a_second() -> None:
    assert falling((0, "100"), (2_000, "96")).speeds(loan())[0] == D("0.02")


def test_what_was_told_a_moment_ago_tells_no_speed() -> None:
    assert falling((0, "100"), (1_000, "98"), (1_100, "90")).speeds(loan())[0] == D("0.1") / D("1.1")
    assert falling((0, "100"), (100, "90")).speeds(loan())[0] == SLOWEST


def test_what_was_told_long_ago_is_forgotten() -> None:
    assert falling((0, "100"), (10_000, "50")).speeds(loan())[0] == SLOWEST


def test_a_price_that_rises_stands_still_or_is_unknown_falls_slowly() -> None:
    assert falling((0, "100"), (1_000, "110")).speeds(loan())[0] == SLOWEST
    assert falling((0, "100"), (1_000, "100")).speeds(loan())[0] == SLOWEST
    assert falling().speeds(loan())[0] == SLOWEST
    assert falling((0, "100"), (1_000, "90")).speeds(loan(coin="ETH"))[0] == SLOWEST


def test_the_worst_price_since_a_moment_is_known() -> None:
    told = falling((0, "100"), (1_000, "90"), (2_000, "95"), (3_000, "97"))
    worst = [told.worst(PAIR, at_ms) for at_ms in (0, 1_000, 1_001, 3_000, 3_001)]
    assert worst == [D(90), D(90), D(95), D(97), None]
    assert told.worst(("ETH", "USDT"), 0) is None


def test_the_price_of_a_moment_is_that_which_was_told_last_by_then() -> None:
    told = falling((1_000, "90"), (2_000, "95"))
    prices = [told.at(PAIR, at_ms) for at_ms in (999, 1_000, 1_999, 2_000, 4_000, 4_001)]
    assert prices == [None, D(90), D(90), D(95), D(95), None]


def test_what_was_told_stays_as_it_was_told() -> None:
    found, prices = Falling(), {"BTC": D(100), "USDT": D(1)}
    found.saw(prices, 0)
    prices["BTC"] = D(90)
    found.saw(prices, 1_000)
    assert (found.at(PAIR, 0), found.speeds(loan())[0]) == (D(100), D("0.1"))


def test_a_price_that_was_shown_since_is_gone_by_and_forgotten_as_those_that_were_told() -> None:
    found = falling((1_000, "99"))
    found.showed(PAIR, 1_050, D(98))
    found.saw({"BTC": D(97), "USDT": D(1)}, 31_000)
    assert [found.at(PAIR, at_ms) for at_ms in (1_040, 1_050)] == [D(99), D(98)]
    found.saw({"BTC": D(97), "USDT": D(1)}, 31_051)
    assert found.at(PAIR, 1_050) is None


@given(
    st.lists(st.decimals(min_value=1, max_value=200, places=2), min_size=1, max_size=20), st.integers(0, 19)
)
def test_no_price_since_a_moment_is_below_the_worst(told: list[Decimal], since: int) -> None:
    found = falling(*((number * 1_000, str(price)) for number, price in enumerate(told)))
    assert found.worst(PAIR, since * 1_000) == min(told[since:], default=None)


def test_soon_a_price_falls_as_fast_as_it_ranged_lately_up_or_down() -> None:
    told = falling((0, "80"), (5_000, "60"), (15_000, "100"), (24_000, "99"), (25_000, "98"))
    assert told.speeds(loan()) == (1 - D(98) / 99, D("0.4") / 20)
    assert falling((0, "100"), (2_000, "96")).speeds(loan()) == (D("0.02"), D("0.02"))
    assert falling((0, "100"), (500, "90")).speeds(loan())[1] == SLOWEST
    assert falling((0, "100"), (10_000, "100")).speeds(loan())[1] == SLOWEST


def test_one_that_is_further_away_but_falls_faster_has_less_time() -> None:
    assert seconds_left(D("0.94"), D("0.02"), D("0.02")) == 3
    assert seconds_left(D("0.98"), D("0.004"), D("0.004")) == 5


def test_a_second_goes_by_at_the_speed_of_now_and_the_rest_at_that_of_lately() -> None:
    assert seconds_left(D("0.99"), D("0.02"), D("0.001")) == D("0.5")
    assert seconds_left(D("0.94"), D("0.02"), D("0.01")) == 5
    assert seconds_left(D("0.94"), D("0.02"), D("0.08")) == D("1.5")


@given(first=DANGERS, second=DANGERS, now=SPEEDS, soon=SPEEDS)
def test_at_the_same_speeds_the_worst_has_the_least_time(
    first: Decimal, second: Decimal, now: Decimal, soon: Decimal
) -> None:
    assert (first > second) == (seconds_left(first, now, soon) < seconds_left(second, now, soon))


@given(danger=DANGERS, other=DANGERS, now=SPEEDS, soon=SPEEDS)
def test_who_is_beyond_liquidation_has_less_time_than_who_is_not(
    danger: Decimal, other: Decimal, now: Decimal, soon: Decimal
) -> None:
    if danger > 1 > other:
        assert seconds_left(danger, SLOWEST, SLOWEST) < 0 < seconds_left(other, now, soon)
