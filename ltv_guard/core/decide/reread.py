"""Which loans are read again at once, before anything is done on what one read has shown. Pure."""

from __future__ import annotations

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.model.loans import Loan
from ltv_guard.core.reconcile.plausibility import Bearing


def asks_for_another_read(facts: LoanFacts, decision: Decision) -> bool:
    """Whether something would be done on an LTV that the loan's own amounts and prices contradict."""
    if not facts.policy.protect:
        return False
    if facts.hides_breach or decision.cause is Cause.NOT_BORNE_OUT:
        return True
    if not (decision.breach or decision.acts):
        return False
    return facts.bearing is Bearing.CONTRADICTED or (facts.urgency.at_emergency and not facts.lifts)


def asks_for_other_prices(loan: Loan, decision: Decision, parted: frozenset[str]) -> bool:
    """Whether a price that has nothing to bear it out may size an amount of this loan. Orders need none."""
    if not composition_of(loan).sized_by_prices or not (decision.breach or decision.acts):
        return False
    coins = {held.coin for held in decision.policy.candidates(loan)} | {debt.coin for debt in loan.debts}
    return bool(coins & parted)
