"""How much: towards the target, never past it, on the coin's accuracy."""

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import pytest
from core_builders import D, Number, loan
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.model.loans import Collateral

QUOTED = D("0.0001")


def held(amount: Number = "1", accuracy: int = 8) -> Collateral:
    return Collateral(coin="BTC", amount=D(amount), accuracy=accuracy)


def model(coin: Collateral, ltv: Decimal) -> LtvModel:
    return LtvModel(loan=replace(loan(), collateral=(coin,), ltv=ltv))


def to_add(coin: Collateral, ltv: Decimal, target: Decimal) -> Decimal:
    order = model(coin, ltv)
    return order.to_gain(coin, order.missing(target))


def to_release(coin: Collateral, ltv: Decimal, target: Decimal) -> Decimal:
    order = model(coin, ltv)
    return order.to_lose(coin, order.spare(target))


def ltv_after(coin: Collateral, ltv: Decimal, change: Decimal) -> Decimal:
    return model(coin, ltv).ltv_after(change)


@pytest.mark.parametrize(
    ("amount", "accuracy", "ltv", "target", "added"),
    [
        ("1", 8, "0.75", "0.65", "0.15400000"),
        ("2", 8, "0.75", "0.65", "0.30800000"),
        ("3", 8, "0.7", "0.65", "0.23123077"),  # rounded up
        ("100", 0, "0.75", "0.65", "16"),
        ("1", 8, "0.65", "0.65", "0.00015385"),  # the true LTV may be a little more than the quoted
        ("1", 8, "0.6499", "0.65", "0"),
        ("1", 8, "0.30", "0.65", "0"),
        ("0.00000003", 8, "0.75", "0.65", "0.00000001"),
        ("1", 8, "0", "0.65", "0"),
    ],
)
def test_what_is_to_be_added(amount: str, accuracy: int, ltv: str, target: str, added: str) -> None:
    assert to_add(held(amount, accuracy), D(ltv), D(target)) == D(added)


@pytest.mark.parametrize(
    ("amount", "accuracy", "ltv", "target", "released"),
    [
        ("1", 8, "0.3299", "0.55", "0.40000000"),
        ("1", 8, "0.33", "0.55", "0.39981818"),  # rounded down
        ("100", 0, "0.33", "0.55", "39"),
        ("1", 8, "0.55", "0.55", "0"),
        ("1", 8, "0.70", "0.55", "0"),
        ("1", 0, "0.33", "0.55", "0"),
    ],
)
def test_what_can_be_released(amount: str, accuracy: int, ltv: str, target: str, released: str) -> None:
    assert to_release(held(amount, accuracy), D(ltv), D(target)) == D(released)


def test_taking_everything_out_has_no_ltv_below_infinity() -> None:
    assert ltv_after(held(), D("0.4"), D(-1)) == Decimal("Infinity")
    assert ltv_after(held(), D("0.4"), D(-2)) == Decimal("Infinity")


def positions() -> st.SearchStrategy[tuple[Collateral, Decimal]]:
    """A collateral, and the true LTV that the exchange quotes rounded; from dust to 1e8 with 18 decimals."""
    amounts = st.one_of(
        st.tuples(st.integers(1, 10**17), st.just(8)),
        st.tuples(st.integers(1, 10**26), st.just(18)),
        st.tuples(st.integers(1, 10**6), st.integers(0, 2)),
    )
    ltvs = st.decimals("0.05", "0.99", places=9)
    return st.tuples(amounts.map(lambda pair: held(D(pair[0]).scaleb(-pair[1]), pair[1])), ltvs)


def quoted(ltv: Decimal) -> Decimal:
    return ltv.quantize(QUOTED, ROUND_HALF_UP)


@given(positions(), st.decimals("0.3", "0.9", places=3))
def test_an_add_brings_the_true_ltv_to_its_target_or_just_below(
    position: tuple[Collateral, Decimal], target: Decimal
) -> None:
    coin, true = position
    added = to_add(coin, quoted(true), target)
    after = ltv_after(coin, true, added)
    assert added % coin.step == 0
    assert after <= max(target, true)
    assert after <= target
    if added > 0:
        one_step_less = ltv_after(coin, true, added - coin.step)
        assert one_step_less > target - D("0.0003")


@given(positions(), st.decimals("0.3", "0.9", places=3))
def test_a_release_brings_the_true_ltv_to_its_target_or_just_below(
    position: tuple[Collateral, Decimal], target: Decimal
) -> None:
    coin, true = position
    released = to_release(coin, quoted(true), target)
    assert released % coin.step == 0
    assert 0 <= released < coin.amount
    if released > 0:
        assert ltv_after(coin, true, -released) <= target
        # The quoted LTV is taken to be up to 0.0001 higher: all that a release can fall short by.
        one_step_more = ltv_after(coin, true + D("0.00016"), -released - coin.step)
        assert one_step_more > target
