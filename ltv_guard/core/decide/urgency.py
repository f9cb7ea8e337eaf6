"""How a loan stands to its thresholds: at its trigger, in rescue, resting between two rescues. Pure."""

from __future__ import annotations

from ltv_guard.core.decide.decision import LoanFacts
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.model.policy import Thresholds, thresholds


def is_breach(facts: LoanFacts, limits: Thresholds) -> bool:
    """Whether the loan is at or above its trigger."""
    return facts.loan.ltv >= limits.trigger


def is_emergency(facts: LoanFacts, limits: Thresholds) -> bool:
    """Whether it is at its emergency LTV, and that is believed: it lifts reserve, daily cap and cooldown."""
    return facts.lifts and facts.loan.ltv >= limits.emergency


def in_rescue(facts: LoanFacts, limits: Thresholds) -> bool:
    """Whether the loan is to be brought to its target: once begun, a rescue goes on until it is there."""
    return facts.episode_open or is_breach(facts, limits)


def is_resting(facts: LoanFacts) -> bool:
    """Whether the last rescue or release ended less than the cooldown ago."""
    return facts.rested_ms is not None and facts.rested_ms < facts.policy.limits.cooldown_ms


def asks(facts: LoanFacts) -> bool:
    """Whether the loan is about to be given collateral."""
    limits = thresholds(facts.policy, facts.loan)
    free = facts.policy.protect and not facts.open_intents and facts.freshness.fresh
    held_up = not facts.episode_open and not is_emergency(facts, limits) and is_resting(facts)
    return free and in_rescue(facts, limits) and not held_up


def will_ask(facts: LoanFacts) -> bool:
    """Whether it waits for an add of its own, not for long: its share of the coins is kept for it."""
    adding = facts.settling and all(item.direction is Direction.ADD for item in facts.open_intents)
    return facts.policy.protect and adding and in_rescue(facts, thresholds(facts.policy, facts.loan))


def is_at_emergency(facts: LoanFacts) -> bool:
    """Whether what is shown is an emergency LTV, believed or not."""
    return facts.policy.protect and facts.loan.ltv >= thresholds(facts.policy, facts.loan).emergency
