"""An order and a pool whose amounts say one LTV, and that show another."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from core_builders import D, loan

from ltv_guard.core.model.loans import Collateral, Loan, LoanKey, Product, Totals
from ltv_guard.core.model.tiers import Tier


def an_order(ltv: Decimal, shown: Decimal | None = None) -> Loan:
    """An order whose amounts say `ltv`, and that shows `shown`."""
    return loan(ltv if shown is None else shown, debt=ltv * 50_000)


def a_pool(ltv: Decimal, shown: Decimal | None = None) -> Loan:
    value = D(45_000)
    held = Collateral(
        coin="BTC", amount=D(1), accuracy=8, value_usd=value, tiers=(Tier(ratio=D("0.9"), lower=D(0)),)
    )
    return replace(
        an_order(ltv, shown),
        key=LoanKey(Product.CRYPTO_LOAN, "pool"),
        collateral=(held,),
        totals=Totals(debt_usd=ltv * value, collateral_usd=value),
    )
