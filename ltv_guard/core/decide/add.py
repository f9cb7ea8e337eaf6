"""Which coin is added to a loan in rescue, and how much; or what is short. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import Yardstick, shown
from ltv_guard.core.decide.budget import Purse
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.options import Offer, best_of, most_lacked, offers
from ltv_guard.core.decide.shortfall import Need
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.reconcile.plausibility import STEPS


def decide_add(need: Need, purse: Purse) -> Decision:
    """The best that can be added now, or (SHORT) why nothing can. What is said of it costs nothing of it."""
    every = offers(need.facts, need.yard, need.value, purse, emergency=need.emergency)
    best = best_of(every)
    decision = Decision(
        loan=need.loan,
        policy=need.facts.policy,
        cause=Cause.SHORT,
        reason=need.reason,
        held_back=tuple(note for offer in every for note in offer.held_back),
        defects=tuple(offer.defect for offer in every if offer.defect is not None),
    )
    if best is not None and _is_worth_a_call(best, need):
        purse.take(best.held.coin, best.ceiling)
        decision = replace(
            decision,
            cause=Cause.BREACH,
            direction=Direction.ADD,
            coin=best.held.coin,
            amount=best.amount,
            ceiling=best.ceiling,
        )
    return worded(decision, lambda: _explained(decision, need, every, best))


def worded(decision: Decision, explained: Callable[[], Decision]) -> Decision:
    """The decision with its words; without them where an error of ours is in the words."""
    found = attempt("the words for a decision", explained)
    if isinstance(found, Defect):
        return replace(decision, defects=(*decision.defects, found))
    return found


def _is_worth_a_call(best: Offer, need: Need) -> bool:
    least = need.least / STEPS if best.is_a_step else need.least
    return best.gain >= least and best.amount >= best.held.step


def _explained(decision: Decision, need: Need, every: Sequence[Offer], best: Offer | None) -> Decision:
    yard = need.yard
    # What is too little for an adjustment of its own is no help.
    funds = sum((offer.reach for offer in every if offer.reach >= need.least), Decimal(0))
    decision = replace(decision, reachable_ltv=shown(yard.ltv_after(min(need.value, funds))))
    if best is None:
        return replace(decision, reason=f"{need.reason}, but no coin can be added")
    lacking = most_lacked(every) if funds < need.value else best
    reason = f"{need.reason}: {_what_is_needed(best)} to {need.limits.target:f}"
    if not decision.acts:
        why = "; ".join(decision.held_back) or "nothing to add"
        decision = replace(decision, coin=lacking.held.coin)
        reason = f"{reason}, but {why}"
    missing = missing_coins(yard, lacking, need.value - funds)
    return replace(decision, missing=missing, reason=reason)


def missing_coins(yard: Yardstick, offer: Offer, short: Decimal) -> Decimal:
    """Coins lacking beyond what the offer brings; 0 if nothing is short, infinite if no amount would do."""
    if short <= 0:
        return Decimal(0)
    needed = yard.to_gain(offer.held, offer.reach + short)
    return needed - yard.to_gain(offer.held, offer.reach) if needed.is_finite() else needed


def _what_is_needed(offer: Offer) -> str:
    if offer.needed.is_finite():
        return f"{offer.needed:f} {offer.held.coin} bring it"
    return f"no amount of {offer.held.coin} by itself brings it"
