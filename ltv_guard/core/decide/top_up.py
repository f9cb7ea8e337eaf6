"""The coins that could be added to a loan in rescue: how much of each, and what holds it back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ltv_guard.core.amounts.fingerprint import most_above
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit, below, tightest
from ltv_guard.core.decide.options import ZERO, Option, reckon
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.loans import Collateral
from ltv_guard.core.reconcile.plausibility import STEPS


def top_up_options(need: Shortfall, budget: FundsBudget) -> list[Option]:
    """An option for each coin that the operator would add, most wanted first.

    A coin that was refused within a minute, or whose own row says that the platform takes no more of it, has
    its turn once no other coin helps.
    """
    every = [
        reckon(held.coin, held.step, lambda held=held: _option(need, held, budget))  # type: ignore[misc]
        for held in need.candidates
    ]
    shunned = _shunned(need)
    least = min(need.value, need.least_in_calm)
    if not any(option.is_worth(least) for option in every if option.coin not in shunned):
        return every
    return [
        option.as_nothing(shunned[option.coin]) if option.coin in shunned and option.amount > 0 else option
        for option in every
    ]


def most_lacked(every: Sequence[Option]) -> Option:
    """The most wanted coin of which more would help; where none would, the most wanted of all."""
    return next((option for option in every if option.takes_more), every[0])


def _shunned(need: Shortfall) -> dict[str, Constraint]:
    """Coins that have their turn last, with why."""
    closed = {
        held.coin: Constraint(kind=Limit.CLOSED, coin=held.coin) for held in need.candidates if held.closed
    }
    refused = {
        coin: Constraint(kind=Limit.REFUSED, coin=coin, words=why) for coin, why in need.facts.shunned.items()
    }
    return closed | refused


def _option(need: Shortfall, held: Collateral, budget: FundsBudget) -> Option:
    nothing = Option(coin=held.coin, step=held.step, needed=need.model.to_gain(held, need.value))
    refusal = need.facts.refused.get(held.coin)
    if refusal is not None:
        return nothing.as_nothing(Constraint(kind=Limit.REFUSED, coin=held.coin, words=refusal))
    if not need.model.measures(held):
        return nothing.as_nothing(Constraint(kind=Limit.UNMEASURED, coin=held.coin))
    least = need.facts.at_least.get(held.coin, ZERO)
    needed, useful = _needed(need, held, least)
    steps = _steps(need, held, useful, budget)
    limits = _limits(need, held, budget)
    counted = Constraint(kind=Limit.COUNTED, coin=held.coin, amount=useful)
    beyond = (counted,) if useful < needed else ()
    funds = tightest((*limits, *beyond))
    cap = _cap(need, held)
    amount = whole_steps(min(needed, funds, tightest(cap), tightest(steps)), held.step)
    if amount < least:
        return nothing.as_nothing(Constraint(kind=Limit.LEAST_TAKEN, coin=held.coin, amount=least))
    return Option(
        coin=held.coin,
        step=held.step,
        needed=needed,
        amount=amount,
        ceiling=min(funds, tightest(cap), amount + most_above(held.accuracy, max(held.amount, amount))),
        gain=need.model.gain(held, amount),
        reach=_reach(need, held, needed, funds),
        is_enough=amount >= needed,
        takes_more=needed.is_finite(),
        is_a_step=bool(steps) and amount == tightest(steps),
        held_back=(*steps, *below(limits, useful), *beyond, *below(cap, min(needed, funds))),
    )


def _needed(need: Shortfall, held: Collateral, least: Decimal) -> tuple[Decimal, Decimal]:
    """Coins that bring the loan to its target, and as many of them as ever count.

    No fewer than the exchange takes (`least`), as far as that leaves the LTV above the release trigger.
    """
    needed, useful = need.model.to_gain(held, need.value), need.model.toward(held, need.value)
    if needed >= least:
        return needed, useful
    room = need.model.room_above(need.limits.release_trigger)
    return (least, least) if least <= need.model.at_most(held, room) else (needed, useful)


def _steps(need: Shortfall, held: Collateral, useful: Decimal, budget: FundsBudget) -> tuple[Constraint, ...]:
    """How much of the need is added at once, where the price that sizes it is in doubt."""
    if not budget.doubts_price_of(need.loan, held.coin):
        return ()
    step = whole_steps_up(useful / STEPS, held.step)
    return (Constraint(kind=Limit.PRICE_STEP, coin=held.coin, amount=step),)


def _limits(need: Shortfall, held: Collateral, budget: FundsBudget) -> list[Constraint]:
    """What the wallet, its caps, and the loan's share leave."""
    limits = budget.limits_on(held.coin, emergency=need.emergency)
    share = budget.share_of(need.loan.key, held.coin)
    return limits if share is None else [*limits, Constraint(kind=Limit.SHARE, coin=held.coin, amount=share)]


def _cap(need: Shortfall, held: Collateral) -> tuple[Constraint, ...]:
    """The most of the coin that is added at a time."""
    cap = need.facts.policy.limits.max_add.get(held.coin)
    return () if cap is None else (Constraint(kind=Limit.MAX_ADD, coin=held.coin, amount=cap),)


def _reach(need: Shortfall, held: Collateral, needed: Decimal, funds: Decimal) -> Decimal:
    if funds >= needed:
        return need.value
    return min(need.value, need.model.gain(held, min(needed, funds)))
