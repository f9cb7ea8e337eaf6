"""A loan as it is at the start of a replay. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.model.tiers import FLAT, Tier

ACCURACY = 8
ORDER_LINES = (Decimal("0.8"), Decimal("0.87"), Decimal("0.95"))
POOL_LINES = (Decimal("0.8"), Decimal("0.85"), Decimal("0.92"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanSpec:
    """Amounts in coins. `hourly_rate` is charged on what is owed at each whole hour since the start.

    `start_ltv`: instead of debts, which are worked out from it at the first prices; `debts` are then how much
    of them is in which coin, by value: of one coin anything. `tiers` count
    coins, by collateral coin; without any a coin counts in full. An order that is not repaid at
    `expires_at_ms` pays three times the interest, and is liquidated 48 h later.
    """

    key: LoanKey
    collateral: Mapping[str, Decimal]
    debts: Mapping[str, Decimal]
    start_ltv: Decimal | None = None
    hourly_rate: Decimal = Decimal(0)
    expires_at_ms: int | None = None
    initial_ltv: Decimal
    margin_call_ltv: Decimal
    liquidation_ltv: Decimal
    tiers: Mapping[str, tuple[Tier, ...]] = field(default_factory=dict)
    accuracy: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_pool(self) -> bool:
        """Whether it has many coins, haircuts and one LTV; else it is a legacy order."""
        return self.key.product is Product.CRYPTO_LOAN

    @property
    def debt_shares(self) -> dict[str, Decimal]:
        """What part of all that is owed is in which coin, where `start_ltv` says how much that is."""
        whole = sum(self.debts.values(), Decimal(0))
        return {coin: worth / whole if whole else Decimal(1) for coin, worth in self.debts.items()}

    def tiers_of(self, coin: str) -> tuple[Tier, ...]:
        """The coin's ratios of collateral that counts; all of it where the file names none."""
        return self.tiers.get(coin, FLAT)

    def accuracy_of(self, coin: str) -> int:
        """Decimals that the exchange takes of the coin."""
        return self.accuracy.get(coin, ACCURACY)
