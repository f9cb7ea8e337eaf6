"""How near liquidation a loan is by prices of now, as it was read a while ago. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ltv_guard.core.model.loans import Loan
from ltv_guard.core.watch.pair_lines import pair_of, ratio_of


def repricing(loan: Loan, then: Mapping[str, Decimal], now: Mapping[str, Decimal]) -> Decimal:
    """The factor by which an order's LTV moved as its two prices did; 1 for a pool, and where one lacks."""
    pair = pair_of(loan)
    if pair is None:
        return Decimal(1)
    before, after = ratio_of(pair, then), ratio_of(pair, now)
    return before / after if before and after else Decimal(1)
