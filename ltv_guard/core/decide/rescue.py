"""What may be done for a loan while an intent of it is open: nothing, but for one rescue add. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel, shown
from ltv_guard.core.amounts.rounding import whole_steps
from ltv_guard.core.decide.add import missing_coins, worded
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange, LoanFacts, hold
from ltv_guard.core.decide.options import best_of, top_up_options
from ltv_guard.core.decide.saveable import why_lost
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.decide.transfer import decide_transfer
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Loan
from ltv_guard.core.model.policy import Thresholds


def decide_beside_open_intents(facts: LoanFacts, limits: Thresholds, budget: FundsBudget) -> Decision:
    """An open intent blocks its loan, but for one add: too much can be undone, too little can't.

    An open release never blocks an add. An add whose window is over, and whose end the history does not
    tell, allows one more at or above the emergency LTV, small enough for both to land. So does a repayment.
    The coins for it may be moved here before: that does nothing to the loan.
    """
    first = facts.open_intents[0]
    landed = replace(facts, loan=_as_if_released(facts.loan, first, budget))
    loan = landed.loan
    breach = loan.ltv >= limits.trigger
    emergency = facts.lifts and loan.ltv >= limits.emergency
    waiting = hold(
        facts,
        Cause.OPEN_INTENT,
        f"waiting for intent {first.intent_id} to settle",
        breach=breach,
        emergency=emergency,
    )
    model = LtvModel(loan=loan, prices=budget.prices)
    if breach and (facts.rescued or any(item.rescue_of is not None for item in facts.open_intents)):
        why = f"intent {first.intent_id} is {first.state}, and the loan has had its one rescue"
        return hold(facts, Cause.RESCUED, why, breach=True, emergency=emergency)
    alone = len(facts.open_intents) == 1 and first.rescue_of is None
    blind = budget.unread or model.is_blind
    if not alone or blind or first.state not in {State.UNKNOWN, State.ACCEPTED}:
        return waiting
    released = first.direction is Direction.REDUCE and breach
    rescue = None
    need = Shortfall(facts=landed, limits=limits, model=model, value=model.missing(limits.target))
    if why_lost(need, budget) is not None:
        return waiting
    if released or (emergency and facts.window_over):
        room = _room_above_release(facts.loan, limits, budget, first)
        rescue = _rescue(landed, limits, budget, model, first, room)
    if rescue is None and (released or emergency):
        rescue = _coins_for_a_rescue(landed, limits, budget, model, waiting)
    return replace(rescue, loan=facts.loan) if rescue is not None else waiting


def _coins_for_a_rescue(
    facts: LoanFacts, limits: Thresholds, budget: FundsBudget, model: LtvModel, waiting: Decision
) -> Decision | None:
    """The transfer that a rescue add would need, were it to come; none where it can be made without."""
    need = Shortfall(facts=facts, limits=limits, model=model, value=model.missing(limits.target))
    best = best_of(top_up_options(facts, model, need.value, budget, emergency=need.emergency))
    if best is not None and best.gain >= need.least:
        return None
    moved = decide_transfer(need, budget, waiting)
    if moved.direction is not Direction.TRANSFER:
        return None
    held = facts.loan.collateral_in(moved.coin or "")
    step = held.step if held is not None else Decimal(0)
    amount = moved.amount * _share_before(facts.loan, facts.open_intents[0])
    amount = whole_steps(amount, step) if step else amount
    return replace(moved, amount=amount, ceiling=amount) if amount > 0 else None


def _share_before(loan: Loan, first: Intent) -> Decimal:
    """What an open add has left of the collateral that its coins are shown in: its LTV may be from before.

    New coins beside an old LTV ask for that much more than is needed.
    """
    held = loan.collateral_in(first.coin)
    if first.direction is not Direction.ADD or held is None or not 0 < first.coins_before < held.amount:
        return Decimal(1)
    return min(Decimal(1), max(first.coins_before, held.amount - first.amount) / held.amount)


def _rescue(
    facts: LoanFacts, limits: Thresholds, budget: FundsBudget, model: LtvModel, first: Intent, room: Decimal
) -> Decision | None:
    """The one rescue add. It gains no more than `room`, whatever else lands."""
    loan = facts.loan
    need = model.missing(limits.target)
    emergency = facts.lifts and loan.ltv >= limits.emergency
    every = top_up_options(facts, model, need, budget, emergency=emergency)
    best = best_of(every)
    if best is None:
        return None
    most = model.at_most(best.held, room) - best.held.step
    amount = whole_steps(min(best.amount, most), best.held.step)
    least = model.total * facts.policy.limits.min_adjustment_ratio
    if amount < best.held.step or model.gain(best.held, amount) < least:
        return None
    ceiling = min(best.ceiling, most)
    budget.take(best.held.coin, ceiling)
    rescue = Decision(
        loan=loan,
        policy=facts.policy,
        cause=Cause.RESCUE,
        reason=f"LTV {loan.ltv:f} while intent {first.intent_id} is {first.state}: one rescue add",
        direction=Direction.ADD,
        coin=best.held.coin,
        amount=amount,
        ceiling=ceiling,
        breach=True,
        emergency=emergency,
        held_back=best.held_back,
        rescue_of=first.intent_id,
        episode=None if facts.episode_open else EpisodeChange.OPENS,
    )
    funds = sum((option.reach for option in every), Decimal(0))
    return worded(
        rescue,
        lambda: replace(
            rescue,
            reachable_ltv=shown(model.ltv_after(model.gain(best.held, amount))),
            missing=missing_coins(model, best, need - funds),
        ),
    )


def _as_if_released(loan: Loan, first: Intent, budget: FundsBudget) -> Loan:
    """The loan once an open release has landed; as it is shown otherwise."""
    held = loan.collateral_in(first.coin)
    if first.direction is not Direction.REDUCE or held is None:
        return loan
    if held.amount <= first.coins_before - first.amount or held.amount <= first.amount:
        return loan
    model = LtvModel(loan=loan, prices=budget.prices)
    return loan if model.is_blind else model.with_change(first.coin, -first.amount)


def _room_above_release(loan: Loan, limits: Thresholds, budget: FundsBudget, first: Intent) -> Decimal:
    """What can be added to the loan as it is shown for its LTV to stay above the release trigger.

    An open add (repayment) may land on top of it; an open release that never lands leaves what is shown.
    """
    model = LtvModel(loan=loan, prices=budget.prices)
    if first.direction is Direction.REPAY:
        return model.with_debt_less(first.coin, first.amount).room_above(limits.release_trigger)
    held = loan.collateral_in(first.coin)
    pending = Decimal(0)
    if held is not None and first.direction is Direction.ADD:
        pending = model.most_gain(held, first.amount)
    return max(Decimal(0), model.room_above(limits.release_trigger) - pending)
