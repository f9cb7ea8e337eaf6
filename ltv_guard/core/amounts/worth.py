"""What coins are worth at market prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ltv_guard.core.model.loans import Collateral, Debt


def worth(items: Sequence[Collateral | Debt], prices: Mapping[str, Decimal]) -> Decimal | None:
    """USD of all of them; None where a price, or the amount of a debt, is missing."""
    total = Decimal(0)
    for item in items:
        price = prices.get(item.coin)
        if price is None or (isinstance(item, Debt) and item.unread):
            return None
        total += item.amount * price
    return total
