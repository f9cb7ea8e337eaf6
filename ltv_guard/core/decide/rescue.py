"""What may be done for a loan while an intent of it is open: nothing, but for a rescue add. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel, shown
from ltv_guard.core.amounts.rounding import whole_steps
from ltv_guard.core.decide.add import missing_coins, worded
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange, hold
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.decide.options import Option, best_of
from ltv_guard.core.decide.reason import Because, Reason
from ltv_guard.core.decide.saveable import why_lost
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.decide.top_up import top_up_options
from ltv_guard.core.decide.transfer import decide_transfer
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Loan


def decide_beside_open_intents(facts: LoanFacts, budget: FundsBudget) -> Decision:
    """An open intent blocks its loan, but for one add: too much can be undone, too little can't.

    An open release never blocks an add, nor a further one once that has ended. Where the window of an add is
    over, and the history does not say how it ended, one more add is allowed at or above the emergency LTV. It
    is small enough for both to land. The same goes for a repayment. Coins may be moved here for it first:
    that does nothing to the loan.
    """
    first = facts.open_intents[0]
    landed = replace(facts, loan=_as_if_released(facts, first, budget))
    urgency = landed.urgency
    waiting = hold(
        facts,
        Cause.OPEN_INTENT,
        _waits_for(facts, Because.OPEN_INTENT, first),
        breach=urgency.breach,
        emergency=urgency.emergency,
    )
    if urgency.breach and _has_had_its_rescue(facts, first):
        return replace(waiting, cause=Cause.RESCUED, reason=_waits_for(facts, Because.RESCUED, first))
    alone = len(facts.open_intents) == 1 and first.rescue_of is None
    model = LtvModel(loan=landed.loan, prices=budget.prices)
    blind = budget.unread or model.is_blind
    if not alone or blind or first.state not in {State.UNKNOWN, State.ACCEPTED}:
        return waiting
    need = Shortfall(facts=landed, urgency=urgency, model=model, value=model.missing(urgency.limits.target))
    if why_lost(need, budget) is not None:
        return waiting
    return replace(_rescue_or_coins(need, facts, budget, waiting) or waiting, loan=facts.loan)


def _has_had_its_rescue(facts: LoanFacts, first: Intent) -> bool:
    """Whether no further one may leave. Beside a release it may once the last has ended, and is shown."""
    if any(item.rescue_of is not None for item in facts.open_intents):
        return True
    may_go_on = first.direction is Direction.REDUCE and facts.freshness.fresh
    return bool(facts.rescues) and (not may_go_on or facts.rescues[-1].is_open)


def _rescue_or_coins(
    need: Shortfall, facts: LoanFacts, budget: FundsBudget, waiting: Decision
) -> Decision | None:
    """The one add, or the coins for it; None where neither may be. `facts` are those of the loan as shown."""
    first = facts.open_intents[0]
    released = first.direction is Direction.REDUCE and need.urgency.breach
    rescue = None
    if released or (need.emergency and facts.window_over):
        rescue = _rescue(need, budget, first, _room_above_release(facts, budget, first))
    if rescue is None and (released or need.emergency):
        rescue = _coins_for_a_rescue(need, budget, waiting)
    return rescue


def _waits_for(facts: LoanFacts, kind: Because, intent: Intent) -> Reason:
    return replace(facts.because(kind), intent=intent)


def _coins_for_a_rescue(need: Shortfall, budget: FundsBudget, waiting: Decision) -> Decision | None:
    """The transfer that a rescue add would need, were it to come; none where it can be made without."""
    best = best_of(top_up_options(need, budget))
    if best is not None and best.gain >= need.least:
        return None
    moved = decide_transfer(need, budget, waiting)
    if moved.direction is not Direction.TRANSFER:
        return None
    held = need.loan.collateral_in(moved.coin or "")
    step = held.step if held is not None else Decimal(0)
    amount = moved.amount * _share_before(need.loan, need.facts.open_intents[0])
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


def _rescue(need: Shortfall, budget: FundsBudget, first: Intent, room: Decimal) -> Decision | None:
    """The one rescue add. It gains no more than `room`, whatever else lands."""
    every = top_up_options(need, budget)
    best = best_of(every)
    option = None if best is None else _within_room(need, best, room)
    if best is None or option is None:
        return None
    budget.take(option.coin, option.ceiling)
    opens = None if need.facts.episode_open else EpisodeChange.OPENS
    reason = _waits_for(need.facts, Because.RESCUE, first)
    rescue = hold(need.facts, Cause.RESCUE, reason, breach=True, emergency=need.emergency, episode=opens)
    rescue = replace(
        rescue.acting(Cause.RESCUE, Direction.ADD, option),
        held_back=option.held_back,
        rescue_of=(first, *need.facts.rescues)[-1].intent_id,
    )
    funds = sum((item.reach for item in every), Decimal(0))
    return worded(
        rescue,
        lambda: replace(
            rescue,
            reachable_ltv=shown(need.model.ltv_after(option.gain)),
            missing=missing_coins(need, best, need.value - funds),
        ),
    )


def _within_room(need: Shortfall, best: Option, room: Decimal) -> Option | None:
    """The option, but for what gains more than `room`; None where too little is left to be worth a call."""
    held = need.loan.collateral_in(best.coin)
    if held is None:
        return None
    most = need.model.at_most(held, room) - held.step
    amount = whole_steps(min(best.amount, most), held.step)
    gain = need.model.gain(held, amount)
    option = replace(best, amount=amount, ceiling=min(best.ceiling, most), gain=gain)
    return option if option.is_worth(need.least_in_calm) else None


def _as_if_released(facts: LoanFacts, first: Intent, budget: FundsBudget) -> Loan:
    """The loan once an open release has landed; as it is shown otherwise."""
    loan, held = facts.loan, facts.loan.collateral_in(first.coin)
    if first.direction is not Direction.REDUCE or held is None:
        return loan
    added = (item for item in facts.rescues if item.state is State.CONFIRMED and item.coin == first.coin)
    before = sum((item.amount for item in added), first.coins_before)
    if held.amount <= before - first.amount or held.amount <= first.amount:
        return loan
    model = LtvModel(loan=loan, prices=budget.prices)
    return loan if model.is_blind else model.with_change(first.coin, -first.amount)


def _room_above_release(facts: LoanFacts, budget: FundsBudget, first: Intent) -> Decimal:
    """The most that can be added before the LTV, as it is shown, falls to the release trigger.

    An open add (repayment) may land on top of it; an open release that never lands leaves what is shown.
    """
    loan, lowest = facts.loan, facts.urgency.limits.release_trigger
    model = LtvModel(loan=loan, prices=budget.prices)
    if first.direction is Direction.REPAY:
        return model.with_debt_less(first.coin, first.amount).room_above(lowest)
    held = loan.collateral_in(first.coin)
    pending = Decimal(0)
    if held is not None and first.direction is Direction.ADD:
        pending = model.most_gain(held, first.amount)
    return max(Decimal(0), model.room_above(lowest) - pending)
