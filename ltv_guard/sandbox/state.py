"""The whole state of a sandbox as JSON: what GET /sandbox/state answers."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from ltv_guard.sandbox.accounts import Account, Loan
from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.orders import Order
from ltv_guard.sandbox.records import Adjustment, Repayment, Transfer


def jsonable(value: Any) -> Any:  # noqa: ANN401 anything that the books hold
    """Turns the books' own types into JSON: Decimals as plain strings, records as objects."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def state_of(exchange: Exchange, *, wire: bool = True) -> dict[str, Any]:
    """Describe everything, at this moment. Amounts in coins as strings, times in ms or s as named."""
    now = exchange.look()
    ledger, market = exchange.ledger, exchange.market
    state = {
        "scenario": exchange.scenario.name,
        "time_ms": now.time_ms,
        "clock_offset_ms": exchange.clock.offset_ms,
        "elapsed_s": now.real_s,
        "started": market.began_s is not None,
        "market_s": now.market_s,
        "market_length_s": market.length_s,
        "speed_up": market.plan.speed_up,
        "ended": now.market_s >= market.length_s,
        "prices": now.prices,
        "users": {user: _account(account, now) for user, account in ledger.accounts.items()},
        "adjustments": [_row(row, now) for row in ledger.adjustments],
        "effects": [_row(row, now) for row in ledger.effects],
        "repayments": [_row(row, now) for row in ledger.repayments],
        "transfers": [_row(row, now) for row in ledger.transfers.values()],
        "liquidations": ledger.liquidations,
        "col_res": ledger.col_res,
        "closed_collateral": sorted(ledger.closed_coins),
        "violations": dict(exchange.limits.violations),
        "requests": dict(exchange.requests),
        "callers": dict(exchange.callers),
        "faults": exchange.faults.state(),
    }
    if wire:
        state |= {"writes": list(exchange.writes), "reads": list(exchange.reads)}
    found: dict[str, Any] = jsonable(state)
    return found


def _account(account: Account, now: Moment) -> dict[str, Any]:
    return {
        "member_id": account.member_id,
        "funding": account.wallets["FUND"],
        "unified": account.wallets["UNIFIED"],
        "orders": [_loan(order, now) for order in account.orders.values()],
        "pool": _loan(account.pool, now) if account.pool else None,
    }


def _loan(loan: Loan, now: Moment) -> dict[str, Any]:
    common = {
        "loan_id": loan.loan_id,
        "product": loan.product,
        "status": loan.status,
        "ltv": loan.ltv(now.prices) if loan.status == "open" else None,
        "peak_ltv": loan.peak_ltv,
        "trough_ltv": loan.trough_ltv,
        "liquidation_ltv": loan.liquidation_ltv,
        "debts": dict(loan.debts()),
        "debt_usd": loan.debt_usd(now.prices),
        "collateral": loan.holdings(),
    }
    if isinstance(loan, Order):
        split = {"principal": loan.debt, "interest": loan.interest, "penalty": loan.penalty}
        coins = {"loan_coin": loan.loan_coin, "collateral_coin": loan.collateral_coin}
        return {**common, **split, **coins, "margin_call_ltv": loan.terms.margin_call_ltv}
    return {**common, "collateral_usd": loan.collateral_usd(now.prices), "supply": loan.supply}


def _row(row: Adjustment | Repayment | Transfer, now: Moment) -> dict[str, Any]:
    """Writes ids as strings: many readers of JSON round whole numbers of this size."""
    found: dict[str, Any] = jsonable(row)
    ids = {name: str(found[name]) for name in ("adjust_id", "repay_id") if name in found}
    return found | ids | {"visible": row.visible_from_s <= now.real_s}
