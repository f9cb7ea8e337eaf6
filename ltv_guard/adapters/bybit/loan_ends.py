"""How a loan ended, as the exchange lists it: repaid, or liquidated. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ltv_guard.adapters.bybit.fields import Row, as_row, moment, rows
from ltv_guard.core.model.loan_book import LoanEnd

ORDER_ENDS = {
    "1": LoanEnd(liquidated=False, words="the exchange lists it as repaid"),
    "2": LoanEnd(liquidated=True, words="the exchange lists it as liquidated"),
}
REPAYMENT_TYPES = {
    "1": "by the user",
    "2": "by liquidation",
    "5": "by delisting",
    "6": "by delayed liquidation",
    "7": "with collateral",
}
OF_FIXED_LOANS = {
    **REPAYMENT_TYPES,
    "3": "automatic",
    "4": "for being overdue",
    "8": "by turning flexible",
}
LIQUIDATIONS = {"2", "4", "6"}


def parse_end(result: Row, order_id: str) -> LoanEnd | None:
    """How an order ended (v5/crypto-loan/completed-loan-order): status 1 repaid, 2 liquidated.

    None where it is not listed, or has another status. Raises MalformedPayload.
    """
    for row in rows(result, "list"):
        if not isinstance(row, Mapping):
            continue
        if str(row.get("orderId")) == order_id and str(row.get("status")) in ORDER_ENDS:
            return ORDER_ENDS[str(row["status"])]
    return None


def parse_last_repayment(
    result: Row, since_ms: int, types: Mapping[str, str] = REPAYMENT_TYPES
) -> LoanEnd | None:
    """What the latest repayment since `since_ms` was by (v5/new-crypto-loan/flexible/repay-orders).

    `types`: what the list has. None where there is none, or of a type that tells no end. Raises
    MalformedPayload.
    """
    dated = [
        (moment(row, "repayTime"), str(row.get("repayType"))) for row in map(as_row, rows(result, "list"))
    ]
    latest = max((pair for pair in dated if pair[0] >= since_ms), default=None)
    if latest is None or latest[1] not in types:
        return None
    words = f"its last repayment was {types[latest[1]]} (repayType {latest[1]})"
    return LoanEnd(liquidated=latest[1] in LIQUIDATIONS, words=words)
