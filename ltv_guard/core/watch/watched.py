"""A loan, the LTV at which it is helped, and the prices at which it was read. Pure value."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ltv_guard.core.model.loans import Loan
from ltv_guard.core.watch.told_prices import NOT_TOLD, PricesThen


class Watched(NamedTuple):
    """A protected loan as it was last read, and its trigger.

    `told`: prices, as they were told at the moment at which it was asked for, as far as they are known.
    A tuple, for a thousand of them are made in each cycle.
    """

    loan: Loan
    trigger: Decimal
    told: PricesThen = NOT_TOLD

    @property
    def gap(self) -> Decimal:
        """The part by which prices may fall before its LTV is at its trigger; negative beyond it."""
        return self.trigger / self.loan.ltv - 1 if self.loan.ltv > 0 else Decimal("Infinity")
