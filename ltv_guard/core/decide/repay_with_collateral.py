"""The last help, where no coins are left: debt of a pool that is repaid with its own collateral. Pure.

It costs a fee, and can't be undone: never while coins could still help, or may be on their way.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import shown
from ltv_guard.core.amounts.rounding import whole_steps
from ltv_guard.core.decide.add import worded
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit, tightest
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.options import ZERO, Option, notes_of
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.decide.repay import is_tried_again, least_worth, may_not_be_needed
from ltv_guard.core.decide.sales import by_contract, cheapest, flexible, sale_options
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.loans import Collateral, Debt, Direction


def decide_repayment_with_collateral(need: Shortfall, budget: FundsBudget, short: Decision) -> Decision:
    """The repayment that helps at the least cost; `short` with a note of what holds it back, if none does."""
    if not need.facts.policy.repay_with_collateral.enabled or short.cause is not Cause.SHORT:
        return short
    if not need.loan.is_pool:
        return short
    if is_tried_again(need, budget):
        once_more = replace(short.reason, once_more=True)
        return replace(short, cause=Cause.REPAY_WITH_COLLATERAL, reason=once_more)
    still = _what_may_still_help(need, budget)
    if still is not None:
        return short.noting(still)
    every, defects = sale_options(need, flexible(need), budget)
    best = cheapest(every, least_worth(need))
    if best is None and not _waits_for_flexible(need, every):
        of_contracts, more = sale_options(need, by_contract(need), budget)
        best = cheapest(of_contracts, least_worth(need))
        every, defects = [*every, *of_contracts], [*defects, *more]
    short = replace(short, defects=(*short.defects, *defects))
    if best is None:
        return short.noting(*notes_of(every, repaying=True))
    caps = tightest(budget.caps_on_repaying_with_collateral(best.coin))
    budget.repaid_with_collateral(best.coin, best.ceiling)
    decision = replace(
        short.acting(Cause.REPAY_WITH_COLLATERAL, Direction.REPAY, best),
        reason=need.because(Because.REPAY),
        held_back=best.held_back,
        missing=ZERO,
    )
    return worded(decision, lambda: _explained(decision, need, best, caps))


def _waits_for_flexible(need: Shortfall, every: list[Option]) -> bool:
    """Whether a flexible debt that is refused now may be repaid in a moment. An emergency does not wait."""
    refused = (note.kind is Limit.REFUSED for option in every for note in option.held_back)
    return not need.emergency and any(refused)


def _what_may_still_help(need: Shortfall, budget: FundsBudget) -> Constraint | None:
    """Coins that may be added or repaid with after all; None: there are none.

    An emergency waits for nothing that may never come.
    """
    coins = [held.coin for held in need.candidates]
    if need.facts.awaits_row:
        return Constraint(kind=Limit.ADD_AWAITED, repaying=True)
    for coin in coins:
        if budget.on_the_way(coin) is not None and not (need.emergency and budget.is_overdue(coin)):
            return Constraint(kind=Limit.COINS_MAY_HELP, coin=coin, repaying=True)
    if need.emergency:
        return None
    kept = next((held.coin for held in need.candidates if _is_kept_for_later(need, held, budget)), None)
    kept = kept or next(
        (debt.coin for debt in need.loan.debts if _is_payable_later(need, debt, budget)), None
    )
    if kept is not None:
        return Constraint(kind=Limit.COINS_MAY_HELP, coin=kept, repaying=True)
    return may_not_be_needed(need, budget)


def _is_kept_for_later(need: Shortfall, held: Collateral, budget: FundsBudget) -> bool:
    """Whether the wallet has coins that a reserve or a day's cap holds back until it is an emergency."""
    if held.coin in need.facts.refused or not need.model.measures(held):
        return False
    there = tightest(budget.limits_on(held.coin, emergency=True))
    there = whole_steps(min(there, need.facts.policy.limits.max_add.get(held.coin, there)), held.step)
    return there > 0 and need.model.gain(held, there) >= need.least


def _is_payable_later(need: Shortfall, debt: Debt, budget: FundsBudget) -> bool:
    """The same of coins to repay with, also where the exchange refuses them for now."""
    if not need.facts.policy.repay.enabled or debt.repayable <= 0:
        return False
    cap = need.facts.policy.repay.max_repay.get(debt.coin, debt.repayable)
    there = min(debt.repayable, cap, tightest(budget.limits_on_repaying(debt.coin, emergency=True)))
    gain = need.loan.ltv - need.model.with_debt_less(debt.coin, there).loan.ltv
    return there > 0 and gain >= least_worth(need)


def _explained(decision: Decision, need: Shortfall, best: Option, caps: Decimal) -> Decision:
    """What is held back by more than one repayment's limits is missing: the next one goes on."""
    reason = replace(
        need.because(Because.REPAY_WITH_COLLATERAL),
        coin=best.coin,
        needed=best.needed,
        collateral_coin=best.collateral_coin,
        contract_id=best.contract_id,
        cost=best.cost.quantize(Decimal("0.01")),
    )
    return replace(
        decision,
        reason=reason,
        reachable_ltv=shown(need.loan.ltv - best.gain),
        missing=max(ZERO, best.needed - caps),
    )
