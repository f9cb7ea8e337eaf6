"""Loans that the journal tells of and that nothing has shown since the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.guard.state.loan_registry import LoanRegistry


@dataclass(frozen=True, slots=True)
class RecalledLoans:
    """Who was adjusted lately may stand on a page that was not read yet.

    `trigger_ltv`: that of the account's own policy. Which override is for a loan only its data would tell.
    """

    intents: IntentBook
    registry: LoanRegistry
    trigger_ltv: Decimal

    def gaps(self, product: Product) -> Mapping[LoanKey, Decimal]:
        """Each, and the part by which prices could fall before its trigger, after its last adjustment."""
        return {
            key: self._gap(key)
            for key in self.intents.loans
            if key.product is product and key not in self.registry.keys
        }

    def _gap(self, key: LoanKey) -> Decimal:
        last = max(self.intents.of_loan(key), key=lambda item: item.updated_at_ms)
        ltv = last.ltv_before if last.ltv_after is None else last.ltv_after
        return self.trigger_ltv / ltv - 1 if ltv > 0 else Decimal("Infinity")
