"""Where no collateral helps: how much of which debt is repaid from the Funding wallet. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial

from ltv_guard.core.amounts.fingerprint import coarsest, most_above
from ltv_guard.core.amounts.ltv_model import shown
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.decide.add import worded
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit, below, of_setting, tightest
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.options import ZERO, Option, best_worth, notes_of, reckoned
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.loans import Debt, Direction
from ltv_guard.core.reconcile.plausibility import STEPS


def decide_repayment(need: Shortfall, budget: FundsBudget, short: Decision) -> Decision:
    """The most useful repayment; `short` with a note of what holds it back if there is none.

    What is paid back is gone: not while it is to be seen in a moment whether collateral helps after all.
    """
    if not need.facts.policy.repay.enabled or short.cause is not Cause.SHORT:
        return short
    if need.facts.awaits_row:
        return short.noting(Constraint(kind=Limit.ADD_AWAITED, repaying=True))
    if is_tried_again(need, budget):
        return replace(short, cause=Cause.REPAY, reason=replace(short.reason, once_more=True))
    maybe = may_not_be_needed(need, budget)
    if maybe is not None and not need.emergency:
        return short.noting(maybe)
    every, defects = _options(need, budget)
    short = replace(short, defects=(*short.defects, *defects))
    best = best_worth(every, least_worth(need))
    if best is None:
        return short.noting(*notes_of(every, repaying=True))
    budget.take_to_repay(best.coin, best.ceiling)
    decision = replace(
        short.acting(Cause.REPAY, Direction.REPAY, best),
        reason=need.because(Because.REPAY),
        held_back=best.held_back,
        missing=ZERO,
    )
    return worded(decision, lambda: _explained(decision, need, best))


def is_tried_again(need: Shortfall, budget: FundsBudget) -> bool:
    """Whether the exchange may take a coin as collateral at the next try."""
    coins = [held.coin for held in need.candidates]
    return any(coin in need.facts.passing or budget.may_move_soon(coin) for coin in coins)


def least_worth(need: Shortfall) -> Decimal:
    """So much of the LTV is worth a call; and what brings the loan to its target."""
    least = need.loan.ltv * need.facts.policy.limits.min_adjustment_ratio
    return min(least, need.loan.ltv - need.limits.target)


def _options(need: Shortfall, budget: FundsBudget) -> tuple[list[Option], list[Defect]]:
    """What repaying each debt would do. An error of ours in one costs that one only."""
    return reckoned(
        (f"reckoning with a debt in {debt.coin}", partial(_option, need, debt, budget))
        for debt in need.loan.debts
    )


def _explained(decision: Decision, need: Shortfall, best: Option) -> Decision:
    return replace(
        decision,
        reason=replace(need.because(Because.REPAY_ENOUGH), coin=best.coin, needed=best.needed),
        reachable_ltv=shown(need.loan.ltv - best.gain),
        missing=max(ZERO, best.needed - best.amount),
    )


def may_not_be_needed(need: Shortfall, budget: FundsBudget) -> Constraint | None:
    """Why what is paid back may turn out not to have been needed; None: nothing says so.

    There may be a coin to be added after all, or somebody else has just helped, and it is not shown yet; or
    the LTV is of before the last repayment, and near where that led by chance.
    """
    if need.facts.changed_by_others:
        return Constraint(kind=Limit.CHANGED_BY_OTHERS, repaying=True)
    if need.facts.may_precede_repayment:
        return Constraint(kind=Limit.JUST_REPAID, repaying=True)
    for coin in (held.coin for held in need.candidates):
        if budget.is_tied(coin):
            return Constraint(kind=Limit.MAY_BE_LEFT, coin=coin, repaying=True)
        if budget.is_unread(coin):
            return Constraint(kind=Limit.MAY_BE_THERE, coin=coin, repaying=True)
    return None


def _option(need: Shortfall, debt: Debt, budget: FundsBudget) -> Option:
    coin, accuracy = debt.coin, coarsest(debt.accuracy, debt.amount)
    step = Decimal(1).scaleb(-accuracy)
    nothing = Option(coin=coin, step=step, needed=ZERO)
    if debt.unread:
        return nothing.as_nothing(Constraint(kind=Limit.DEBT_UNREAD, coin=coin))
    refusal = need.facts.unpayable.get(coin)
    if refusal is not None:
        return nothing.as_nothing(Constraint(kind=Limit.REFUSED, coin=coin, words=refusal))
    exact = need.model.to_repay(debt, need.limits.target)
    if not exact.is_finite():
        return nothing.as_nothing(Constraint(kind=Limit.UNPRICED, coin=coin))
    needed = whole_steps_up(exact, step)
    limits = _limits(need, debt, whole_steps_up(needed / STEPS, step), budget)
    most = tightest(limits)
    amount = whole_steps(min(needed, most), step)
    return Option(
        coin=coin,
        step=step,
        needed=needed,
        amount=amount,
        ceiling=min(whole_steps(most, step), amount + most_above(accuracy, debt.amount)),
        gain=need.loan.ltv - need.model.with_debt_less(coin, amount).loan.ltv,
        held_back=below(limits, needed),
    )


def _limits(need: Shortfall, debt: Debt, part: Decimal, budget: FundsBudget) -> list[Constraint]:
    """What wallet, caps and debt leave to repay; no more than a `part` where the coin's price is in doubt."""
    limits = budget.limits_on_repaying(debt.coin, emergency=need.emergency)
    most = need.facts.policy.repay.max_repay.get(debt.coin)
    if most is not None:
        limits.append(of_setting("repay.max_repay", debt.coin, most, setting=most))
    limits.append(Constraint(kind=Limit.FLEXIBLE_DEBT, coin=debt.coin, amount=debt.repayable))
    if budget.doubts_price_of(need.loan, debt.coin):
        limits.append(Constraint(kind=Limit.DOUBTED_PRICE, coin=debt.coin, amount=part))
    return limits
