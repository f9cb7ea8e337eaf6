"""The payloads of loans: exact books in, the documented strings and numbers out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ltv_guard.sandbox.market import Prices
from ltv_guard.sandbox.orders import Order
from ltv_guard.sandbox.pool import Pool
from ltv_guard.sandbox.records import Adjustment, Direction, Repayment
from ltv_guard.sandbox.refusals import LEGACY

Payload = dict[str, Any]
NO_COINS: Mapping[str, str] = {}
CENTS = Decimal("0.01")
LEGACY_LTV, POOL_LTV = Decimal("0.0001"), Decimal("0.000001")


def plain(number: Decimal) -> str:
    """Writes a number without exponent and without idle zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(number: Decimal, step: Decimal) -> str:
    """A number to the step, half up; one without end as 9999."""
    if not number.is_finite():
        return "9999"
    return format(number.quantize(step, ROUND_HALF_UP), "f")


def quoted_ltv(ltv: Decimal, product: str) -> str:
    """An LTV rounded as the product does: four decimals for an order, six for a pool."""
    return rounded(ltv, LEGACY_LTV if product == LEGACY else POOL_LTV)


def order_row(order: Order, prices: Prices) -> Payload:
    """A row of v5/crypto-loan/ongoing-orders."""
    return {
        "collateralAmount": plain(order.collateral),
        "collateralCurrency": order.collateral_coin,
        "currentLTV": quoted_ltv(order.ltv(prices), LEGACY),
        "expirationTime": "" if order.expires_ms is None else str(order.expires_ms),
        "hourlyInterestRate": plain(order.hourly_rate),
        "loanCurrency": order.loan_coin,
        "loanTerm": order.term,
        "orderId": order.loan_id,
        "residualInterest": plain(order.interest),
        "residualPenaltyInterest": plain(order.penalty),
        "totalDebt": plain(order.debt),
    }


def position(
    pool: Pool | None, prices: Prices, col_res: str, coin_col_res: Mapping[str, str] = NO_COINS
) -> Payload:
    """The pool; an account without one has empty lists and zeros."""
    if pool is None or pool.status != "open":
        empty = {"ltv": "", "totalCollateral": "0", "totalDebt": "0", "totalSupply": "0"}
        return {"borrowList": [], "collateralList": [], "supplyList": [], **empty, "colRes": col_res}
    return {
        "borrowList": [_debt_row(pool, coin, prices) for coin in {**pool.flexible, **pool.fixed_debts()}],
        "collateralList": [
            {
                "currency": coin,
                "amount": plain(amount),
                "amountUSD": rounded(pool.counted_usd(coin, prices), CENTS),
                **({"colRes": coin_col_res[coin]} if coin in coin_col_res else {}),
            }
            for coin, amount in pool.collateral.items()
        ],
        "ltv": quoted_ltv(pool.ltv(prices), pool.product),
        "supplyList": [
            {"currency": coin, "amount": plain(amount), "amountUSD": rounded(amount * prices[coin], CENTS)}
            for coin, amount in pool.supply.items()
        ],
        "totalCollateral": rounded(pool.collateral_usd(prices), CENTS),
        "totalDebt": rounded(pool.debt_usd(prices), CENTS),
        "totalSupply": rounded(
            sum((amount * prices[coin] for coin, amount in pool.supply.items()), Decimal(0)), CENTS
        ),
        "colRes": col_res,
    }


def with_worth_of(found: Payload, before: Payload) -> Payload:
    """A position whose totals, and what each coin of its collateral counts for, are those of another."""
    counted = {row["currency"]: row["amountUSD"] for row in before["collateralList"]}
    rows = [{**row, "amountUSD": counted.get(row["currency"], "0")} for row in found["collateralList"]]
    totals = {name: before[name] for name in ("totalCollateral", "totalDebt")}
    return {**found, **totals, "collateralList": rows}


def _debt_row(pool: Pool, coin: str, prices: Prices) -> Payload:
    flexible, fixed = pool.flexible.get(coin, Decimal(0)), pool.fixed_debts().get(coin, Decimal(0))
    return {
        "loanCurrency": coin,
        "flexibleTotalDebt": plain(flexible),
        "flexibleTotalDebtUSD": rounded(flexible * prices[coin], CENTS),
        "fixedTotalDebt": plain(fixed),
        "fixedTotalDebtUSD": rounded(fixed * prices[coin], CENTS),
        "flexibleHourlyInterestRate": plain(pool.hourly_rate),
    }


def adjustment_row(row: Adjustment, codes: Mapping[Direction, str]) -> Payload:
    """A row of the history; `codes` are the directions' on the wire."""
    shared = {
        "preLTV": quoted_ltv(row.ltv_before, row.product),
        "afterLTV": quoted_ltv(row.ltv_after, row.product),
        "amount": plain(row.amount),
        "collateralCurrency": row.coin,
        "direction": int(codes[row.direction]),
    }
    if row.product == LEGACY:
        ids = {"adjustId": str(row.adjust_id), "adjustTime": str(row.time_ms), "orderId": row.loan_id}
        return {**ids, **shared}
    return {"adjustId": row.adjust_id, "adjustTime": row.time_ms, **shared, "status": row.status}


def repayment_row(row: Repayment) -> Payload:
    """A row of v5/crypto-loan/repay-transaction."""
    shared = {
        "loanCurrency": row.coin,
        "repayAmount": plain(row.amount),
        "repayId": str(row.repay_id),
        "repayStatus": row.status,
        "repayType": row.kind,
    }
    if row.product != LEGACY:
        return {**shared, "repayTime": row.time_ms}
    return {
        **shared,
        "collateralCurrency": row.collateral_coin,
        "collateralReturn": plain(row.collateral_returned),
        "loanTerm": row.term,
        "orderId": row.loan_id,
        "repayTime": str(row.time_ms),
    }


def borrowed_row(order: Order) -> Payload:
    """A row of v5/crypto-loan/borrow-history: an order that has ended, 1 repaid or 2 liquidated."""
    return {
        "orderId": order.loan_id,
        "loanCurrency": order.loan_coin,
        "collateralCurrency": order.collateral_coin,
        "loanTerm": order.term,
        "status": 2 if order.status == "liquidated" else 1,
    }
