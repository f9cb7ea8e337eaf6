"""What each coin could do for a loan in rescue: how much of it, and what holds it back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.fingerprint import most_above
from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.decision import UNLIMITED, LoanFacts
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import Collateral
from ltv_guard.core.model.policy import thresholds
from ltv_guard.core.reconcile.plausibility import STEPS

CLOSED = "the exchange shows that the platform takes no more of it (colRes 2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpOption:
    """One coin: `needed` of it brings the loan to its target by itself, `amount` can be added now.

    With its fingerprint that is at most `ceiling`; it gains `gain`. Over the episode it can bring `reach`.
    `takes_more`: with more of the coin in the wallet it could bring more. `is_a_step`: no more of it than a
    part of the need, for its price is in doubt. `defect`: an error of ours, which costs this coin only.
    """

    held: Collateral
    needed: Decimal
    amount: Decimal
    ceiling: Decimal
    gain: Decimal
    reach: Decimal
    held_back: tuple[str, ...]
    takes_more: bool
    is_a_step: bool = False
    defect: Defect | None = None

    @property
    def is_enough(self) -> bool:
        return self.amount >= self.needed

    def helps(self, least: Decimal) -> bool:
        """Whether what can be added now is worth a call."""
        return self.amount >= self.held.step and self.gain >= least


def top_up_options(
    facts: LoanFacts, model: LtvModel, need: Decimal, budget: FundsBudget, *, emergency: bool
) -> list[TopUpOption]:
    """An option for each coin that the operator would add, most wanted first.

    A coin that was refused within a minute, or whose own row says that the platform takes no more of it, has
    its turn once no other coin helps.
    """
    every = [
        _option_or_defect(facts, model, held, need, budget, emergency=emergency)
        for held in facts.policy.candidates(facts.loan)
    ]
    shunned = {option.held.coin: CLOSED for option in every if option.held.closed} | dict(facts.shunned)
    least = min(need, model.total * facts.policy.limits.min_adjustment_ratio)
    if not any(option.helps(least) for option in every if option.held.coin not in shunned):
        return every
    return [
        _nothing(option.held, model, need, shunned[option.held.coin])
        if option.held.coin in shunned and option.amount > 0
        else option
        for option in every
    ]


def _option_or_defect(
    facts: LoanFacts,
    model: LtvModel,
    held: Collateral,
    need: Decimal,
    budget: FundsBudget,
    *,
    emergency: bool,
) -> TopUpOption:
    """The coin's option; of no use, with the defect, where an error of ours is in it."""
    found = attempt(
        f"reckoning with {held.coin}",
        lambda: _option(facts, model, held, need, budget, emergency=emergency),
    )
    if not isinstance(found, Defect):
        return found
    zero = Decimal(0)
    return TopUpOption(
        held=held,
        needed=UNLIMITED,
        amount=zero,
        ceiling=zero,
        gain=zero,
        reach=zero,
        held_back=(str(found),),
        takes_more=False,
        defect=found,
    )


def best_of(every: Sequence[TopUpOption]) -> TopUpOption | None:
    """The most wanted coin that is enough by itself, or else the one that brings most. None without any."""
    enough = next((option for option in every if option.is_enough), None)
    return enough or max(every, key=lambda option: option.gain, default=None)


def most_lacked(every: Sequence[TopUpOption]) -> TopUpOption:
    """The most wanted coin of which more would help; where none would, the most wanted of all."""
    return next((option for option in every if option.takes_more), every[0])


def _needed(
    facts: LoanFacts, model: LtvModel, held: Collateral, need: Decimal, least: Decimal
) -> tuple[Decimal, Decimal]:
    """Coins that bring the loan to its target, and as many of them as ever count.

    No fewer than the exchange takes (`least`), as far as that leaves the LTV above the release trigger.
    """
    needed, useful = model.to_gain(held, need), model.toward(held, need)
    if needed >= least:
        return needed, useful
    room = model.room_above(thresholds(facts.policy, facts.loan).release_trigger)
    return (least, least) if least <= model.at_most(held, room) else (needed, useful)


def _nothing(held: Collateral, model: LtvModel, need: Decimal, note: str) -> TopUpOption:
    return TopUpOption(
        held=held,
        needed=model.to_gain(held, need),
        amount=Decimal(0),
        ceiling=Decimal(0),
        gain=Decimal(0),
        reach=Decimal(0),
        held_back=(note,),
        takes_more=False,
    )


def _option(
    facts: LoanFacts,
    model: LtvModel,
    held: Collateral,
    need: Decimal,
    budget: FundsBudget,
    *,
    emergency: bool,
) -> TopUpOption:
    coin = held.coin
    if coin in facts.refused:
        return _nothing(held, model, need, facts.refused[coin])
    if not model.measures(held):
        return _nothing(held, model, need, f"{coin} has no price or no terms as collateral")
    least = facts.at_least.get(coin, Decimal(0))
    needed, useful = _needed(facts, model, held, need, least)
    funds = UNLIMITED
    held_back = []
    step = UNLIMITED
    if budget.doubts_price_of(facts.loan, coin):
        step = whole_steps_up(useful / STEPS, held.step)
        held_back.append(f"the price of {coin} is in doubt, so at most {step:f} {coin} at a time")
    share = budget.share_of(facts.loan.key, coin)
    limits = budget.limits_on(coin, emergency=emergency)
    if share is not None:
        limits.append((share, "its share of scarce funds"))
    for limit, name in limits:
        if limit < useful:
            held_back.append(f"{name} leaves {limit:f} {coin}")
        funds = min(funds, limit)
    if useful < needed:
        held_back.append(f"what counts as collateral leaves {useful:f} {coin}")
        funds = min(funds, useful)
    cap = facts.policy.limits.max_add.get(coin, UNLIMITED)
    if cap < min(needed, funds):
        held_back.append(f"max_add allows {cap:f} {coin} at a time")
    amount = whole_steps(min(needed, funds, cap, step), held.step)
    if amount < least:
        return _nothing(held, model, need, f"the exchange takes no less than {least:f} {coin}")
    ceiling = min(funds, cap, amount + most_above(held.accuracy, max(held.amount, amount)))
    return TopUpOption(
        held=held,
        needed=needed,
        amount=amount,
        ceiling=ceiling,
        gain=model.gain(held, amount),
        reach=min(need, model.gain(held, min(needed, funds))) if funds < needed else need,
        held_back=tuple(held_back),
        takes_more=needed.is_finite(),
        is_a_step=amount == step,
    )
