"""How a loan stands to its thresholds: worked out once, and carried with its facts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ltv_guard.core.model.loans import Loan
from ltv_guard.core.model.policy import Thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Urgency:
    """The thresholds that hold for a loan, and which of them it has reached.

    `breach`: it is at or above its trigger. `at_emergency`: it shows an emergency LTV; `emergency`: that is
    believed as well, so that neither reserve, daily cap nor cooldown hold.
    """

    limits: Thresholds
    breach: bool
    at_emergency: bool
    emergency: bool


def urgency_of(loan: Loan, limits: Thresholds, *, lifts: bool) -> Urgency:
    """`lifts`: whether an emergency LTV is believed."""
    at_emergency = loan.ltv >= limits.emergency
    return Urgency(
        limits=limits,
        breach=loan.ltv >= limits.trigger,
        at_emergency=at_emergency,
        emergency=at_emergency and lifts,
    )
