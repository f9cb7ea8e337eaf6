"""Whether a loan can be saved at all with what may be given: one that can't gets nothing. Pure.

What it got would be liquidated with it. In doubt a loan counts as one that can be saved: coins that are
refused now count as given, tiers are read the better way, and nothing that is not known counts against it.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import shown
from ltv_guard.core.decide.add import worded
from ltv_guard.core.decide.allocation import SAVED
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit, tightest
from ltv_guard.core.decide.decision import Cause, Decision, hold
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.decide.sales import lowest_ltv
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.loans import Collateral


def why_lost(need: Shortfall, budget: FundsBudget) -> Decision | None:
    """The decision to give it nothing; None where it can be saved, may be, or is fed all the same."""
    loan, facts = need.loan, need.facts
    line = SAVED * loan.liquidation_ltv
    if facts.policy.limits.feed_lost or loan.ltv < line or not facts.lifts or not _is_all_known(need, budget):
        return None
    coins = need.candidates
    gained = sum((need.model.most_gain(held, _coins(need, held, budget)) for held in coins), Decimal(0))
    reachable = need.model.ltv_after(gained) * _left_of_debt(need, budget)
    reachable *= lowest_ltv(need, budget) / loan.ltv if loan.ltv > 0 else 1
    if reachable < line:
        return None
    reason = need.because(Because.LOST)
    lost = replace(hold(facts, Cause.LOST, reason), reachable_ltv=shown(reachable))
    return worded(lost, lambda: _explained(lost, need, coins, budget))


def _explained(lost: Decision, need: Shortfall, coins: list[Collateral], budget: FundsBudget) -> Decision:
    """What would have been needed, in the coin that is most wanted."""
    note = Constraint(kind=Limit.FEED_LOST, amount=lost.reachable_ltv)
    if not coins:
        return lost.noting(note)
    held, line = coins[0], SAVED * need.loan.liquidation_ltv
    least, whole = (need.model.to_gain(held, need.model.missing(ltv)) for ltv in (line, need.limits.target))
    has = _coins(need, held, budget)
    wants = replace(
        lost.reason,
        kind=Because.LOST_WANTS,
        coin=held.coin,
        least=least,
        needed=whole,
        has=has,
        but=(note,),
    )
    return replace(lost, coin=held.coin, missing=max(Decimal(0), whole - has), reason=wants).noting(note)


def _is_all_known(need: Shortfall, budget: FundsBudget) -> bool:
    """Whether nothing that is not known, or may yet come, could save it."""
    if budget.is_old or (budget.transfers_allowed and budget.unified_unread):
        return False
    return not any(
        budget.is_unread(held.coin)
        or (budget.transfers_allowed and budget.is_unread_there(held.coin))
        or budget.doubts_price_of(need.loan, held.coin)
        or not need.model.measures(held)
        or budget.is_tied(held.coin)
        or budget.on_the_way(held.coin) is not None
        for held in need.candidates
    )


def _coins(need: Shortfall, held: Collateral, budget: FundsBudget) -> Decimal:
    """Coins that may be added, with those that may be moved here before."""
    coin = held.coin
    here = tightest(budget.limits_on(coin, emergency=need.emergency))
    share = budget.share_of(need.loan.key, coin)
    here = here if share is None else min(here, share)
    return here + (tightest(budget.limits_on_moving(coin)) if budget.transfers_allowed else Decimal(0))


def _left_of_debt(need: Shortfall, budget: FundsBudget) -> Decimal:
    """The share of its LTV that is left once all is repaid that may be."""
    if not need.facts.policy.repay.enabled or need.loan.ltv <= 0:
        return Decimal(1)
    left = Decimal(1)
    for debt in need.loan.debts:
        most = min(debt.repayable, tightest(budget.limits_on_repaying(debt.coin, emergency=need.emergency)))
        left *= need.model.with_debt_less(debt.coin, most).loan.ltv / need.loan.ltv
    return left
