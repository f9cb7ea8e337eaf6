"""What LTVs a loan's own amounts come to at market prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ltv_guard.core.amounts.haircuts import Holding, Unit, counted_usd
from ltv_guard.core.model.loans import Collateral, Debt, Loan


def implied_ltvs(loan: Loan, prices: Mapping[str, Decimal] | None, coin: str) -> list[Decimal]:
    """Debt over collateral at market prices; none where a price is missing.

    In a pool `coin` counts as its tiers may be read, which can make two; the other coins for what is shown.
    """
    if prices is None:
        return []
    held = [item for item in loan.collateral if item.amount > 0]
    if loan.totals is None:
        debt, value = _worth(loan.debts, prices), _worth(held, prices)
        values = [] if value is None else [value]
    else:
        # An adjustment does not touch what is owed: where a debt has no price, what is shown of it will do.
        debt = _worth(loan.debts, prices) or loan.totals.debt_usd
        if any(item.unread or item.value_usd is None for item in loan.collateral if item.coin != coin):
            return []
        others = sum((item.value_usd or Decimal(0) for item in held if item.coin != coin), Decimal(0))
        own = next((item for item in held if item.coin == coin), None)
        values = [others + value for value in _counted(own, prices)]
    return [debt / value for value in values if value > 0 and debt is not None and debt > 0]


def _worth(items: Sequence[Collateral | Debt], prices: Mapping[str, Decimal]) -> Decimal | None:
    """USD of all of them; None where a price, or an amount, is missing."""
    if any(isinstance(item, Debt) and item.unread for item in items):
        return None
    if not {item.coin for item in items} <= prices.keys():
        return None
    return sum((item.amount * prices[item.coin] for item in items), Decimal(0))


def _counted(held: Collateral | None, prices: Mapping[str, Decimal]) -> list[Decimal]:
    """What the coins may count for in a pool; nothing where their price or terms are missing."""
    if held is None:
        return [Decimal(0)]
    if prices.get(held.coin, Decimal(0)) <= 0 or not held.tiers:
        return []
    holding = Holding(amount=held.amount, price_usd=prices[held.coin], tiers=held.tiers)
    return [counted_usd(holding, held.amount, unit) for unit in Unit]
