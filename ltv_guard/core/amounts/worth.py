"""What coins are worth at market prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ltv_guard.core.model.loans import Collateral, Debt


def worth(items: Sequence[Collateral | Debt], prices: Mapping[str, Decimal]) -> Decimal | None:
    """USD of all of them; None where a price, or the amount of a debt, is missing."""
    if any(isinstance(item, Debt) and item.unread for item in items):
        return None
    if not {item.coin for item in items} <= prices.keys():
        return None
    return sum((item.amount * prices[item.coin] for item in items), Decimal(0))
