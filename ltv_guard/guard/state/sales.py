"""Repayments with collateral whose charge is not told yet, and what they were planned on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Debt, Moment, Product
from ltv_guard.core.reconcile.charged_fee import Charge

NONE: Mapping[str, Decimal] = {}


@dataclass(slots=True)
class SaleTracker:
    """Mutable, owned by one guard. Prices are USD a coin; what an earlier process saw is not known."""

    _landed: dict[str, Intent] = field(default_factory=dict)
    _prices: dict[str, Mapping[str, Decimal]] = field(default_factory=dict)
    _debts: dict[str, Sequence[Debt]] = field(default_factory=dict)
    _seen: dict[str, tuple[Charge, Moment]] = field(default_factory=dict)

    @property
    def landed(self) -> Collection[Intent]:
        """Those that are known to have landed."""
        return tuple(self._landed.values())

    def note_plan(self, intent: Intent, prices: Mapping[str, Decimal] | None, debts: Sequence[Debt]) -> None:
        """What the two coins of a repayment with collateral were worth then, and what its loan owed."""
        if intent.collateral_coin is not None:
            self._debts[intent.intent_id] = debts
            coins = (intent.coin, intent.collateral_coin)
            self._prices[intent.intent_id] = {
                coin: price for coin in coins if (price := (prices or {}).get(coin))
            }

    def prices_of(self, intent: Intent) -> Mapping[str, Decimal]:
        """Those; none where they were not read."""
        return self._prices.get(intent.intent_id, NONE)

    def debts_of(self, intent: Intent) -> Sequence[Debt]:
        """What its loan owed by then; none where that is not known."""
        return self._debts.get(intent.intent_id, ())

    def saw(self, intent: Intent, charge: Charge | None, at: Moment) -> None:
        """What a look at `at` says of its charge; None: that it can't be told."""
        before = self.charge_of(intent)
        if charge is None:
            self._seen.pop(intent.intent_id, None)
        elif before is None or before[0].sold != charge.sold:
            self._seen[intent.intent_id] = (charge, at)

    def charge_of(self, intent: Intent) -> tuple[Charge, Moment] | None:
        """Its charge by the first look that showed as much sold as the last one, and when that was."""
        return self._seen.get(intent.intent_id)

    @property
    def doubted(self) -> Collection[Product]:
        """Of which products a charge waits for what else their histories may tell."""
        return {self._landed[name].key.product for name in self._seen if name in self._landed}

    def has_landed(self, intent: Intent) -> None:
        """What it took is to be told once the loan is shown with it."""
        if intent.collateral_coin is not None:
            self._landed[intent.intent_id] = intent

    def forget(self, intent_ids: Collection[str]) -> None:
        """Drops what is known of these intents."""
        for intent_id in intent_ids:
            for noted in (self._landed, self._prices, self._debts, self._seen):
                noted.pop(intent_id, None)
