"""What repaying debt with collateral makes of a pool's LTV: debt and collateral both shrink. Pure.

(v5/new-crypto-loan/flexible/repay-collateral) With debt D, counted collateral C, the coin's marginal ratio r
and a fee f, repaying x USD leads from D / C to (D - x) / (C - r x (1 + f)).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.haircuts import Holding, gain_usd
from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.amounts.rounding import whole_steps
from ltv_guard.core.model.loans import Collateral

LIMIT_USD = Decimal(300_000)  # of one repayment: more is refused (148047)
NEAR_LIMIT = Decimal("0.98")  # the exchange reckons with prices of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralPayment:
    """Debt in `coin`, paid with `held`; `holding` is what that counts for.

    Prices are USD a coin, above 0; `fee` is a part of what is paid.
    """

    model: LtvModel
    coin: str
    held: Collateral
    holding: Holding
    debt_price: Decimal
    held_price: Decimal
    fee: Decimal

    def sold(self, coins: Decimal) -> Decimal:
        """Collateral coins that go for a repayment of so many coins of debt, fee included."""
        return coins * self.debt_price * (1 + self.fee) / self.held_price

    @property
    def most(self) -> Decimal:
        """Coins of debt that all of this collateral pays."""
        return self.held.amount * self.held_price / (self.debt_price * (1 + self.fee))

    @property
    def limit(self) -> Decimal:
        """Coins of debt that the exchange takes in one repayment."""
        return LIMIT_USD * NEAR_LIMIT / self.debt_price

    def cost(self, coins: Decimal) -> Decimal:
        """USD of fee for repaying so many coins."""
        return coins * self.debt_price * self.fee

    def ltv_after(self, coins: Decimal) -> Decimal:
        """The LTV once so many coins are repaid, by the least favourable reading of the tiers."""
        totals, ltv = self.model.loan.totals, self.model.loan.ltv
        if totals is None or totals.debt_usd <= 0:
            return ltv
        left = max(Decimal(0), 1 - coins * self.debt_price / totals.debt_usd)
        counted = totals.collateral_usd + gain_usd(self.holding, -min(self.sold(coins), self.held.amount))
        return ltv * left * totals.collateral_usd / counted if counted > 0 else Decimal("Infinity")

    def to_reach(self, target: Decimal, most: Decimal, step: Decimal) -> Decimal | None:
        """The fewest coins, in whole steps, that bring the LTV to at most `target`; None: `most` do not.

        The LTV falls with each coin repaid, or with none: what is left to be halved is found either way.
        """
        careful = self.model.highest_ltv / self.model.loan.ltv if self.model.loan.ltv > 0 else Decimal(1)
        few, many = 0, int(whole_steps(most, step) / step)
        if self.ltv_after(many * step) * careful > target:
            return None
        while few < many:
            middle = (few + many) // 2
            if self.ltv_after(middle * step) * careful > target:
                few = middle + 1
            else:
                many = middle
        return many * step
