"""A loan as it will be shown once the adjustments that are under way have landed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Loan

Prices = Mapping[str, Decimal]


def once_landed(loan: Loan, intents: Iterable[Intent], prices: Prices | None) -> Loan:
    """At unchanged prices. What the loan shows already, or what can't be measured, changes nothing."""
    for item in intents:
        held, model = loan.collateral_in(item.coin), LtvModel(loan=loan, prices=prices)
        if held is None or model.is_blind:
            continue
        if item.direction is Direction.ADD and held.amount <= item.coins_before:
            loan = model.with_change(item.coin, item.amount)
        elif item.direction is Direction.REDUCE and held.amount >= item.coins_before:
            loan = model.with_change(item.coin, -item.amount)
    return loan
