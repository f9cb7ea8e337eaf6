"""Repayments with collateral whose charge is not told yet, and the prices that they were planned by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import Intent

NONE: Mapping[str, Decimal] = {}


@dataclass(slots=True)
class SaleTracker:
    """Mutable, owned by one guard. Prices are USD a coin; those of an earlier process are not known."""

    _landed: dict[str, Intent] = field(default_factory=dict)
    _prices: dict[str, Mapping[str, Decimal]] = field(default_factory=dict)

    @property
    def landed(self) -> Collection[Intent]:
        """Those that are known to have landed."""
        return tuple(self._landed.values())

    def note_prices(self, intent: Intent, prices: Mapping[str, Decimal] | None) -> None:
        """What the two coins of a repayment with collateral were worth when it was planned."""
        if intent.collateral_coin is not None:
            coins = (intent.coin, intent.collateral_coin)
            self._prices[intent.intent_id] = {
                coin: price for coin in coins if (price := (prices or {}).get(coin))
            }

    def prices_of(self, intent: Intent) -> Mapping[str, Decimal]:
        """Those; none where they were not read."""
        return self._prices.get(intent.intent_id, NONE)

    def has_landed(self, intent: Intent) -> None:
        """What it took is to be told once the loan is shown with it."""
        if intent.collateral_coin is not None:
            self._landed[intent.intent_id] = intent

    def forget(self, intent_ids: Collection[str]) -> None:
        """Drops what is known of these intents."""
        for intent_id in intent_ids:
            self._landed.pop(intent_id, None)
            self._prices.pop(intent_id, None)
