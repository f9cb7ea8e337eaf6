"""Should we, which way, how much, and why: one function from facts to decisions. Pure."""

from __future__ import annotations

from dataclasses import replace

from ltv_guard.core.adding import decide_add
from ltv_guard.core.decisions import AccountFacts, Cause, Decision, EpisodeChange, LoanFacts, hold
from ltv_guard.core.needs import Need
from ltv_guard.core.purse import Purse
from ltv_guard.core.releasing import decide_release
from ltv_guard.core.repaying import decide_repayment
from ltv_guard.core.rescuing import decide_beside_open_intents
from ltv_guard.core.rules import Thresholds, thresholds
from ltv_guard.core.sharing import share_out
from ltv_guard.core.transferring import decide_transfer, pooled
from ltv_guard.core.urgency import asks, in_rescue, is_breach, is_resting, will_ask
from ltv_guard.core.yardstick import Yardstick


def decide(account: AccountFacts) -> tuple[Decision, ...]:
    """One decision a loan, the one nearest liquidation first. Scarce funds lower the worst danger."""
    purse = Purse(account)
    if not purse.unread:
        asking = [facts for facts in account.loans if asks(facts) or will_ask(facts)]
        purse.divide(share_out(asking, purse))
    by_danger = sorted(account.loans, key=lambda facts: facts.loan.danger, reverse=True)
    return pooled(_decide_alone(facts, account, purse) for facts in by_danger)


def _decide_alone(facts: LoanFacts, account: AccountFacts, purse: Purse) -> Decision:
    """A loan whose numbers can't be reckoned with does not stop the others."""
    try:
        return _decide(facts, account, purse)
    except (ArithmeticError, ValueError) as error:
        breach = facts.loan.ltv >= facts.policy.add.trigger_ltv
        return hold(facts, Cause.NONSENSE, f"its numbers make no sense: {error!r}", breach=breach)


def _decide(facts: LoanFacts, account: AccountFacts, purse: Purse) -> Decision:
    limits = thresholds(facts.policy, facts.loan)
    if not facts.policy.protect:
        return hold(
            facts,
            Cause.NOT_PROTECTED,
            f"{facts.policy.name} says protect: false",
            episode=EpisodeChange.CLOSES if facts.episode_open else None,
        )
    if facts.open_intents:
        return decide_beside_open_intents(facts, limits, purse)
    if not facts.freshness.fresh:
        breach = is_breach(facts, limits)
        return hold(facts, Cause.NOT_FRESH, f"waiting: {facts.freshness.why}", breach=breach)
    if in_rescue(facts, limits):
        return _protect(facts, limits, purse)
    return decide_release(facts, limits, account)


def _protect(facts: LoanFacts, limits: Thresholds, purse: Purse) -> Decision:
    """Bring a loan in rescue to its target, as far as funds and limits go."""
    loan = facts.loan
    yard = Yardstick(loan=loan, prices=purse.prices)
    need = Need(facts=facts, limits=limits, yard=yard, value=yard.missing(limits.target))
    if need.is_met:
        return hold(
            facts,
            Cause.AT_TARGET,
            f"LTV {loan.ltv:f} is at its target {limits.target:f}",
            episode=EpisodeChange.CLOSES if facts.episode_open else None,
        )
    if not facts.episode_open and not need.emergency and is_resting(facts):
        why = "the last episode or release ended too recently"
        return hold(facts, Cause.COOLDOWN, why, breach=need.breach)
    episode = None if facts.episode_open else EpisodeChange.OPENS
    if purse.unread or yard.is_blind:
        return hold(
            facts,
            Cause.WALLET_UNREAD,
            f"{need.reason}, and the wallet or prices could not be read",
            breach=need.breach,
            emergency=need.emergency,
            episode=episode,
        )
    return replace(_help(need, purse), breach=need.breach, emergency=need.emergency, episode=episode)


def _help(need: Need, purse: Purse) -> Decision:
    """The first that can be done now: add, move coins here to add them next, repay."""
    added = decide_add(need, purse)
    if added.acts:
        return added
    moved = decide_transfer(need, purse, added)
    if moved.acts or moved.cause is Cause.TRANSFER:
        return moved
    return decide_repayment(need, purse, moved)
