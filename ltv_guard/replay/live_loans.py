"""Loans as the exchange shows them now, as loans at the start of a replay: the same coins, the same LTV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ltv_guard.core.model.loans import Loan
from ltv_guard.replay.loan_spec import ORDER_LINES, POOL_LINES, LoanSpec


def why_left_out(loan: Loan, prices: Mapping[str, Decimal]) -> str | None:
    """Why a loan can't be replayed; None: it can. `prices`: USD a coin."""
    owed = [debt for debt in loan.debts if debt.amount > 0]
    if not owed or not loan.ltv:
        return "it owes nothing"
    if any(item.unread for item in loan.collateral) or any(debt.unread for debt in loan.debts):
        return "some of its coins could not be read"
    unpriced = sorted({debt.coin for debt in owed} - set(prices))
    if unpriced:
        return f"the exchange has no price of {unpriced[0]}"
    if loan.ltv >= loan.liquidation_ltv:
        return f"its LTV of {loan.ltv:f} is that of its liquidation"
    return None


def specs_of(loans: Iterable[Loan], prices: Mapping[str, Decimal]) -> list[LoanSpec]:
    """Those that can be replayed. Prices of another time change a debt in coins, for its LTV is kept.

    A fixed loan's end belongs to another time, too, and is left out. `prices`: USD a coin.
    """
    return [_spec(loan, prices) for loan in loans if why_left_out(loan, prices) is None]


def _spec(loan: Loan, prices: Mapping[str, Decimal]) -> LoanSpec:
    held = [item for item in loan.collateral if item.amount > 0]
    usual = POOL_LINES if loan.is_pool else ORDER_LINES
    return LoanSpec(
        key=loan.key,
        collateral={item.coin: item.amount for item in held},
        debts={debt.coin: debt.amount * prices[debt.coin] for debt in loan.debts if debt.amount > 0},
        start_ltv=loan.ltv,
        initial_ltv=min(usual[0], loan.margin_call_ltv),
        margin_call_ltv=loan.margin_call_ltv,
        liquidation_ltv=loan.liquidation_ltv,
        tiers={item.coin: item.tiers for item in loan.collateral} if loan.is_pool else {},
        accuracy={item.coin: item.accuracy for item in loan.collateral}
        | {debt.coin: debt.accuracy for debt in loan.debts},
    )
