"""Coins of the Unified account: which, and how much, is moved to Funding, to be added next. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.amounts.fingerprint import most_above
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit, below, tightest
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.options import ZERO, Option, best_worth, notes_of
from ltv_guard.core.decide.reason import Because, Reason
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.loans import Collateral, Direction


def decide_transfer(need: Shortfall, budget: FundsBudget, short: Decision) -> Decision:
    """What moving coins here can do where nothing can be added (`short`); `short` with a note if nothing.

    A transfer that is under way is waited for; in an emergency not for one that may never end.
    """
    if not budget.transfers_allowed:
        return short
    coins = [held for held in need.candidates if held.coin not in need.facts.refused]
    for held in coins:
        awaited = budget.on_the_way(held.coin)
        if awaited is not None and not (need.emergency and budget.is_overdue(held.coin)):
            reason = replace(need.because(Because.COINS_COMING), coin=held.coin, intent=awaited)
            return _wait(short, reason)
    if budget.unified_unread:
        return _unread(need, short, Constraint(kind=Limit.UNIFIED_UNREAD))
    every = [_option(need, held, budget) for held in coins if budget.on_the_way(held.coin) is None]
    best = best_worth(every, need.least)
    if best is None:
        return _nothing_to_move(need, budget, short, coins, every)
    return _decision(need, budget, short, best)


def _nothing_to_move(
    need: Shortfall,
    budget: FundsBudget,
    short: Decision,
    coins: Iterable[Collateral],
    every: Iterable[Option],
) -> Decision:
    names = [held.coin for held in coins]
    if any(budget.is_moving(coin) for coin in names):
        return _wait(short, need.because(Because.COINS_SPOKEN_FOR))
    unread = next((coin for coin in names if budget.is_unread_there(coin)), None)
    if unread is not None:
        return _unread(need, short, Constraint(kind=Limit.UNIFIED_COIN_UNREAD, coin=unread))
    return short.noting(*notes_of(every))


def _unread(need: Shortfall, short: Decision, note: Constraint) -> Decision:
    """What is paid back is gone: not for a read that failed once."""
    cause = Cause.SHORT if need.emergency else Cause.WALLET_UNREAD
    return replace(short, cause=cause).noting(note)


def _wait(short: Decision, reason: Reason) -> Decision:
    return replace(short, cause=Cause.TRANSFER, reason=reason, missing=ZERO, held_back=())


def _decision(need: Shortfall, budget: FundsBudget, short: Decision, best: Option) -> Decision:
    budget.move(best.coin, best.amount, best.usable)
    return replace(
        short.acting(Cause.TRANSFER, Direction.TRANSFER, best),
        reason=replace(need.because(Because.TRANSFER), coin=best.coin, amount=best.amount),
        missing=ZERO if best.is_enough else max(ZERO, short.missing - best.amount),
        held_back=best.held_back,
    )


def _option(need: Shortfall, held: Collateral, budget: FundsBudget) -> Option:
    """As much of the coin as is missing here for it to bring the loan to its target."""
    coin, model = held.coin, need.model
    nothing = Option(coin=coin, step=held.step, needed=ZERO)
    if budget.is_unread(coin) or budget.is_unread_there(coin):
        return nothing  # how much is missing here, or there is to be moved, is not known
    if not model.measures(held):
        return nothing.as_nothing(Constraint(kind=Limit.UNMEASURED, coin=coin))
    wanted = model.toward(held, need.value)
    goal = _goal(need, held, wanted, budget)
    lacking = _lacking(need, coin, goal, budget)
    if lacking <= 0 or not _would_be_added(need, held):
        return nothing
    limits = budget.limits_on_moving(coin)
    amount = whole_steps(min(whole_steps_up(lacking, held.step), tightest(limits)), held.step)
    usable = min(goal, max(ZERO, goal - (lacking - amount)))
    return Option(
        coin=coin,
        step=held.step,
        needed=lacking,
        amount=amount,
        ceiling=amount,
        gain=model.gain(held, usable),
        usable=usable,
        is_enough=amount >= lacking and goal >= wanted,
        held_back=below(limits, lacking),
    )


def _lacking(need: Shortfall, coin: str, goal: Decimal, budget: FundsBudget) -> Decimal:
    """Coins that are missing here. What is kept for other loans is as good as gone."""
    lacking = budget.lacks(coin, goal, emergency=need.emergency)
    share = budget.share_of(need.loan.key, coin)
    return lacking if share is None else max(lacking, goal - share)


def _goal(need: Shortfall, held: Collateral, wanted: Decimal, budget: FundsBudget) -> Decimal:
    """Coins that are to be here: what is wanted, with room for a fingerprint.

    The day's cap on adding holds for what is moved here, too: more would only lie here.
    """
    room = most_above(held.accuracy, max(held.amount, wanted))
    return min(wanted + room, tightest(budget.cap_on_adding(held.coin, emergency=need.emergency)))


def _would_be_added(need: Shortfall, held: Collateral) -> bool:
    """Whether the most of it that is added at a time is worth a call."""
    most = need.facts.policy.limits.max_add.get(held.coin)
    return most is None or need.model.gain(held, whole_steps(most, held.step)) >= need.least


def pooled(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """The decisions with one transfer a coin: the first that asks moves for all, the others wait for it."""
    every = list(decisions)
    totals: dict[str | None, Decimal] = {}
    for item in every:
        if item.direction is Direction.TRANSFER:
            totals[item.coin] = totals.get(item.coin, ZERO) + item.amount
    merged = []
    for item in every:
        if item.direction is not Direction.TRANSFER:
            merged.append(item)
        elif item.coin in totals:
            total = totals.pop(item.coin)
            merged.append(replace(item, amount=total, ceiling=total))
        else:
            merged.append(replace(item, direction=None, amount=ZERO))
    return tuple(merged)
