"""A loan's collateral on one scale, whether it is one coin or a pool of many. Pure.

The scale of an order is its one coin: no price is needed, for an adjustment leaves LTV x collateral as it is.
The scale of a pool is USD after haircuts, by the prices and tiers of its coins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ltv_guard.core.amounts.composition import Composition, composition_of
from ltv_guard.core.amounts.haircuts import (
    Holding,
    coins_at_most,
    coins_toward,
    coins_within,
    coins_worth,
    gain_usd,
    most_gain_usd,
)
from ltv_guard.core.amounts.rounding import QUOTED_TO, whole_steps, whole_steps_up
from ltv_guard.core.model.loans import IMPLAUSIBLE_LTV, Collateral, Debt, Loan
from ltv_guard.core.model.tiers import UNBOUNDED

HIGHEST_LTV = IMPLAUSIBLE_LTV - QUOTED_TO
SHOWN = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class LtvModel:
    """Measures one loan. `prices` are USD per coin; an order does without.

    Values are in coins of an order's collateral, or in USD of a pool's after haircuts: the model's scale.
    """

    loan: Loan
    prices: Mapping[str, Decimal] | None = None
    _of: Composition = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_of", composition_of(self.loan))

    @property
    def total(self) -> Decimal:
        """What all of the collateral counts for."""
        return self._of.total

    @property
    def is_blind(self) -> bool:
        """Whether prices are missing that it can't do without."""
        return self._of.sized_by_prices and self.prices is None

    @property
    def highest_ltv(self) -> Decimal:
        """What the true LTV may be at most: the quoted one is rounded."""
        return self.loan.ltv + self._of.quoted_to

    def missing(self, target: Decimal) -> Decimal:
        """What has to be added to bring the LTV to at most `target`; 0 if it is there."""
        return max(Decimal(0), self.total * (self.highest_ltv / target - 1) + self._of.rounding)

    def spare(self, target: Decimal) -> Decimal:
        """What may be taken out for the LTV to rise to at most `target`; 0 if nothing."""
        return max(Decimal(0), self.total * (1 - self.highest_ltv / target) - self._of.rounding)

    def room_above(self, lowest: Decimal) -> Decimal:
        """What can be added for the LTV to stay above `lowest`."""
        return max(
            Decimal(0), self.total * ((self.loan.ltv - self._of.quoted_to) / lowest - 1) - self._of.rounding
        )

    def ltv_after(self, change: Decimal) -> Decimal:
        """The LTV once the collateral counts for `change` more (or less), at unchanged prices."""
        after = self.total + change
        return self.loan.ltv * self.total / after if after > 0 else Decimal("Infinity")

    def to_gain(self, held: Collateral, value: Decimal) -> Decimal:
        """Coins, rounded up, that count for `value` more; infinite where none of that coin would."""
        holding = self._holding(held)
        coins = coins_worth(holding, value) if holding is not None else UNBOUNDED
        return whole_steps_up(coins, held.step) if coins.is_finite() else coins

    def toward(self, held: Collateral, value: Decimal) -> Decimal:
        """Coins, rounded up, that count for `value` more, or for as much of it as that coin ever will."""
        holding = self._holding(held)
        return whole_steps_up(coins_toward(holding, value), held.step) if holding is not None else Decimal(0)

    def measures(self, held: Collateral) -> bool:
        """Whether it is known what the coin counts for: it has a price and terms."""
        return self._holding(held) is not None

    def at_most(self, held: Collateral, value: Decimal) -> Decimal:
        """Coins, rounded down, that count for no more than `value`."""
        holding = self._holding(held)
        coins = coins_at_most(holding, value) if holding is not None else Decimal(0)
        return whole_steps(coins, held.step) if coins.is_finite() else coins

    def to_lose(self, held: Collateral, value: Decimal) -> Decimal:
        """Coins, rounded down, without which it counts for no more than `value` less; at most all of them."""
        holding = self._holding(held)
        coins = coins_within(holding, value) if holding is not None else Decimal(0)
        return whole_steps(min(coins, held.amount), held.step)

    def gain(self, held: Collateral, coins: Decimal) -> Decimal:
        """What `coins` more (negative: fewer) count for, at the least that the tiers promise."""
        holding = self._holding(held)
        if holding is None or coins == 0:
            return Decimal(0)
        return gain_usd(holding, max(coins, -held.amount))

    def most_gain(self, held: Collateral, coins: Decimal) -> Decimal:
        """The same, at the most."""
        holding = self._holding(held)
        return most_gain_usd(holding, coins) if holding is not None else Decimal(0)

    def with_change(self, coin: str, coins: Decimal) -> Loan:
        """The loan as it will be shown once `coins` more (negative: fewer) of `coin` secure it."""
        held = self.loan.collateral_in(coin)
        if held is None:
            return self.loan
        change = self.gain(held, coins)
        after = replace(
            held,
            amount=held.amount + coins,
            value_usd=None if held.value_usd is None else max(Decimal(0), held.value_usd + change),
        )
        return replace(
            self.loan,
            ltv=min(self.ltv_after(change), HIGHEST_LTV),
            collateral=tuple(after if item.coin == coin else item for item in self.loan.collateral),
            totals=self._of.with_collateral(change),
        )

    def to_repay(self, debt: Debt, target: Decimal) -> Decimal:
        """Coins of `debt` whose repayment lowers the LTV to at most `target`; infinite without a price.

        The LTV falls as the debt: no price is needed where all of it is in one coin.
        """
        share = max(Decimal(0), 1 - target / self.highest_ltv)
        return self._of.to_repay(debt, share, self.prices or {})

    def with_debt_less(self, coin: str, coins: Decimal) -> LtvModel:
        """The same loan once so much of the debt in `coin` is repaid; as it is where nothing is owed in it.

        Where it has no price, as if all were owed in that coin: the most that it can come to.
        """
        left = max(Decimal(0), 1 - self._of.share_of_debt(coin, coins, self.prices or {}))
        return replace(
            self, loan=replace(self.loan, ltv=self.loan.ltv * left, totals=self._of.with_debt(left))
        )

    def _holding(self, held: Collateral) -> Holding | None:
        return self._of.holding(held, self.prices)


def shown(ltv: Decimal) -> Decimal:
    """An LTV as it is told: rounded like the exchange's own."""
    return ltv.quantize(SHOWN) if ltv.is_finite() else ltv
