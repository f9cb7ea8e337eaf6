"""Which rule applies to which loan, and how the exchange's own thresholds pull ours in."""

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import D, loan, policy
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.model.loans import Collateral, Debt, Loan, LoanKey, Product
from ltv_guard.core.model.policy import AddRule, LoanPolicy, Match, ReduceRule, Rulebook, thresholds

EVERYONE, FIRST, SECOND = (LoanPolicy(name=name) for name in ("policy", "overrides[0]", "overrides[1]"))
POOL = Loan(
    key=LoanKey(Product.CRYPTO_LOAN, "pool"),
    ltv=D("0.5"),
    collateral=(
        Collateral(coin="BTC", amount=D(1), accuracy=8),
        Collateral(coin="ETH", amount=D(2), accuracy=8),
    ),
    debts=(Debt(coin="USDT", amount=D(1)), Debt(coin="USDC", amount=D(1))),
    margin_call_ltv=D("0.85"),
    liquidation_ltv=D("0.92"),
)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(), True),
        (Match(order_id="1001"), True),
        (Match(order_id="1002"), False),
        (Match(product=Product.LEGACY), True),
        (Match(product=Product.CRYPTO_LOAN), False),
        (Match(collateral_coin="BTC"), True),
        (Match(collateral_coin="ETH"), False),
        (Match(loan_coin="USDT"), True),
        (Match(loan_coin="BTC"), False),
        (Match(collateral_coin="BTC", loan_coin="USDC"), False),
        (Match(order_id="1001", product=Product.LEGACY, collateral_coin="BTC", loan_coin="USDT"), True),
    ],
    ids=str,
)
def test_an_override_is_for_loans_that_fit_all_it_names(match: Match, fits: bool) -> None:  # noqa: FBT001
    assert match.fits(loan()) is fits


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_a_pool_fits_by_any_of_its_coins(coin: str) -> None:
    assert Match(collateral_coin=coin, loan_coin="USDC").fits(POOL)
    assert not Match(collateral_coin="SOL").fits(POOL)


def test_the_first_override_that_fits_wins() -> None:
    book = Rulebook(
        default=EVERYONE,
        overrides=((Match(collateral_coin="BTC"), FIRST), (Match(order_id="1001"), SECOND)),
    )
    assert book.policy_for(loan()) is FIRST
    assert book.policy_for(loan(coin="ETH")) is SECOND
    assert book.policy_for(loan(coin="ETH", loan_id="1002")) is EVERYONE


@pytest.mark.parametrize(
    ("margin_call", "trigger", "target", "emergency", "pulled_in"),
    [
        ("0.87", "0.75", "0.65", "0.80", False),
        ("0.81", "0.75", "0.65", "0.80", False),
        ("0.80", "0.75", "0.65", "0.79", True),  # emergency at most margin call - 0.01
        ("0.78", "0.75", "0.65", "0.77", True),
        ("0.77", "0.74", "0.65", "0.76", True),  # trigger at most margin call - 0.03
        ("0.70", "0.67", "0.62", "0.69", True),  # and the target leaves 0.05 below it
        ("0.50", "0.47", "0.42", "0.49", True),
        ("0.10", "0.07", "0.035", "0.09", True),  # a target is never nothing
        ("0.03", "0.015", "0.0075", "0.02", True),
    ],
)
def test_a_margin_call_pulls_later_thresholds_in(
    margin_call: str,
    trigger: str,
    target: str,
    emergency: str,
    pulled_in: bool,  # noqa: FBT001 - parametrized
) -> None:
    found = thresholds(policy(), loan(margin_call=margin_call))
    expected = (D(trigger), D(target), D(emergency), pulled_in)
    assert (found.trigger, found.target, found.emergency, found.pulled_in) == expected


@pytest.mark.parametrize(
    ("margin_call", "release_below", "release_to"),
    [
        ("0.87", "0.40", "0.55"),
        ("0.68", "0.40", "0.55"),  # add target 0.60
        ("0.60", "0.40", "0.47"),  # add target 0.52
        ("0.50", "0.32", "0.37"),  # add target 0.42: releasing to 0.55 would be past the margin call
    ],
)
def test_a_release_never_leads_close_to_an_add_target_that_was_pulled_in(
    margin_call: str, release_below: str, release_to: str
) -> None:
    found = thresholds(policy(), loan(margin_call=margin_call))
    assert (found.release_trigger, found.release_target) == (D(release_below), D(release_to))


@given(st.decimals("0.03", "0.99", places=4))
def test_thresholds_are_in_order_for_any_margin_call(margin_call: Decimal) -> None:
    found = thresholds(policy(), loan("0.01", margin_call=margin_call, liquidation="0.99"))
    order = (0, found.release_trigger, found.release_target, found.target, found.trigger, found.emergency)
    assert list(order) == sorted(order)
    assert len(set(order)) == len(order)
    assert found.emergency < margin_call


@given(st.decimals("0.06", "0.99", places=4))
def test_no_threshold_comes_later_than_the_design_allows(margin_call: Decimal) -> None:
    found = thresholds(policy(), loan(margin_call=margin_call, liquidation="0.99"))
    assert found.trigger <= margin_call - D("0.03")
    assert found.emergency <= margin_call - D("0.01")
    assert found.trigger <= D("0.75")
    assert found.emergency <= D("0.80")
    assert found.target <= D("0.65")


def test_a_coin_that_a_pool_could_hold_and_does_not_is_none_of_its_collateral() -> None:
    held = Collateral(coin="BTC", amount=D(1), accuracy=8)
    possible = Collateral(coin="ETH", amount=D(0), accuracy=8)
    pool = replace(loan("0.6"), collateral=(held, possible))
    assert Match(collateral_coin="BTC").fits(pool)
    assert not Match(collateral_coin="ETH").fits(pool)


@pytest.mark.parametrize(("trigger", "target"), [("0.90", "0.55"), ("0.55", "0.40"), ("0.40", "0.55")])
def test_thresholds_of_a_release_that_is_off_are_put_in_order(trigger: str, target: str) -> None:
    """Nobody checks them then, and a rescue is measured by them all the same: it must not starve."""
    release = ReduceRule(enabled=False, trigger_ltv=Decimal(trigger), target_ltv=Decimal(target))
    add = AddRule(trigger_ltv=Decimal("0.30"), target_ltv=Decimal("0.25"))
    found = thresholds(LoanPolicy(add=add, reduce=release), loan())
    assert 0 < found.release_trigger < found.release_target < found.target < found.trigger
    usual = thresholds(LoanPolicy(reduce=release), loan())
    assert 0 < usual.release_trigger < usual.release_target < usual.target
