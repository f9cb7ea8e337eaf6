"""Whether collateral is released, of which coin, and how much: slow on purpose. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cached_property

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.amounts.rounding import whole_steps
from ltv_guard.core.decide.constraints import Constraint, Limit
from ltv_guard.core.decide.decision import Cause, Decision, hold
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.options import Option
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.model.loans import Collateral, Direction
from ltv_guard.core.reconcile.plausibility import Bearing


class Neighbours:
    """What the loans of an account keep each other from. Found out once, however many they are."""

    def __init__(self, account: AccountFacts) -> None:
        self.prices = account.prices
        self.is_one_unread = account.lacks_known  # it may be any of what is asked of the others
        self._loans = account.loans

    @cached_property
    def is_one_open(self) -> bool:
        """Whether any loan of the account has an open intent."""
        return any(other.open_intents for other in self._loans)

    @cached_property
    def is_one_awaited(self) -> bool:
        """Whether any adjustment of the account that its coins confirmed has no row in a history yet."""
        return any(other.awaits_row for other in self._loans)

    @cached_property
    def is_one_in_rescue(self) -> bool:
        """Whether any protected loan of the account is being rescued."""
        return any(other.in_rescue for other in self._loans if other.policy.protect)

    @cached_property
    def needed(self) -> frozenset[str]:
        """Coins that secure a loan above its add target."""
        needy = [
            other.loan
            for other in self._loans
            if other.policy.protect and other.loan.ltv > other.urgency.limits.target
        ]
        return frozenset(held.coin for loan in needy for held in loan.collateral)


def decide_release(facts: LoanFacts, neighbours: Neighbours) -> Decision:
    """A loan that is below its trigger for long enough: what is released, or why nothing is (yet)."""
    loan, limits = facts.loan, facts.urgency.limits
    if not facts.policy.reduce.enabled or loan.ltv <= 0 or loan.ltv >= limits.release_trigger:
        return hold(facts, Cause.IN_BOUNDS, facts.because(Because.IN_BOUNDS))
    model = LtvModel(loan=loan, prices=neighbours.prices)
    if model.is_blind:
        bar = _bar(facts, neighbours, None)
        cause = Cause.WALLET_UNREAD if bar is None else Cause.RELEASE_WAITS
        return _waits(facts, cause, bar or Constraint(kind=Limit.PRICES_UNREAD))
    spare = model.spare(limits.release_target)
    least = model.total * facts.policy.limits.min_adjustment_ratio
    option = _to_release(facts, model, spare, least)
    if option is None or spare < least:
        return hold(facts, Cause.IN_BOUNDS, facts.because(Because.TOO_LITTLE))
    bar = _bar(facts, neighbours, option.coin)
    if bar is not None:
        return _waits(facts, Cause.RELEASE_WAITS, bar)
    if not facts.may_release:
        # Not before it is read again at once: what is released too much is gone.
        cause = Cause.NOT_BORNE_OUT if facts.bearing is Bearing.UNKNOWN else Cause.RELEASE_WAITS
        return _waits(facts, cause, Constraint(kind=Limit.NOT_BORNE_OUT))
    reason = replace(facts.because(Because.RELEASE), coin=option.coin, amount=option.amount)
    return hold(facts, Cause.LOW, reason).acting(Cause.LOW, Direction.REDUCE, option)


def _waits(facts: LoanFacts, cause: Cause, bar: Constraint) -> Decision:
    return hold(facts, cause, replace(facts.because(Because.LOW), but=(bar,)))


def _to_release(facts: LoanFacts, model: LtvModel, spare: Decimal, least: Decimal) -> Option | None:
    """The coin to release, least wanted first, and how much of it. One that brings too little is left."""
    every = [_option(model, held, model.to_lose(held, spare)) for held in reversed(facts.candidates)]
    possible = [option for option in every if option.is_worth(least)]
    taken = [option for option in possible if option.coin not in facts.unreleasable]
    return next(iter([*taken, *possible]), None)


def _option(model: LtvModel, held: Collateral, amount: Decimal) -> Option:
    gain = -model.gain(held, -amount)
    return Option(coin=held.coin, step=held.step, needed=amount, amount=amount, ceiling=amount, gain=gain)


def _bar(facts: LoanFacts, neighbours: Neighbours, coin: str | None) -> Constraint | None:
    """What a release waits for."""
    rule = facts.policy.reduce
    added_by_hand = facts.foreign_add_ms is not None and facts.foreign_add_ms < rule.after_foreign_add_ms
    conditions = (
        (facts.low_for_ms < rule.after_ms, Limit.NOT_LOW_FOR_LONG),
        (facts.is_resting or facts.may_have_released, Limit.RESTING),
        (neighbours.is_one_open, Limit.INTENT_OPEN),
        (neighbours.is_one_unread, Limit.LOANS_UNREAD),
        (neighbours.is_one_awaited, Limit.ROW_AWAITED),
        (neighbours.is_one_in_rescue, Limit.RESCUE_ELSEWHERE),
        (added_by_hand, Limit.ADDED_BY_HAND),
        (facts.changed_by_others, Limit.CHANGED_BY_OTHERS),
        (coin in facts.unreleasable, Limit.REFUSED),
        (coin is not None and coin in neighbours.needed, Limit.NEEDED_ELSEWHERE),
    )
    kind = next((kind for holds, kind in conditions if holds), None)
    words = facts.unreleasable.get(coin or "", "") if kind is Limit.REFUSED else ""
    return None if kind is None else Constraint(kind=kind, coin=coin, words=words)


def within_maximum(decision: Decision, maximum: Decimal) -> Decision:
    """The release within the exchange's maximum, read just before; a hold if too little is left."""
    held = decision.loan.collateral_in(decision.coin or "")
    if decision.direction is not Direction.REDUCE or held is None:
        return decision
    limits = decision.policy.limits
    if not maximum.is_finite():
        maximum = Decimal(0)
    if maximum * limits.max_reduction_ratio >= decision.amount:
        return decision
    allowed = max(Decimal(0), whole_steps(maximum * limits.max_reduction_ratio, held.step))
    note = Constraint(kind=Limit.MAX_REDUCTION, coin=held.coin, amount=allowed)
    if allowed < max(held.amount * limits.min_adjustment_ratio, held.step):
        return replace(
            decision,
            cause=Cause.RELEASE_WAITS,
            reason=replace(decision.reason, but=(note,)),
            direction=None,
            amount=Decimal(0),
            held_back=(note,),
        )
    return replace(decision, amount=allowed, ceiling=allowed, held_back=(note,))
