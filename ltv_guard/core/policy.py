"""Should we, which way, how much, and why: one function from facts to decisions. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.decisions import AccountFacts, Cause, Decision, EpisodeChange, LoanFacts
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Collateral, Direction, Loan
from ltv_guard.core.offers import Offer, best_of, most_lacked, offers
from ltv_guard.core.purse import Purse
from ltv_guard.core.rules import Thresholds, thresholds
from ltv_guard.core.sharing import share_out
from ltv_guard.core.sizing import whole_steps
from ltv_guard.core.yardstick import Yardstick

SHOWN = Decimal("0.0001")


def decide(account: AccountFacts) -> tuple[Decision, ...]:
    """One decision a loan, the one nearest liquidation first. Scarce funds lower the worst danger."""
    purse = Purse(account)
    if not purse.unread:
        asking = [facts for facts in account.loans if _asks(facts) or _will_ask(facts)]
        purse.divide(share_out(asking, purse))
    by_danger = sorted(account.loans, key=lambda facts: facts.loan.danger, reverse=True)
    return tuple(_decide_alone(facts, account, purse) for facts in by_danger)


def _decide_alone(facts: LoanFacts, account: AccountFacts, purse: Purse) -> Decision:
    """A loan whose numbers can't be reckoned with does not stop the others."""
    try:
        return _decide(facts, account, purse)
    except (ArithmeticError, ValueError) as error:
        breach = facts.loan.ltv >= facts.policy.add.trigger_ltv
        return _hold(facts, Cause.NONSENSE, f"its numbers make no sense: {error!r}", breach=breach)


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


def _asks(facts: LoanFacts) -> bool:
    """Whether the loan is about to be given collateral."""
    limits = thresholds(facts.policy, facts.loan)
    free = facts.policy.protect and not facts.open_intents and facts.freshness.fresh
    held_up = not facts.episode_open and facts.loan.ltv < limits.emergency and _cooling(facts)
    return free and _in_rescue(facts, limits) and not held_up


def _will_ask(facts: LoanFacts) -> bool:
    """Whether it waits for an add of its own, not for long: its share of the coins is kept for it."""
    adding = facts.settling and all(item.direction is Direction.ADD for item in facts.open_intents)
    return facts.policy.protect and adding and _in_rescue(facts, thresholds(facts.policy, facts.loan))


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
    loan = facts.loan
    yard = Yardstick(loan=loan, prices=purse.prices)
    need = yard.missing(limits.target)
    breach = _breach(facts, limits)
    emergency = loan.ltv >= limits.emergency
    least = yard.total * facts.policy.limits.min_adjustment_ratio
    if breach:
        least = min(least, need)
    if need <= 0 or need < least:
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
    if purse.unread or yard.is_blind:
        return _hold(
            facts,
            Cause.WALLET_UNREAD,
            f"{urgency}LTV {loan.ltv} against a trigger of {limits.trigger}, and the wallet or prices could "
            "not be read",
            breach=breach,
            emergency=emergency,
            episode=episode,
        )
    every = offers(facts, yard, need, purse, emergency=emergency)
    return replace(
        _answer(facts, limits, purse, yard, every, need, least),
        breach=breach,
        emergency=emergency,
        episode=episode,
    )


def _answer(
    facts: LoanFacts,
    limits: Thresholds,
    purse: Purse,
    yard: Yardstick,
    every: list[Offer],
    need: Decimal,
    least: Decimal,
) -> Decision:
    """The best of the offers, or what is short."""
    loan = facts.loan
    urgency = "emergency: " if loan.ltv >= limits.emergency else ""
    reason = f"{urgency}LTV {loan.ltv} against a trigger of {limits.trigger}"
    # What is too little for an adjustment of its own is no help.
    funds = sum((offer.reach for offer in every if offer.reach >= least), Decimal(0))
    best = best_of(every)
    decision = Decision(
        loan=loan,
        policy=facts.policy,
        cause=Cause.BREACH,
        reason=reason,
        held_back=tuple(note for offer in every for note in offer.held_back),
        reachable_ltv=_shown(yard.ltv_after(min(need, funds))),
    )
    if best is None:
        return replace(decision, cause=Cause.SHORT, reason=f"{reason}, but no coin can be added")
    lacking = most_lacked(every) if funds < need else best
    decision = replace(
        decision,
        coin=best.held.coin,
        missing=_missing(yard, lacking, need - funds),
        reason=f"{reason}: {_what_is_needed(best)} to {limits.target}",
    )
    if best.gain < least or best.amount < best.held.step:
        why = "; ".join(decision.held_back) or "nothing to add"
        return replace(
            decision, cause=Cause.SHORT, coin=lacking.held.coin, reason=f"{decision.reason}, but {why}"
        )
    purse.take(best.held.coin, best.ceiling)
    return replace(decision, direction=Direction.ADD, amount=best.amount, ceiling=best.ceiling)


def _missing(yard: Yardstick, offer: Offer, short: Decimal) -> Decimal:
    """Coins lacking beyond what the offer brings; 0 if nothing is short, infinite if no amount would do."""
    if short <= 0:
        return Decimal(0)
    return yard.to_gain(offer.held, offer.reach + short) - yard.to_gain(offer.held, offer.reach)


def _what_is_needed(offer: Offer) -> str:
    if offer.needed.is_finite():
        return f"{offer.needed} {offer.held.coin} bring it"
    return f"no amount of {offer.held.coin} by itself brings it"


def _cooling(facts: LoanFacts) -> bool:
    return facts.rested_ms is not None and facts.rested_ms < facts.policy.limits.cooldown_ms


def _shown(ltv: Decimal) -> Decimal:
    return ltv.quantize(SHOWN) if ltv.is_finite() else ltv


def _with_open_intents(facts: LoanFacts, limits: Thresholds, purse: Purse) -> Decision:
    """An open intent blocks its loan, but for one add: too much can be undone, too little can't.

    An open release never blocks an add. An add whose window is over, and whose end the history does not
    tell, allows one more at or above the emergency LTV, small enough for both to land.
    """
    first = facts.open_intents[0]
    landed = replace(facts, loan=_as_if_released(facts.loan, first, purse))
    loan = landed.loan
    breach = loan.ltv >= limits.trigger
    emergency = loan.ltv >= limits.emergency
    waiting = _hold(
        facts,
        Cause.OPEN_INTENT,
        f"waiting for intent {first.intent_id} to settle",
        breach=breach,
        emergency=emergency,
    )
    yard = Yardstick(loan=loan, prices=purse.prices)
    if breach and (facts.rescued or any(item.rescue_of is not None for item in facts.open_intents)):
        why = f"intent {first.intent_id} is {first.state}, and the loan has had its one rescue"
        return _hold(facts, Cause.RESCUED, why, breach=True, emergency=emergency)
    alone = len(facts.open_intents) == 1 and first.rescue_of is None
    blind = purse.unread or yard.is_blind
    if not alone or blind or first.state not in {State.UNKNOWN, State.ACCEPTED}:
        return waiting
    allowed = breach if first.direction is Direction.REDUCE else emergency and facts.window_over
    if not allowed:
        return waiting
    room = _room_above_release(facts.loan, limits, purse, first)
    rescue = _rescue(landed, limits, purse, yard, first, room)
    return replace(rescue, loan=facts.loan) if rescue is not None else waiting


def _rescue(
    facts: LoanFacts, limits: Thresholds, purse: Purse, yard: Yardstick, first: Intent, room: Decimal
) -> Decision | None:
    """The one rescue add. It gains no more than `room`, whatever else lands."""
    loan = facts.loan
    need = yard.missing(limits.target)
    emergency = loan.ltv >= limits.emergency
    every = offers(facts, yard, need, purse, emergency=emergency)
    best = best_of(every)
    if best is None:
        return None
    most = yard.at_most(best.held, room) - best.held.step
    amount = whole_steps(min(best.amount, most), best.held.step)
    least = yard.total * facts.policy.limits.min_adjustment_ratio
    if amount < best.held.step or yard.gain(best.held, amount) < least:
        return None
    ceiling = min(best.ceiling, most)
    purse.take(best.held.coin, ceiling)
    funds = sum((offer.reach for offer in every), Decimal(0))
    return Decision(
        loan=loan,
        policy=facts.policy,
        cause=Cause.RESCUE,
        reason=f"LTV {loan.ltv} while intent {first.intent_id} is {first.state}: one rescue add",
        direction=Direction.ADD,
        coin=best.held.coin,
        amount=amount,
        ceiling=ceiling,
        breach=True,
        emergency=emergency,
        held_back=best.held_back,
        reachable_ltv=_shown(yard.ltv_after(yard.gain(best.held, amount))),
        missing=_missing(yard, best, need - funds),
        rescue_of=first.intent_id,
        episode=None if facts.episode_open else EpisodeChange.OPENS,
    )


def _as_if_released(loan: Loan, first: Intent, purse: Purse) -> Loan:
    """The loan once an open release has landed; as it is shown otherwise."""
    held = loan.collateral_in(first.coin)
    if first.direction is not Direction.REDUCE or held is None:
        return loan
    if held.amount <= first.collateral_before - first.amount or held.amount <= first.amount:
        return loan
    yard = Yardstick(loan=loan, prices=purse.prices)
    return loan if yard.is_blind else yard.with_change(first.coin, -first.amount)


def _room_above_release(loan: Loan, limits: Thresholds, purse: Purse, first: Intent) -> Decimal:
    """What can be added to the loan as it is shown for its LTV to stay above the release trigger.

    An open add may land on top of it; an open release that never lands leaves what is shown.
    """
    yard = Yardstick(loan=loan, prices=purse.prices)
    held = loan.collateral_in(first.coin)
    pending = Decimal(0)
    if held is not None and first.direction is Direction.ADD:
        pending = yard.most_gain(held, first.amount)
    return max(Decimal(0), yard.room_above(limits.release_trigger) - pending)


def _maybe_release(facts: LoanFacts, limits: Thresholds, account: AccountFacts) -> Decision:
    loan = facts.loan
    if not facts.policy.reduce.enabled or loan.ltv <= 0 or loan.ltv >= limits.release_trigger:
        return _hold(facts, Cause.IN_BOUNDS, f"LTV {loan.ltv} is within bounds")
    yard = Yardstick(loan=loan, prices=account.prices)
    if yard.is_blind:
        why_not = _why_not_release(facts, account, None)
        cause = Cause.WALLET_UNREAD if why_not is None else Cause.RELEASE_WAITS
        return _hold(facts, cause, f"LTV {loan.ltv} is low, but {why_not or 'prices could not be read'}")
    spare = yard.spare(limits.release_target)
    least = yard.total * facts.policy.limits.min_adjustment_ratio
    held, amount = _to_release(facts, yard, spare, least)
    if held is None or spare < least:
        return _hold(facts, Cause.IN_BOUNDS, f"LTV {loan.ltv}: too little to release")
    why_not = _why_not_release(facts, account, held.coin)
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


def _to_release(
    facts: LoanFacts, yard: Yardstick, spare: Decimal, least: Decimal
) -> tuple[Collateral | None, Decimal]:
    """The coin to release, least wanted first, and how much of it. One that brings too little is left."""
    coins = [(held, yard.to_lose(held, spare)) for held in reversed(facts.policy.candidates(facts.loan))]
    possible = [
        (held, amount) for held, amount in coins if amount >= held.step and -yard.gain(held, -amount) >= least
    ]
    taken = [(held, amount) for held, amount in possible if held.coin not in facts.unreleasable]
    return next(iter([*taken, *possible]), (None, Decimal(0)))


def _why_not_release(facts: LoanFacts, account: AccountFacts, coin: str | None) -> str | None:
    rule = facts.policy.reduce
    added_by_hand = facts.foreign_add_ms is not None and facts.foreign_add_ms < rule.after_foreign_add_ms
    conditions = (
        (facts.low_for_ms < rule.after_ms, "not for long enough"),
        (_cooling(facts), "the last episode or release ended too recently"),
        (any(other.open_intents for other in account.loans), "an adjustment of the account is open"),
        (_someone_is_in_rescue(account), "a loan of the account is being rescued"),
        (added_by_hand, "collateral was added by hand"),
        (coin in facts.unreleasable, facts.unreleasable.get(coin or "", "")),
        (
            coin is not None and _needed_elsewhere(coin, account),
            f"another loan secured by {coin} is above its add target",
        ),
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
    held = decision.loan.collateral_in(decision.coin or "")
    if decision.direction is not Direction.REDUCE or held is None:
        return decision
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
