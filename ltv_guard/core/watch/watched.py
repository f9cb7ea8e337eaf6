"""A loan and the LTV at which it is helped. Pure value."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import Loan


@dataclass(frozen=True, slots=True)
class Watched:
    """A protected loan as it was last read, and its trigger."""

    loan: Loan
    trigger: Decimal

    @property
    def gap(self) -> Decimal:
        """The part by which prices may fall before its LTV is at its trigger; negative beyond it."""
        return self.trigger / self.loan.ltv - 1 if self.loan.ltv > 0 else Decimal("Infinity")
