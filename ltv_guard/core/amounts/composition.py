"""What a loan's LTV is made of: an order's one coin, or a pool's USD after haircuts. Pure.

The two products differ here and nowhere else: all else asks a `Composition`, which `composition_of` picks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from ltv_guard.core.amounts.haircuts import Holding
from ltv_guard.core.amounts.order_composition import OrderComposition
from ltv_guard.core.amounts.pool_composition import PoolComposition
from ltv_guard.core.model.loans import Collateral, Debt, Loan, Totals

Prices = Mapping[str, Decimal]


class Composition(Protocol):
    """One loan. Values are in coins of an order's collateral, or in USD of a pool's. Prices: USD a coin."""

    @property
    def sized_by_prices(self) -> bool:
        """Whether amounts need prices. Where they don't, coins alone tell how far an LTV was moved."""

    @property
    def total(self) -> Decimal:
        """What all of the collateral counts for."""

    @property
    def quoted_to(self) -> Decimal:
        """What its LTV is rounded to."""

    @property
    def rounding(self) -> Decimal:
        """What its totals may be off by, for being rounded."""

    def holding(self, held: Collateral, prices: Prices | None) -> Holding | None:
        """What the coin counts for; None where that is not known."""

    def with_collateral(self, change: Decimal) -> Totals | None:
        """Its totals once the collateral counts for so much more."""

    def with_debt(self, share: Decimal) -> Totals | None:
        """Its totals once only this share of the debt is left."""

    def to_repay(self, debt: Debt, share: Decimal, prices: Prices) -> Decimal:
        """Coins of `debt` that come to this share of all that is owed; infinite without a price."""

    def share_of_debt(self, coin: str, coins: Decimal, prices: Prices) -> Decimal:
        """The share of all that is owed that these coins come to."""

    def repaid(self, coin: str, amount: Decimal, before: Decimal, prices: Prices) -> tuple[Decimal, Decimal]:
        """What was owed in all before `amount` of `before` coins was repaid, and what is shown now."""

    def debt(self, prices: Prices | None) -> Decimal | None:
        """What is owed; None where that is not known."""

    def own_ltvs(self, prices: Prices | None) -> list[Decimal]:
        """The LTVs that its own numbers come to; none where they tell nothing."""

    def outvotes(self, own: list[Decimal]) -> bool:
        """Whether `own_ltvs` are enough to believe them against the LTV that is shown."""

    def implied_ltvs(self, coin: str, prices: Prices | None) -> list[Decimal]:
        """Debt over collateral at market prices, by all that `coin` may count for; none without prices."""

    def implied_prices(self) -> dict[str, Decimal]:
        """Coin -> USD a coin, as its own numbers tell it."""


def composition_of(loan: Loan) -> Composition:
    """What the loan's LTV is made of: as an order, or as a pool."""
    return OrderComposition(loan) if loan.totals is None else PoolComposition(loan, loan.totals)


def is_one_sized_by_prices(loans: Iterable[Loan]) -> bool:
    """Whether amounts of any of them need prices: all orders are alike in that, and all pools."""
    one_of_each = {loan.totals is None: loan for loan in loans}
    return any(composition_of(loan).sized_by_prices for loan in one_of_each.values())
