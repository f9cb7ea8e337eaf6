"""Should we, which way, how much, and why: one function from facts to decisions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.decisions import UNLIMITED, AccountFacts, Cause, Decision, EpisodeChange, LoanFacts
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Collateral, Direction, Loan
from ltv_guard.core.marks import most_above
from ltv_guard.core.purse import Purse
from ltv_guard.core.rules import Thresholds, thresholds
from ltv_guard.core.sizing import QUOTED_TO, ltv_after, to_add, to_release, whole_steps

SHOWN = Decimal("0.0001")


def decide(account: AccountFacts) -> tuple[Decision, ...]:
    """One decision a loan, the one nearest liquidation first: it is served first from the wallet."""
    purse = Purse(account)
    by_danger = sorted(account.loans, key=lambda facts: facts.loan.danger, reverse=True)
    return tuple(_decide(facts, account, purse) for facts in by_danger)


def _decide(facts: LoanFacts, account: AccountFacts, purse: Purse) -> Decision:
    loan, policy = facts.loan, facts.policy
    limits = thresholds(policy, loan)
    if not policy.protect:
        return _hold(
            facts,
            Cause.NOT_PROTECTED,
            f"{policy.name} says protect: false",
            episode=EpisodeChange.CLOSES if facts.episode_open else None,
        )
    if facts.open_intents:
        return _with_open_intents(facts, limits, purse)
    if not facts.freshness.fresh:
        return _hold(facts, Cause.NOT_FRESH, f"waiting: {facts.freshness.why}", breach=_breach(facts, limits))
    if _in_rescue(facts, limits):
        return _protect(facts, limits, purse)
    return _maybe_release(facts, limits, account)


def _in_rescue(facts: LoanFacts, limits: Thresholds) -> bool:
    return facts.episode_open or _breach(facts, limits)


def _breach(facts: LoanFacts, limits: Thresholds) -> bool:
    return facts.loan.ltv >= limits.trigger


def _hold(
    facts: LoanFacts,
    cause: Cause,
    reason: str,
    *,
    breach: bool = False,
    emergency: bool = False,
    episode: EpisodeChange | None = None,
) -> Decision:
    return Decision(
        loan=facts.loan,
        policy=facts.policy,
        cause=cause,
        reason=reason,
        breach=breach,
        emergency=emergency,
        episode=episode,
    )


def _protect(facts: LoanFacts, limits: Thresholds, purse: Purse) -> Decision:
    """Bring a loan in rescue to its target, as far as funds and limits go."""
    loan, rules = facts.loan, facts.policy.limits
    held = _secured_by(loan)
    need = to_add(held, loan.ltv, limits.target)
    breach = _breach(facts, limits)
    emergency = loan.ltv >= limits.emergency
    least = held.amount * rules.min_adjustment_ratio
    if breach:
        least = min(least, need)
    if need < least:
        return _hold(
            facts,
            Cause.AT_TARGET,
            f"LTV {loan.ltv} is at its target {limits.target}",
            episode=EpisodeChange.CLOSES if facts.episode_open else None,
        )
    if not facts.episode_open and not emergency and _cooling(facts):
        return _hold(facts, Cause.COOLDOWN, "the last episode or release ended too recently", breach=breach)
    episode = None if facts.episode_open else EpisodeChange.OPENS
    urgency = "emergency: " if emergency else ""
    if purse.unread:
        return _hold(
            facts,
            Cause.WALLET_UNREAD,
            f"{urgency}LTV {loan.ltv}: {need} {held.coin} to add, and the wallet could not be read",
            breach=breach,
            emergency=emergency,
            episode=episode,
        )
    offer = _offer(facts, held, need, purse, emergency=emergency)
    decision = Decision(
        loan=loan,
        policy=facts.policy,
        cause=Cause.BREACH,
        reason=f"{urgency}LTV {loan.ltv} against a trigger of {limits.trigger}: "
        f"{need} {held.coin} bring it to {limits.target}",
        breach=breach,
        emergency=emergency,
        coin=held.coin,
        held_back=offer.held_back,
        reachable_ltv=_shown(ltv_after(held.amount, loan.ltv, min(need, offer.funds))),
        missing=max(Decimal(0), need - offer.funds),
        episode=episode,
    )
    if offer.amount < max(least, held.step):
        why = "; ".join(offer.held_back) or "nothing to add"
        return replace(decision, cause=Cause.SHORT, reason=f"{decision.reason}, but {why}")
    purse.take(held.coin, offer.ceiling)
    return replace(decision, direction=Direction.ADD, amount=offer.amount, ceiling=offer.ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """What can be added now (`amount`), with its mark (`ceiling`), and over the whole episode (`funds`)."""

    amount: Decimal
    ceiling: Decimal
    funds: Decimal
    held_back: tuple[str, ...]


def _offer(facts: LoanFacts, held: Collateral, need: Decimal, purse: Purse, *, emergency: bool) -> _Offer:
    coin = held.coin
    if coin in facts.refused:
        return _Offer(
            amount=Decimal(0), ceiling=Decimal(0), funds=Decimal(0), held_back=(facts.refused[coin],)
        )
    funds = UNLIMITED
    held_back = []
    for limit, name in purse.limits_on(coin, emergency=emergency):
        if limit < need:
            held_back.append(f"{name} leaves {limit} {coin}")
        funds = min(funds, limit)
    cap = facts.policy.limits.max_add.get(coin, UNLIMITED)
    if cap < min(need, funds):
        held_back.append(f"max_add allows {cap} {coin} at a time")
    amount = whole_steps(min(need, funds, cap), held.step)
    ceiling = min(funds, cap, amount + most_above(held.accuracy, held.amount))
    return _Offer(amount=amount, ceiling=ceiling, funds=funds, held_back=tuple(held_back))


def _cooling(facts: LoanFacts) -> bool:
    return facts.rested_ms is not None and facts.rested_ms < facts.policy.limits.cooldown_ms


def _secured_by(loan: Loan) -> Collateral:
    return loan.collateral[0]


def _shown(ltv: Decimal) -> Decimal:
    return ltv.quantize(SHOWN) if ltv.is_finite() else ltv


def _with_open_intents(facts: LoanFacts, limits: Thresholds, purse: Purse) -> Decision:
    """An open intent blocks its loan, but for one add: too much can be undone, too little can't.

    An open release never blocks an add. An add whose window is over, and whose end the history does not
    tell, allows one more at or above the emergency LTV, small enough for both to land.
    """
    first = facts.open_intents[0]
    held, ltv = _as_if_released(facts.loan, first)
    breach = ltv >= limits.trigger
    emergency = ltv >= limits.emergency
    waiting = _hold(
        facts,
        Cause.OPEN_INTENT,
        f"waiting for intent {first.intent_id} to settle",
        breach=breach,
        emergency=emergency,
    )
    alone = len(facts.open_intents) == 1 and first.rescue_of is None
    if not alone or purse.unread or first.state not in {State.UNKNOWN, State.ACCEPTED}:
        return waiting
    allowed = breach if first.direction is Direction.REDUCE else emergency and facts.window_over
    if not allowed:
        return waiting
    need = to_add(held, ltv, limits.target)
    offer = _offer(facts, held, need, purse, emergency=emergency)
    room = _room_above_release(facts, limits, first)
    amount = whole_steps(min(offer.amount, room), held.step)
    if amount < max(held.amount * facts.policy.limits.min_adjustment_ratio, held.step):
        return waiting
    ceiling = min(offer.ceiling, room)
    purse.take(held.coin, ceiling)
    return Decision(
        loan=facts.loan,
        policy=facts.policy,
        cause=Cause.RESCUE,
        reason=f"LTV {ltv} while intent {first.intent_id} is {first.state}: one rescue add",
        direction=Direction.ADD,
        coin=held.coin,
        amount=amount,
        ceiling=ceiling,
        breach=True,
        emergency=emergency,
        held_back=offer.held_back,
        reachable_ltv=_shown(ltv_after(held.amount, ltv, amount)),
        missing=max(Decimal(0), need - offer.funds),
        rescue_of=first.intent_id,
        episode=None if facts.episode_open else EpisodeChange.OPENS,
    )


def _as_if_released(loan: Loan, first: Intent) -> tuple[Collateral, Decimal]:
    """Collateral and LTV as they are once an open release has landed; as they are shown otherwise."""
    held = _secured_by(loan)
    landed = first.collateral_before - first.amount
    if first.direction is not Direction.REDUCE or held.amount <= landed or held.amount <= first.amount:
        return held, loan.ltv
    after = replace(held, amount=held.amount - first.amount)
    return after, ltv_after(held.amount, loan.ltv, -first.amount)


def _room_above_release(facts: LoanFacts, limits: Thresholds, first: Intent) -> Decimal:
    """Coins that can be added so that, whatever else lands, the LTV stays above the release trigger."""
    loan = facts.loan
    held = _secured_by(loan)
    pending = first.amount if first.direction is Direction.ADD else Decimal(0)
    most = held.amount * (loan.ltv - QUOTED_TO) / limits.release_trigger
    return max(Decimal(0), most - held.amount - pending - held.step)


def _maybe_release(facts: LoanFacts, limits: Thresholds, account: AccountFacts) -> Decision:
    loan = facts.loan
    if not facts.policy.reduce.enabled or loan.ltv <= 0 or loan.ltv >= limits.release_trigger:
        return _hold(facts, Cause.IN_BOUNDS, f"LTV {loan.ltv} is within bounds")
    held = _secured_by(loan)
    amount = to_release(held, loan.ltv, limits.release_target)
    if amount < max(held.amount * facts.policy.limits.min_adjustment_ratio, held.step):
        return _hold(facts, Cause.IN_BOUNDS, f"LTV {loan.ltv}: too little to release")
    why_not = _why_not_release(facts, account)
    if why_not is not None:
        return _hold(facts, Cause.RELEASE_WAITS, f"LTV {loan.ltv} is low, but {why_not}")
    return Decision(
        loan=loan,
        policy=facts.policy,
        cause=Cause.LOW,
        reason=f"LTV {loan.ltv} is below {limits.release_trigger}: "
        f"releasing {amount} {held.coin} brings it to {limits.release_target}",
        direction=Direction.REDUCE,
        coin=held.coin,
        amount=amount,
        ceiling=amount,
    )


def _why_not_release(facts: LoanFacts, account: AccountFacts) -> str | None:
    rule = facts.policy.reduce
    coin = _secured_by(facts.loan).coin
    added_by_hand = facts.foreign_add_ms is not None and facts.foreign_add_ms < rule.after_foreign_add_ms
    conditions = (
        (facts.low_for_ms < rule.after_ms, "not for long enough"),
        (_cooling(facts), "the last episode or release ended too recently"),
        (any(other.open_intents for other in account.loans), "an adjustment of the account is open"),
        (_someone_is_in_rescue(account), "a loan of the account is being rescued"),
        (added_by_hand, "collateral was added by hand"),
        (coin in facts.refused, facts.refused.get(coin, "")),
        (_needed_elsewhere(coin, account), f"another loan secured by {coin} is above its add target"),
    )
    return next((why for holds, why in conditions if holds), None)


def _someone_is_in_rescue(account: AccountFacts) -> bool:
    return any(
        _in_rescue(other, thresholds(other.policy, other.loan))
        for other in account.loans
        if other.policy.protect
    )


def _needed_elsewhere(coin: str, account: AccountFacts) -> bool:
    return any(
        other.loan.ltv > thresholds(other.policy, other.loan).target
        for other in account.loans
        if other.policy.protect and other.loan.collateral_in(coin) is not None
    )


def within_maximum(decision: Decision, maximum: Decimal) -> Decision:
    """The release within the exchange's maximum, read just before; a hold if too little is left."""
    if decision.direction is not Direction.REDUCE:
        return decision
    held = _secured_by(decision.loan)
    limits = decision.policy.limits
    if not maximum.is_finite():
        maximum = Decimal(0)
    if maximum * limits.max_reduction_ratio >= decision.amount:
        return decision
    allowed = max(Decimal(0), whole_steps(maximum * limits.max_reduction_ratio, held.step))
    note = f"the exchange's maximum reduction leaves {allowed} {held.coin}"
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
