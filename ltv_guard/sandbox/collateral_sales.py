"""Sales of collateral: for a repayment, at which fee and what is refused; and in a liquidation."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal

from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.market import Prices
from ltv_guard.sandbox.refusals import refusal
from ltv_guard.sandbox.scenario import Scenario

ZERO = Decimal(0)


def sale_for(
    loan: Loan, coin: str, amount: Decimal, selling: tuple[str, ...], prices: Prices, scenario: Scenario
) -> dict[str, Decimal]:
    """The collateral that pays so much of a debt, fee included: the coins in the order that they were named.

    The fee is the higher of the two coins' rates. Raises Refusal where the collateral is too little, and
    148047 where the repayment is worth more than the exchange takes in one.
    """
    left = amount * prices[coin]
    if left > scenario.sale_limit_usd:
        raise refusal("sale_limit", loan.product, "Collateral repayment exceeds the limit")
    sold: dict[str, Decimal] = {}
    for collateral in selling:
        terms, held = loan.coin_terms(collateral), loan.holdings().get(collateral, ZERO)
        if held == 0 or left <= 0:
            continue
        rate = 1 + max(terms.conversion_fee, scenario.terms(coin).conversion_fee)
        step = Decimal(1).scaleb(-terms.accuracy)
        sold[collateral] = min(held, (left * rate / prices[collateral]).quantize(step, ROUND_UP))
        left -= sold[collateral] * prices[collateral] / rate
    if left > 0:
        raise refusal("balance", loan.product, "insufficient collateral amount")
    return sold


def sell_all(loan: Loan, due: Decimal, prices: Prices) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Takes all collateral out of a loan. Returns what is sold for that many USD, and what is left over."""
    sold: dict[str, Decimal] = {}
    returned: dict[str, Decimal] = {}
    holdings = loan.holdings()
    for coin in sorted(holdings, key=lambda coin: loan.coin_terms(coin).liquidation_order):
        amount = holdings[coin]
        step = Decimal(1).scaleb(-loan.coin_terms(coin).accuracy)
        sold[coin] = min(amount, (due / prices[coin]).quantize(step, ROUND_UP))
        returned[coin] = amount - sold[coin]
        due = max(due - sold[coin] * prices[coin], ZERO)
        loan.move(coin, -amount)
    return sold, returned
