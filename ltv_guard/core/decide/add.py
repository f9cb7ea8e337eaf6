"""Which coin is added to a loan in rescue, and how much; or what is short. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import shown
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit
from ltv_guard.core.decide.decision import Cause, Decision, hold
from ltv_guard.core.decide.options import ZERO, Option, best_of, notes_of
from ltv_guard.core.decide.reason import Because, Reason
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.decide.top_up import most_lacked, top_up_options
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.reconcile.plausibility import STEPS

NOTHING_TO_ADD = Constraint(kind=Limit.NOTHING_TO_ADD)


def decide_add(need: Shortfall, budget: FundsBudget) -> Decision:
    """The best that can be added now, or (SHORT) why nothing can. What is said of it costs nothing of it."""
    every = top_up_options(need, budget)
    best = best_of(every)
    decision = replace(
        hold(need.facts, Cause.SHORT, need.because(Because.NEED)),
        held_back=notes_of(every),
        defects=tuple(option.defect for option in every if option.defect is not None),
    )
    if best is not None and best.is_worth(need.least / STEPS if best.is_a_step else need.least):
        budget.take(best.coin, best.ceiling)
        decision = decision.acting(Cause.BREACH, Direction.ADD, best)
    return worded(decision, lambda: _explained(decision, need, every, best))


def worded(decision: Decision, explained: Callable[[], Decision]) -> Decision:
    """The decision with its words; without them where an error of ours is in the words."""
    found = attempt("the words for a decision", explained)
    if isinstance(found, Defect):
        return replace(decision, defects=(*decision.defects, found))
    return found


def _explained(decision: Decision, need: Shortfall, every: Sequence[Option], best: Option | None) -> Decision:
    model = need.model
    # What is too little for an adjustment of its own is no help.
    funds = sum((option.reach for option in every if option.reach >= need.least), ZERO)
    decision = replace(decision, reachable_ltv=shown(model.ltv_after(min(need.value, funds))))
    if best is None:
        return replace(decision, reason=need.because(Because.NO_COIN))
    lacking = most_lacked(every) if funds < need.value else best
    reason = _what_is_needed(need, best)
    if not decision.acts:
        decision = replace(decision, coin=lacking.coin)
        reason = replace(reason, but=decision.held_back or (NOTHING_TO_ADD,))
    missing = missing_coins(need, lacking, need.value - funds)
    return replace(decision, missing=missing, reason=reason)


def missing_coins(need: Shortfall, option: Option, short: Decimal) -> Decimal:
    """Coins lacking beyond what the option brings; 0 if nothing is short, infinite if no amount would do."""
    held = need.loan.collateral_in(option.coin)
    if short <= 0 or held is None:
        return ZERO
    needed = need.model.to_gain(held, option.reach + short)
    return needed - need.model.to_gain(held, option.reach) if needed.is_finite() else needed


def _what_is_needed(need: Shortfall, option: Option) -> Reason:
    kind = Because.ADD if option.needed.is_finite() else Because.ADD_NEVER_ENOUGH
    return replace(need.because(kind), coin=option.coin, needed=option.needed)
