"""The LTV of an order: one coin's debt over one coin's collateral. No price is needed to move it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.haircuts import Holding
from ltv_guard.core.amounts.rounding import QUOTED_TO
from ltv_guard.core.amounts.worth import worth
from ltv_guard.core.model.loans import Collateral, Debt, Loan

Prices = Mapping[str, Decimal]
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class OrderComposition:
    """Implements `Composition`. An adjustment leaves LTV x collateral as it is: all is in coins."""

    loan: Loan

    @property
    def sized_by_prices(self) -> bool:
        return False

    @property
    def total(self) -> Decimal:
        return self._held.amount

    @property
    def quoted_to(self) -> Decimal:
        return QUOTED_TO

    @property
    def rounding(self) -> Decimal:
        return ZERO

    @property
    def _held(self) -> Collateral:
        return self.loan.collateral[0]

    def holding(self, held: Collateral, prices: Prices | None) -> Holding | None:  # noqa: ARG002 - a pool's
        return Holding(amount=held.amount, price_usd=Decimal(1))

    def with_collateral(self, change: Decimal) -> None:
        """It has no totals."""

    def with_debt(self, share: Decimal) -> None:
        """It has no totals."""

    def to_repay(self, debt: Debt, share: Decimal, prices: Prices) -> Decimal:  # noqa: ARG002 - a pool's
        return debt.amount * share

    def share_of_debt(self, coin: str, coins: Decimal, prices: Prices) -> Decimal:  # noqa: ARG002 - a pool's
        debt = self.loan.debt_in(coin)
        return coins / debt.amount if debt is not None and debt.amount > 0 else ZERO

    def repaid(self, coin: str, amount: Decimal, before: Decimal, prices: Prices) -> tuple[Decimal, Decimal]:  # noqa: ARG002 - a pool's
        debt = self.loan.debt_in(coin)
        return before, debt.amount if debt is not None else ZERO

    def debt(self, prices: Prices | None) -> Decimal | None:
        """Coins of its collateral that the debt is worth."""
        own = self.own_ltvs(prices)
        return own[0] * self._held.amount if own else None

    def own_ltvs(self, prices: Prices | None) -> list[Decimal]:
        """Its debt over its collateral at market prices."""
        return self.implied_ltvs(self._held.coin, prices)

    def outvotes(self, own: list[Decimal]) -> bool:
        """An LTV of 0 alone is odd beyond doubt: its sums may be as wrong as its LTV."""
        return self.loan.ltv == 0 and bool(own)

    def implied_ltvs(self, coin: str, prices: Prices | None) -> list[Decimal]:  # noqa: ARG002 - it has but one
        if prices is None:
            return []
        debt = worth(self.loan.debts, prices)
        value = worth([item for item in self.loan.collateral if item.amount > 0], prices)
        return [debt / value] if value is not None and value > 0 and debt is not None and debt > 0 else []

    def implied_prices(self) -> dict[str, Decimal]:
        """None: its LTV is of two coins that are both priced by the market."""
        return {}
