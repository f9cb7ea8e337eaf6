"""What a loan in rescue needs: how far it is from its target, and how urgent it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.decide.reason import Because, Reason
from ltv_guard.core.decide.urgency import Urgency
from ltv_guard.core.model.loans import Collateral, Loan
from ltv_guard.core.model.policy import Thresholds
from ltv_guard.core.reconcile.plausibility import Bearing, careful_need


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One loan in rescue. `value` is what has to be added, on the LTV model's scale; 0 at the target.

    `urgency` is that of the loan as the model has it: shown, or as it will be once what is open has landed.
    """

    facts: LoanFacts
    urgency: Urgency
    model: LtvModel
    value: Decimal

    @property
    def loan(self) -> Loan:
        """The loan as it is shown."""
        return self.facts.loan

    @property
    def limits(self) -> Thresholds:
        """The thresholds that hold for it."""
        return self.urgency.limits

    @property
    def emergency(self) -> bool:
        """Whether the loan is at its emergency LTV, and that is believed."""
        return self.urgency.emergency

    @property
    def candidates(self) -> list[Collateral]:
        """The coins that could help it, most wanted first."""
        return self.facts.candidates

    @property
    def least(self) -> Decimal:
        """The least value (the model's scale) that is worth a call. What ends a breach always is."""
        return min(self.least_in_calm, self.value) if self.urgency.breach else self.least_in_calm

    @property
    def least_in_calm(self) -> Decimal:
        """The same, but for the exception of a breach."""
        return self.model.total * self.facts.policy.limits.min_adjustment_ratio

    @property
    def is_met(self) -> bool:
        """Whether the loan is at its target."""
        return self.value <= 0 or self.value < self.least

    def because(self, kind: Because) -> Reason:
        """A reason that tells how urgent it is."""
        return Reason(kind=kind, ltv=self.loan.ltv, limits=self.limits, emergency=self.emergency)


def need_of(facts: LoanFacts, model: LtvModel) -> Shortfall:
    """What the loan needs; carefully, where its LTV, amounts and prices contradict each other."""
    limits = facts.urgency.limits
    value = model.missing(limits.target)
    if facts.bearing is Bearing.CONTRADICTED:
        careful = careful_need(model.loan, model.prices, target=limits.target, lowest=limits.release_trigger)
        value = min(value, careful) if model.loan.ltv >= model.loan.liquidation_ltv else careful
    return Shortfall(facts=facts, urgency=facts.urgency, model=model, value=value)
