"""Whose time ends first, by how fast prices fall now."""

from __future__ import annotations

from decimal import Decimal

from core_builders import D, loan
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.watch.time_left import SLOWEST, Falling, seconds_left

DANGERS = st.decimals(min_value=D("0.5"), max_value=D("1.2"), places=4)


def falling(*told: tuple[int, str]) -> Falling:
    """BTC in USDT, at those moments."""
    found = Falling()
    for at_ms, price in told:
        found.saw({"BTC": D(price), "USDT": D(1)}, at_ms)
    return found


def test_a_speed_is_the_share_that_is_lost_in_a_second() -> None:
    assert falling((0, "100"), (2_000, "96")).speed(loan()) == D("0.02")


def test_what_was_told_a_moment_ago_tells_no_speed() -> None:
    assert falling((0, "100"), (1_000, "98"), (1_100, "90")).speed(loan()) == D("0.1") / D("1.1")
    assert falling((0, "100"), (100, "90")).speed(loan()) == SLOWEST


def test_what_was_told_long_ago_is_forgotten() -> None:
    assert falling((0, "100"), (10_000, "50")).speed(loan()) == SLOWEST


def test_a_price_that_rises_stands_still_or_is_unknown_falls_slowly() -> None:
    assert falling((0, "100"), (1_000, "110")).speed(loan()) == SLOWEST
    assert falling((0, "100"), (1_000, "100")).speed(loan()) == SLOWEST
    assert falling().speed(loan()) == SLOWEST
    assert falling((0, "100"), (1_000, "90")).speed(loan(coin="ETH")) == SLOWEST


def test_one_that_is_further_away_but_falls_faster_has_less_time() -> None:
    assert seconds_left(D("0.94"), D("0.02")) == 3
    assert seconds_left(D("0.98"), D("0.004")) == 5


@given(first=DANGERS, second=DANGERS, speed=st.decimals(min_value=SLOWEST, max_value=D("0.1"), places=3))
def test_at_one_speed_the_worst_has_the_least_time(first: Decimal, second: Decimal, speed: Decimal) -> None:
    assert (first > second) == (seconds_left(first, speed) < seconds_left(second, speed))


@given(danger=DANGERS, other=DANGERS, fast=st.decimals(min_value=SLOWEST, max_value=D("0.1"), places=3))
def test_who_is_beyond_liquidation_has_less_time_than_who_is_not(
    danger: Decimal, other: Decimal, fast: Decimal
) -> None:
    if danger > 1 > other:
        assert seconds_left(danger, SLOWEST) < 0 < seconds_left(other, fast)
