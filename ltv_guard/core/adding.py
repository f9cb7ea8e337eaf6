"""Which coin is added to a loan in rescue, and how much; or what is short. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.decisions import Cause, Decision
from ltv_guard.core.loans import Direction
from ltv_guard.core.needs import Need
from ltv_guard.core.offers import Offer, best_of, most_lacked, offers
from ltv_guard.core.purse import Purse
from ltv_guard.core.yardstick import Yardstick, shown


def decide_add(need: Need, purse: Purse) -> Decision:
    """The best that can be added now, or (SHORT) why nothing can."""
    yard = need.yard
    every = offers(need.facts, yard, need.value, purse, emergency=need.emergency)
    # What is too little for an adjustment of its own is no help.
    funds = sum((offer.reach for offer in every if offer.reach >= need.least), Decimal(0))
    best = best_of(every)
    decision = Decision(
        loan=need.loan,
        policy=need.facts.policy,
        cause=Cause.BREACH,
        reason=need.reason,
        held_back=tuple(note for offer in every for note in offer.held_back),
        reachable_ltv=shown(yard.ltv_after(min(need.value, funds))),
    )
    if best is None:
        return replace(decision, cause=Cause.SHORT, reason=f"{need.reason}, but no coin can be added")
    lacking = most_lacked(every) if funds < need.value else best
    decision = replace(
        decision,
        coin=best.held.coin,
        missing=missing_coins(yard, lacking, need.value - funds),
        reason=f"{need.reason}: {_what_is_needed(best)} to {need.limits.target:f}",
    )
    if best.gain < need.least or best.amount < best.held.step:
        why = "; ".join(decision.held_back) or "nothing to add"
        return replace(
            decision, cause=Cause.SHORT, coin=lacking.held.coin, reason=f"{decision.reason}, but {why}"
        )
    purse.take(best.held.coin, best.ceiling)
    return replace(decision, direction=Direction.ADD, amount=best.amount, ceiling=best.ceiling)


def missing_coins(yard: Yardstick, offer: Offer, short: Decimal) -> Decimal:
    """Coins lacking beyond what the offer brings; 0 if nothing is short, infinite if no amount would do."""
    if short <= 0:
        return Decimal(0)
    return yard.to_gain(offer.held, offer.reach + short) - yard.to_gain(offer.held, offer.reach)


def _what_is_needed(offer: Offer) -> str:
    if offer.needed.is_finite():
        return f"{offer.needed:f} {offer.held.coin} bring it"
    return f"no amount of {offer.held.coin} by itself brings it"
