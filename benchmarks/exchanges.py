"""What the server does otherwise than the sandbox, so that its own work stays out of the figures."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from ltv_guard.sandbox import Exchange, payloads
from ltv_guard.sandbox.calls import Call
from ltv_guard.sandbox.market import Moment

ORDERS = "/v5/crypto-loan/ongoing-orders"
LOOKS_S = Decimal("0.05")


class UnhurriedExchange(Exchange):
    """Nothing happens by itself: no interest, no liquidation, so that no tick walks through all loans."""

    def look(self) -> Moment:
        return self.moment()


class StormyExchange(Exchange):
    """Loans are liquidated, as they are in the sandbox; all are walked through 20 times a second at most."""

    def look(self) -> Moment:
        moment = self.moment()
        return super().look() if moment.real_s - self._looked_s >= LOOKS_S else moment


def answer_orders(exchange: Exchange, call: Call, moment: Moment) -> dict[str, Any]:
    """Answer as the sandbox does, but write only the rows of the page."""
    orders = exchange.ledger.accounts[call.user].open_orders()
    for name, attribute in (
        ("orderId", "loan_id"),
        ("loanCurrency", "loan_coin"),
        ("collateralCurrency", "collateral_coin"),
    ):
        if wanted := call.optional(name):
            orders = [order for order in orders if getattr(order, attribute) == wanted]
    cursor, limit = call.optional("cursor"), call.number("limit", 10)
    # The order that the cursor names may be gone by now. The newest come first, and have the highest ids.
    begin = sum(int(order.loan_id) >= int(cursor) for order in orders) if cursor else 0
    shown = orders[begin : begin + limit]
    more = len(orders) > begin + limit
    rows = [payloads.order_row(order, moment.prices) for order in shown]
    return {"list": rows, "nextPageCursor": shown[-1].loan_id if more else ""}


def shows_breach(answer: bytes, loan_id: str, trigger: Decimal) -> bool:
    """Whether an answer has a row of that order with an LTV at or above its trigger."""
    if b'"currentLTV"' not in answer:
        return False
    rows = json.loads(answer)["result"].get("list", [])
    return any(row["orderId"] == loan_id and Decimal(row["currentLTV"]) >= trigger for row in rows)
