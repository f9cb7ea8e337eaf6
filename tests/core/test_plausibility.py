"""What one odd number may do: lift no limit, release nothing, and size no more than small steps."""

from __future__ import annotations

from decimal import Decimal

import pytest
from core_builders import ADD, D, account, decide_one, facts, loan, policy
from hypothesis import given
from hypothesis import strategies as st
from shown_loans import a_pool, an_order

from ltv_guard.core.reconcile.plausibility import (
    Bearing,
    as_it_reckons,
    bearing,
    careful_need,
    hides_a_breach,
    lifts_limits,
    may_release,
    parted,
)

PRICES = {"BTC": D(50_000), "USDT": D(1)}
EMERGENCY, TARGET, LOWEST = D("0.80"), D("0.65"), D("0.40")
ltvs = st.decimals("0.05", "0.94", places=4)
factors = st.one_of(st.decimals("0.000001", "0.7", places=6), st.decimals("1.5", "1000", places=2))


@pytest.mark.parametrize("make", [an_order, a_pool])
@pytest.mark.parametrize(
    ("true", "shown", "found"),
    [
        ("0.60", "0.60", Bearing.BORNE_OUT),
        ("0.80", "0.86", Bearing.BORNE_OUT),
        ("0.75", "0.86", Bearing.DOUBTFUL),
        ("0.60", "0.86", Bearing.CONTRADICTED),
        ("0.60", "4.9", Bearing.CONTRADICTED),
        ("0.60", "0", Bearing.CONTRADICTED),
    ],
)
def test_an_ltv_is_held_against_the_loans_own_numbers(
    make: object, true: str, shown: str, found: Bearing
) -> None:
    assert bearing(make(D(true), D(shown)), PRICES) is found  # type: ignore[operator]


def test_without_prices_an_order_tells_nothing_and_a_pool_does() -> None:
    assert bearing(an_order(D("0.6")), None) is Bearing.UNKNOWN
    assert bearing(a_pool(D("0.6")), None) is Bearing.BORNE_OUT


@given(true=st.decimals("0.10", "0.70", places=4), shown=st.decimals("0.90", "4.9", places=4))
def test_no_second_read_lifts_limits_for_what_the_amounts_contradict(true: Decimal, shown: Decimal) -> None:
    odd = an_order(true, shown)
    assert not lifts_limits(odd, odd, PRICES, EMERGENCY)


@given(true=st.decimals("0.80", "0.94", places=4), drift=st.decimals("0.93", "1.07", places=3))
def test_an_honest_emergency_lifts_limits_by_one_read(true: Decimal, drift: Decimal) -> None:
    prices = {**PRICES, "BTC": PRICES["BTC"] * drift}
    assert lifts_limits(an_order(true), None, prices, EMERGENCY)
    assert lifts_limits(a_pool(true), None, None, EMERGENCY)


def test_what_nothing_can_check_takes_a_second_read_that_shows_the_same() -> None:
    odd = an_order(D("0.86"))
    assert not lifts_limits(odd, None, None, EMERGENCY)
    assert not lifts_limits(odd, an_order(D("0.60")), None, EMERGENCY)
    assert lifts_limits(odd, an_order(D("0.85")), None, EMERGENCY)


@given(true=ltvs, shown=st.decimals("0", "0.39", places=4))
def test_nothing_is_released_for_an_ltv_that_is_far_below_what_the_amounts_say(
    true: Decimal, shown: Decimal
) -> None:
    odd = an_order(true, shown)
    if parted(true, shown) > D("1.11") and shown < true:
        assert not may_release(odd, odd, PRICES)


def test_an_ltv_of_nothing_hides_a_breach_that_amounts_and_prices_show() -> None:
    odd = an_order(D("0.85"), D(0))
    assert hides_a_breach(odd, PRICES, D("0.75"))
    assert as_it_reckons(odd, PRICES).ltv == D("0.85")
    assert not hides_a_breach(an_order(D("0.60"), D(0)), PRICES, D("0.75"))
    assert hides_a_breach(a_pool(D("0.85"), D("0.30")), None, D("0.75"))


@given(true=st.decimals("0.76", "0.79", places=4), factor=factors)
def test_one_odd_amount_sizes_no_step_beyond_the_need_and_leaves_none_without_help(
    true: Decimal, factor: Decimal
) -> None:
    """Collateral or debt shown at any factor, beside an LTV that is right: a tenth to all of the need."""
    need = D(1) * (true / TARGET - 1)
    for odd in (
        loan(true, held=factor, debt=true * 50_000),
        loan(true, held=D(1), debt=true * 50_000 * factor),
    ):
        step = careful_need(odd, PRICES, target=TARGET, lowest=LOWEST)
        assert step <= need * max(D(1), factor / 10) * D("1.0001")
        assert step >= need / 10 * D("0.9999")


@given(true=st.decimals("0.41", "0.64", places=4), shown=st.decimals("0.96", "4.9", places=4))
def test_an_ltv_beyond_liquidation_never_brings_the_amounts_below_the_release_trigger(
    true: Decimal, shown: Decimal
) -> None:
    odd = an_order(true, shown)
    step = careful_need(odd, PRICES, target=TARGET, lowest=LOWEST)
    assert true / (1 + step) >= LOWEST * D("0.9999")


@given(
    shown=st.decimals("0.76", "4.9", places=4),
    reserve=st.decimals("0", "5", places=2),
    cap=st.decimals("0.01", "5", places=2),
)
def test_no_single_odd_read_makes_more_leave_than_the_ordinary_caps_allow(
    shown: Decimal, reserve: Decimal, cap: Decimal
) -> None:
    odd = an_order(D("0.60"), shown)
    about = facts(
        odd,
        policy(),
        bearing=bearing(odd, PRICES),
        lifts=lifts_limits(odd, None, PRICES, EMERGENCY),
        may_release=may_release(odd, None, PRICES),
    )
    found = decide_one(
        about, wallet={"BTC": 5}, reserve={"BTC": reserve}, max_add_24h={"BTC": cap}, prices=PRICES
    )
    if parted(shown, D("0.60")) > D("1.10") and found.direction is ADD:
        assert found.ceiling <= min(D(5) - reserve, cap)


def test_the_loan_that_contradicts_itself_has_its_turn_after_the_others() -> None:
    odd = an_order(D("0.60"), D("4.9"))
    other = loan("0.78", loan_id="true")
    about = account(
        facts(odd, bearing=Bearing.CONTRADICTED, lifts=False), facts(other), wallet={"BTC": "0.21"}
    )
    from ltv_guard.core.decide.decide import decide  # noqa: PLC0415 - the one test that needs the account
    from ltv_guard.core.decide.decide import decide_one as decide_in_its_turn  # noqa: PLC0415

    first, second = decide(about)
    assert (first.loan.key.loan_id, first.missing) == ("true", 0)
    assert second.amount < D("0.02")
    turn = decide_in_its_turn(about, odd.key)  # and no sooner where its turn alone has come
    assert turn is not None
    assert turn.amount == second.amount
