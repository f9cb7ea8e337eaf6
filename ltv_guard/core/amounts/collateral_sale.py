"""Repaying a pool's debt with its own collateral: how much of which coin, and what that does. Pure.

With debt D and counted collateral C, repaying x (all USD) with a coin of the marginal ratio r at the fee f
leaves (D - x) / (C - r x (1 + f)): it helps most with the coin of the lowest ratio
(v5/new-crypto-loan/flexible/repay-collateral).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.model.loans import Collateral, Debt

MOST_USD = Decimal(300_000)  # in one repayment: 148047 (v5/error)
HALVINGS = 40
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralSale:
    """`amount` coins of a debt, repaid with `sold` of the collateral; `cost` is the fee, in the debt's coin.

    `needed` coins bring the loan to its target; infinite where no amount does that.
    """

    coin: str
    collateral: str
    needed: Decimal
    amount: Decimal
    sold: Decimal
    ltv_after: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One debt of a pool, and the collateral that would pay it. Prices are USD a coin."""

    model: LtvModel
    debt: Debt
    held: Collateral
    debt_price: Decimal
    price: Decimal
    fee: Decimal

    def sold(self, repaid: Decimal) -> Decimal:
        return whole_steps_up(repaid * self.debt_price * (1 + self.fee) / self.price, self.held.step)

    def ltv_after(self, repaid: Decimal) -> Decimal:
        lighter = self.model.with_debt_less(self.debt.coin, repaid)
        return lighter.ltv_after(self.model.gain(self.held, -self.sold(repaid)))

    @property
    def most(self) -> Decimal:
        """Coins of the debt that all of the collateral would pay, up to what one repayment may be worth."""
        worth = self.held.amount * self.price / (1 + self.fee)
        step = Decimal(1).scaleb(-self.debt.accuracy)
        return whole_steps(min(self.debt.amount, min(worth, MOST_USD) / self.debt_price), step)


def sale_of(
    model: LtvModel, debt: Debt, held: Collateral, target: Decimal, fee: Decimal
) -> CollateralSale | None:
    """What repaying `debt` with `held` would do, to the target or as far as it goes; None: not, or worse.

    `fee` is a part of 1.
    """
    prices = model.prices or {}
    debt_price, price = prices.get(debt.coin, ZERO), prices.get(held.coin, ZERO)
    if debt_price <= 0 or price <= 0 or held.amount <= 0 or debt.unread or not model.measures(held):
        return None
    pair = _Pair(model=model, debt=debt, held=held, debt_price=debt_price, price=price, fee=fee)
    amount, is_enough = _smallest(pair, target)
    after = pair.ltv_after(amount)
    if amount <= 0 or after >= model.loan.ltv:
        return None
    return CollateralSale(
        coin=debt.coin,
        collateral=held.coin,
        needed=amount if is_enough else Decimal("Infinity"),
        amount=amount,
        sold=pair.sold(amount),
        ltv_after=after,
        cost=amount * fee,
    )


def _smallest(pair: _Pair, target: Decimal) -> tuple[Decimal, bool]:
    """The least that brings it to the target, and whether any does; otherwise the most that can be repaid."""
    low, high = ZERO, pair.most
    if high <= 0 or pair.ltv_after(high) > target:
        return high, False
    step = Decimal(1).scaleb(-pair.debt.accuracy)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if pair.ltv_after(middle) <= target else (middle, high)
    return whole_steps_up(high, step), True
