"""What a loan in rescue needs: how far it is from its target, and how urgent it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.decide.decision import LoanFacts
from ltv_guard.core.decide.urgency import is_breach, is_emergency
from ltv_guard.core.model.loans import Loan
from ltv_guard.core.model.policy import Thresholds
from ltv_guard.core.reconcile.plausibility import Bearing, careful_need


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One loan in rescue. `value` is what has to be added, on the LTV model's scale; 0 at the target."""

    facts: LoanFacts
    limits: Thresholds
    model: LtvModel
    value: Decimal

    @property
    def loan(self) -> Loan:
        return self.facts.loan

    @property
    def breach(self) -> bool:
        return is_breach(self.facts, self.limits)

    @property
    def emergency(self) -> bool:
        """Whether neither reserve, daily cap nor cooldown hold: an emergency LTV that is believed."""
        return is_emergency(self.facts, self.limits)

    @property
    def least(self) -> Decimal:
        """The least that is worth a call. What ends a breach always is."""
        least = self.model.total * self.facts.policy.limits.min_adjustment_ratio
        return min(least, self.value) if self.breach else least

    @property
    def is_met(self) -> bool:
        return self.value <= 0 or self.value < self.least

    @property
    def reason(self) -> str:
        urgency = "emergency: " if self.emergency else ""
        return f"{urgency}LTV {self.loan.ltv:f} against a trigger of {self.limits.trigger:f}"


def need_of(facts: LoanFacts, limits: Thresholds, model: LtvModel) -> Shortfall:
    """What the loan needs; carefully, where its LTV, amounts and prices contradict each other."""
    value = model.missing(limits.target)
    if facts.bearing is Bearing.CONTRADICTED:
        careful = careful_need(model.loan, model.prices, target=limits.target, lowest=limits.release_trigger)
        value = min(value, careful) if model.loan.ltv >= model.loan.liquidation_ltv else careful
    return Shortfall(facts=facts, limits=limits, model=model, value=value)
