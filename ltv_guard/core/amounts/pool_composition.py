"""The LTV of a pool: USD of all debts over USD of all collateral, by prices and tiers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.amounts.haircuts import Holding, Unit, counted_usd, units_told
from ltv_guard.core.amounts.implied_price import implied_price
from ltv_guard.core.amounts.rounding import POOL_QUOTED_TO
from ltv_guard.core.amounts.worth import worth
from ltv_guard.core.model.loans import Collateral, Debt, Loan, Totals
from ltv_guard.core.model.tiers import UNBOUNDED

Prices = Mapping[str, Decimal]
CENTS = Decimal("0.02")  # a pool's totals are quoted in cents, each rounded
LEAST_USD = Decimal(10)  # what counts for less is rounded too much to tell a price
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class PoolComposition:
    """Implements `Composition`."""

    loan: Loan
    totals: Totals

    @property
    def sized_by_prices(self) -> bool:
        return True

    @property
    def total(self) -> Decimal:
        return self.totals.collateral_usd

    @property
    def quoted_to(self) -> Decimal:
        return POOL_QUOTED_TO

    @property
    def rounding(self) -> Decimal:
        return CENTS

    def holding(self, held: Collateral, prices: Prices | None) -> Holding | None:
        holding = _as_shown(held, prices or {})
        return None if holding is None else replace(holding, units=self._units(prices or {}))

    def _units(self, prices: Prices) -> tuple[Unit, ...]:
        """How the exchange reads tiers, as far as all that is in the pool tells."""
        shown = (_as_shown(item, prices) for item in self.loan.collateral)
        return units_told(holding for holding in shown if holding is not None)

    def with_collateral(self, change: Decimal) -> Totals:
        return replace(self.totals, collateral_usd=self.totals.collateral_usd + change)

    def with_debt(self, share: Decimal) -> Totals:
        return replace(self.totals, debt_usd=self.totals.debt_usd * share)

    def to_repay(self, debt: Debt, share: Decimal, prices: Prices) -> Decimal:
        price = prices.get(debt.coin, ZERO)
        return (self.totals.debt_usd * share + CENTS) / price if price > 0 else UNBOUNDED

    def share_of_debt(self, coin: str, coins: Decimal, prices: Prices) -> Decimal:
        """Where the coin has no price, as if all were owed in it: the most that it can come to."""
        price, debt = prices.get(coin, ZERO), self.loan.debt_in(coin)
        if price > 0 and self.totals.debt_usd > 0:
            return coins * price / self.totals.debt_usd
        return coins / debt.amount if debt is not None and debt.amount > 0 else ZERO

    def repaid(self, coin: str, amount: Decimal, before: Decimal, prices: Prices) -> tuple[Decimal, Decimal]:  # noqa: ARG002 - an order's
        """Without its price the debt counts as if it were the pool's only one: it may not seem unmoved."""
        after, debt = self.totals.debt_usd, self.loan.debt_in(coin)
        owed = debt.amount if debt is not None else ZERO
        price = prices.get(coin) or (after / owed if owed > 0 else ZERO)
        return after + amount * price, after

    def debt(self, prices: Prices | None) -> Decimal | None:  # noqa: ARG002 - an order's
        return self.totals.debt_usd if self.totals.debt_usd > 0 else None

    def own_ltvs(self, prices: Prices | None) -> list[Decimal]:  # noqa: ARG002 - an order's
        """Its two totals, and what is owed over the sum of what its coins count for."""
        counted = [item.value_usd for item in self.loan.collateral if item.amount > 0]
        known = [value for value in counted if value is not None]
        values = [self.totals.collateral_usd]
        if len(known) == len(counted):
            values.append(sum(known, ZERO))
        return [self.totals.debt_usd / value for value in values if value > 0 and self.totals.debt_usd > 0]

    def outvotes(self, own: list[Decimal]) -> bool:
        """Two sums stand against one number."""
        return len(own) > 1

    def implied_ltvs(self, coin: str, prices: Prices | None) -> list[Decimal]:
        """`coin` counts as its tiers may be read, which can make two; the other coins for what is shown."""
        if prices is None:
            return []
        # An adjustment does not touch what is owed: where a debt has no price, what is shown of it will do.
        debt = worth(self.loan.debts, prices) or self.totals.debt_usd
        if any(item.unread or item.value_usd is None for item in self.loan.collateral if item.coin != coin):
            return []
        held = [item for item in self.loan.collateral if item.amount > 0]
        others = sum((item.value_usd or ZERO for item in held if item.coin != coin), ZERO)
        own = next((item for item in held if item.coin == coin), None)
        values = [others + value for value in _counted(own, prices)]
        return [debt / value for value in values if value > 0 and debt > 0]

    def implied_prices(self) -> dict[str, Decimal]:
        """What it says that a coin counts for, less the haircut; what is owed, where that is one coin."""
        prices = {}
        owed = {debt.coin: debt.amount for debt in self.loan.debts}
        if len(owed) == 1 and self.totals.debt_usd >= LEAST_USD:
            ((coin, amount),) = owed.items()
            if amount > 0:
                prices[coin] = self.totals.debt_usd / amount
        for held in self.loan.collateral:
            counts = held.value_usd is not None and held.value_usd >= LEAST_USD
            price = implied_price(held) if counts else None
            if price is not None:
                prices[held.coin] = price
        return prices


def _as_shown(held: Collateral, prices: Prices) -> Holding | None:
    if not held.tiers and held.value_usd is not None and held.amount > 0 and held.value_usd > 0:
        # No terms: more of it counts as what is held of it does.
        return Holding(amount=held.amount, price_usd=held.value_usd / held.amount)
    price = prices.get(held.coin)
    if price is None or price <= 0 or not held.tiers:
        return None
    return Holding(amount=held.amount, price_usd=price, tiers=held.tiers, shown_usd=held.value_usd)


def _counted(held: Collateral | None, prices: Prices) -> list[Decimal]:
    """What the coins may count for; nothing where their price or terms are missing."""
    if held is None:
        return [ZERO]
    if prices.get(held.coin, ZERO) <= 0 or not held.tiers:
        return []
    holding = Holding(amount=held.amount, price_usd=prices[held.coin], tiers=held.tiers)
    return [counted_usd(holding, held.amount, unit) for unit in Unit]
