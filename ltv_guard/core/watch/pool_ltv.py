"""The LTV that prices imply of a pool, from what was last read of it. No I/O.

Each coin counts as it did when the pool was read, as its price moves. Where a price falls, a tier's haircut
may shrink: the true LTV is then a little lower, and the pool is looked at a little early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.model.loans import Loan, LoanKey, Totals
from ltv_guard.core.watch.watched import Watched

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Sum:
    """USD: so much whatever the prices do, and so many coins that count at their prices."""

    fixed: Decimal
    coins: Mapping[str, Decimal]

    def at(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """USD at these prices; None where one of them lacks."""
        if not self.coins.keys() <= prices.keys():
            return None
        return self.fixed + sum((coins * prices[coin] for coin, coins in self.coins.items()), ZERO)


@dataclass(slots=True)
class PoolLtv:
    """Mutable, owned by one trigger index: one way to reckon, and whether the trigger is reached by it."""

    key: LoanKey
    trigger: Decimal
    debt: Sum
    collateral: Sum
    reached: bool = False

    @property
    def coins(self) -> tuple[str, ...]:
        """The coins whose prices move it."""
        return (*self.debt.coins, *self.collateral.coins)

    def ltv(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """The LTV at these prices; None where one of them lacks."""
        debt, collateral = self.debt.at(prices), self.collateral.at(prices)
        return None if debt is None or not collateral else debt / collateral

    def move(self, prices: Mapping[str, Decimal]) -> list[LoanKey]:
        """Its key where its trigger is reached now, and was not before."""
        ltv = self.ltv(prices)
        if ltv is None:
            return []
        before, self.reached = self.reached, ltv >= self.trigger
        return [self.key] if self.reached and not before else []

    def slack(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """The factor by which the LTV may change before `move` has to be asked again."""
        ltv = self.ltv(prices)
        if not ltv:
            return None
        return max(Decimal(1), ltv / self.trigger if self.reached else self.trigger / ltv)

    def gap(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """The part by which the collateral may lose value before the trigger; negative beyond it."""
        ltv = self.ltv(prices)
        return None if not ltv else self.trigger / ltv - 1


def ways_to_reckon(item: Watched) -> list[PoolLtv]:
    """By the prices that the position itself implies, and by those at which it was read, where known."""
    loan = item.loan
    if loan.totals is None or loan.totals.collateral_usd <= 0:
        return []
    own = _collateral(loan, loan.totals, composition_of(loan).implied_prices())
    amounts = {debt.coin: debt.amount for debt in loan.debts if debt.amount > 0 and not debt.unread}
    ways = [PoolLtv(loan.key, item.trigger, Sum(ZERO, amounts), own)]
    read = _as_read(item, loan.totals, amounts)
    for way in [*ways, *read]:
        way.move(item.told.prices)  # what stands beyond its trigger already is no crossing
    return [*ways, *read]


def _as_read(item: Watched, totals: Totals, amounts: Mapping[str, Decimal]) -> list[PoolLtv]:
    prices = item.told.prices
    priced = {coin: amount for coin, amount in amounts.items() if coin in prices}
    worth = sum((amount * prices[coin] for coin, amount in priced.items()), ZERO)
    rest = max(ZERO, totals.debt_usd - worth) if len(priced) < len(amounts) else ZERO
    collateral = _collateral(item.loan, totals, prices)
    if not 0 < item.loan.ltv < item.trigger or worth + rest <= 0:
        return []
    # So that it comes to the LTV that was read, whatever the exchange reckons with.
    scale = item.loan.ltv * totals.collateral_usd / (worth + rest)
    debt = Sum(rest * scale, {coin: amount * scale for coin, amount in priced.items()})
    return [PoolLtv(item.loan.key, item.trigger, debt, collateral)]


def _collateral(loan: Loan, totals: Totals, prices: Mapping[str, Decimal]) -> Sum:
    """What each coin counts for, as coins at its price; as USD where it has none."""
    coins = {
        held.coin: held.value_usd / prices[held.coin]
        for held in loan.collateral
        if held.value_usd and prices.get(held.coin)
    }
    known = sum((held.value_usd or ZERO for held in loan.collateral if held.coin in coins), ZERO)
    return Sum(max(ZERO, totals.collateral_usd - known), coins)
