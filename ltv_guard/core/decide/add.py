"""Which coin is added to a loan in rescue, and how much; or what is short. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel, shown
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.options import TopUpOption, best_of, most_lacked, top_up_options
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.reconcile.plausibility import STEPS


def decide_add(need: Shortfall, budget: FundsBudget) -> Decision:
    """The best that can be added now, or (SHORT) why nothing can. What is said of it costs nothing of it."""
    every = top_up_options(need.facts, need.model, need.value, budget, emergency=need.emergency)
    best = best_of(every)
    decision = Decision(
        loan=need.loan,
        policy=need.facts.policy,
        cause=Cause.SHORT,
        reason=need.reason,
        held_back=tuple(note for option in every for note in option.held_back),
        defects=tuple(option.defect for option in every if option.defect is not None),
    )
    if best is not None and _is_worth_a_call(best, need):
        budget.take(best.held.coin, best.ceiling)
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


def _is_worth_a_call(best: TopUpOption, need: Shortfall) -> bool:
    least = need.least / STEPS if best.is_a_step else need.least
    return best.gain >= least and best.amount >= best.held.step


def _explained(
    decision: Decision, need: Shortfall, every: Sequence[TopUpOption], best: TopUpOption | None
) -> Decision:
    model = need.model
    # What is too little for an adjustment of its own is no help.
    funds = sum((option.reach for option in every if option.reach >= need.least), Decimal(0))
    decision = replace(decision, reachable_ltv=shown(model.ltv_after(min(need.value, funds))))
    if best is None:
        return replace(decision, reason=f"{need.reason}, but no coin can be added")
    lacking = most_lacked(every) if funds < need.value else best
    reason = f"{need.reason}: {_what_is_needed(best)} to {need.limits.target:f}"
    if not decision.acts:
        why = "; ".join(decision.held_back) or "nothing to add"
        decision = replace(decision, coin=lacking.held.coin)
        reason = f"{reason}, but {why}"
    missing = missing_coins(model, lacking, need.value - funds)
    return replace(decision, missing=missing, reason=reason)


def missing_coins(model: LtvModel, option: TopUpOption, short: Decimal) -> Decimal:
    """Coins lacking beyond what the option brings; 0 if nothing is short, infinite if no amount would do."""
    if short <= 0:
        return Decimal(0)
    needed = model.to_gain(option.held, option.reach + short)
    return needed - model.to_gain(option.held, option.reach) if needed.is_finite() else needed


def _what_is_needed(option: TopUpOption) -> str:
    if option.needed.is_finite():
        return f"{option.needed:f} {option.held.coin} bring it"
    return f"no amount of {option.held.coin} by itself brings it"
