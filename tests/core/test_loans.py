"""Values that no real loan can have do not construct."""

import pytest
from core_builders import D, loan, moment

from ltv_guard.core.model.loans import Collateral, Debt, Loan, LoanKey, Moment, Product


@pytest.mark.parametrize(
    "nonsense",
    [
        {"ltv": "NaN"},
        {"ltv": "Infinity"},
        {"ltv": "-0.1"},
        {"ltv": "12"},
        {"held": "0"},
        {"held": "-1"},
        {"held": "NaN"},
        {"debt": "-1"},
        {"debt": "NaN"},
        {"margin_call": "NaN"},
        {"margin_call": "sNaN"},
        {"margin_call": "0"},
        {"margin_call": "0.96"},
        {"margin_call": "-1"},
        {"liquidation": "NaN"},
        {"liquidation": "Infinity"},
        {"liquidation": "95"},  # in percent: no danger would ever be seen
        {"margin_call": "87", "liquidation": "95"},
    ],
    ids=str,
)
def test_nonsense_is_a_value_error(nonsense: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"plausible|no collateral|out of order"):
        loan(**nonsense)  # type: ignore[arg-type]


def test_a_loan_without_any_collateral_does_not_construct() -> None:
    with pytest.raises(ValueError, match="no collateral"):
        Loan(
            key=loan().key,
            ltv=D("0.5"),
            collateral=(),
            debts=(Debt(coin="USDT", amount=D(1)),),
            margin_call_ltv=D("0.8"),
            liquidation_ltv=D("0.9"),
        )


def test_danger_is_the_share_of_the_way_to_liquidation() -> None:
    assert loan("0.475", liquidation="0.95").danger == D("0.5")


@pytest.mark.parametrize(
    ("accuracy", "step"), [(8, "0.00000001"), (0, "1"), (2, "0.01"), (18, "0.000000000000000001")]
)
def test_the_step_is_the_smallest_amount(accuracy: int, step: str) -> None:
    assert Collateral(coin="BTC", amount=D(1), accuracy=accuracy).step == D(step)


@pytest.mark.parametrize(
    ("later", "passed"),
    [
        (moment(1000, 1000), 1000),
        (moment(3_600_000, 1000), 1000),
        (moment(1000, 3_600_000), 1000),
        (moment(-3_600_000, 1000), -3_600_000),
    ],
)
def test_time_passed_is_what_both_clocks_agree_on(later: Moment, passed: int) -> None:
    assert later.ms_since(moment(0, 0)) == passed


def test_a_short_name_tells_an_order_from_a_pool() -> None:
    assert LoanKey(Product.LEGACY, "1001").short_name == "order 1001"
    assert LoanKey(Product.CRYPTO_LOAN, "pool").short_name == "pool"
