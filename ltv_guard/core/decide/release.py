"""Whether collateral is released, of which coin, and how much: slow on purpose. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cached_property

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.amounts.rounding import whole_steps
from ltv_guard.core.decide.decision import AccountFacts, Cause, Decision, LoanFacts, hold
from ltv_guard.core.decide.urgency import in_rescue, is_resting
from ltv_guard.core.model.loans import Collateral, Direction
from ltv_guard.core.model.policy import Thresholds, thresholds
from ltv_guard.core.reconcile.plausibility import Bearing


class Neighbours:
    """What the loans of an account keep each other from. Found out once, however many they are."""

    def __init__(self, account: AccountFacts) -> None:
        self.prices = account.prices
        self._loans = account.loans

    @cached_property
    def is_one_open(self) -> bool:
        return any(other.open_intents for other in self._loans)

    @cached_property
    def is_one_awaited(self) -> bool:
        return any(other.awaits_row for other in self._loans)

    @cached_property
    def is_one_in_rescue(self) -> bool:
        return any(
            in_rescue(other, thresholds(other.policy, other.loan))
            for other in self._loans
            if other.policy.protect
        )

    @cached_property
    def needed(self) -> frozenset[str]:
        """Coins that secure a loan above its add target."""
        needy = [
            other.loan
            for other in self._loans
            if other.policy.protect and other.loan.ltv > thresholds(other.policy, other.loan).target
        ]
        return frozenset(held.coin for loan in needy for held in loan.collateral)


def decide_release(facts: LoanFacts, limits: Thresholds, neighbours: Neighbours) -> Decision:
    loan = facts.loan
    if not facts.policy.reduce.enabled or loan.ltv <= 0 or loan.ltv >= limits.release_trigger:
        return hold(facts, Cause.IN_BOUNDS, f"LTV {loan.ltv:f} is within bounds")
    model = LtvModel(loan=loan, prices=neighbours.prices)
    if model.is_blind:
        why_not = _why_not_release(facts, neighbours, None)
        cause = Cause.WALLET_UNREAD if why_not is None else Cause.RELEASE_WAITS
        return hold(facts, cause, f"LTV {loan.ltv:f} is low, but {why_not or 'prices could not be read'}")
    spare = model.spare(limits.release_target)
    least = model.total * facts.policy.limits.min_adjustment_ratio
    held, amount = _to_release(facts, model, spare, least)
    if held is None or spare < least:
        return hold(facts, Cause.IN_BOUNDS, f"LTV {loan.ltv:f}: too little to release")
    why_not = _why_not_release(facts, neighbours, held.coin)
    if why_not is not None:
        return hold(facts, Cause.RELEASE_WAITS, f"LTV {loan.ltv:f} is low, but {why_not}")
    if not facts.may_release:
        # Not before it is read again at once: what is released too much is gone.
        why_not = "its own amounts and prices do not bear that out"
        cause = Cause.NOT_BORNE_OUT if facts.bearing is Bearing.UNKNOWN else Cause.RELEASE_WAITS
        return hold(facts, cause, f"LTV {loan.ltv:f} is low, but {why_not}")
    return Decision(
        loan=loan,
        policy=facts.policy,
        cause=Cause.LOW,
        reason=f"LTV {loan.ltv:f} is below {limits.release_trigger:f}: "
        f"releasing {amount:f} {held.coin} brings it to {limits.release_target:f}",
        direction=Direction.REDUCE,
        coin=held.coin,
        amount=amount,
        ceiling=amount,
    )


def _to_release(
    facts: LoanFacts, model: LtvModel, spare: Decimal, least: Decimal
) -> tuple[Collateral | None, Decimal]:
    """The coin to release, least wanted first, and how much of it. One that brings too little is left."""
    coins = [(held, model.to_lose(held, spare)) for held in reversed(facts.policy.candidates(facts.loan))]
    possible = [
        (held, amount)
        for held, amount in coins
        if amount >= held.step and -model.gain(held, -amount) >= least
    ]
    taken = [(held, amount) for held, amount in possible if held.coin not in facts.unreleasable]
    return next(iter([*taken, *possible]), (None, Decimal(0)))


def _why_not_release(facts: LoanFacts, neighbours: Neighbours, coin: str | None) -> str | None:
    rule = facts.policy.reduce
    added_by_hand = facts.foreign_add_ms is not None and facts.foreign_add_ms < rule.after_foreign_add_ms
    conditions = (
        (facts.low_for_ms < rule.after_ms, "not for long enough"),
        (is_resting(facts), "the last episode or release ended too recently"),
        (neighbours.is_one_open, "an adjustment of the account is open"),
        (neighbours.is_one_awaited, "an add of the account is in no history yet"),
        (neighbours.is_one_in_rescue, "a loan of the account is being rescued"),
        (added_by_hand, "collateral was added by hand"),
        (coin in facts.unreleasable, facts.unreleasable.get(coin or "", "")),
        (
            coin is not None and coin in neighbours.needed,
            f"another loan secured by {coin} is above its add target",
        ),
    )
    return next((why for holds, why in conditions if holds), None)


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
    note = f"the exchange's maximum reduction leaves {allowed:f} {held.coin}"
    if allowed < max(held.amount * limits.min_adjustment_ratio, held.step):
        return replace(
            decision,
            cause=Cause.RELEASE_WAITS,
            reason=f"{decision.reason}, but {note}",
            direction=None,
            amount=Decimal(0),
            held_back=(note,),
        )
    return replace(decision, amount=allowed, ceiling=allowed, held_back=(note,))
