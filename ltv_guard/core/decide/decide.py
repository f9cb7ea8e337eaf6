"""Should we, which way, how much, and why: one function from facts to decisions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.decide.add import decide_add
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.claims import asks, share_out, will_ask
from ltv_guard.core.decide.constraints import Constraint, Limit
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange, hold
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.decide.release import Neighbours, decide_release
from ltv_guard.core.decide.repay import decide_repayment
from ltv_guard.core.decide.repay_fixed import with_contracts
from ltv_guard.core.decide.repay_with_collateral import decide_repayment_with_collateral
from ltv_guard.core.decide.rescue import decide_beside_open_intents
from ltv_guard.core.decide.saveable import why_lost
from ltv_guard.core.decide.shortfall import Shortfall, need_of
from ltv_guard.core.decide.transfer import decide_transfer, pooled
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.steps import Steps, done
from ltv_guard.core.reconcile.plausibility import Bearing

# Each takes what the one before left undone, with its notes, and returns it acting or with one more note.
HELP = {
    "transferring": decide_transfer,
    "repaying": decide_repayment,
    "repaying with collateral": decide_repayment_with_collateral,
}


NONE: Mapping[LoanKey, Decision] = {}


def decide(
    account: AccountFacts,
    resting: Mapping[LoanKey, Decision] = NONE,
    awake: Sequence[LoanFacts] | None = None,
) -> tuple[Decision, ...]:
    """One decision a loan, the one nearest liquidation first. Scarce funds lower the worst danger.

    A loan whose numbers contradict each other has its turn last: what is odd costs only itself.
    `resting`: decisions to leave a loan in its bounds that were made of these same facts before: they hold.
    `awake`: the loans of the account that are decided on; None: all. None of the others asks for anything.
    """
    return done(deciding(account, resting, awake))


def deciding(
    account: AccountFacts,
    resting: Mapping[LoanKey, Decision] = NONE,
    awake: Sequence[LoanFacts] | None = None,
) -> Steps[tuple[Decision, ...]]:
    """The same, a step for each loan that is decided on anew."""
    awake = account.loans if awake is None else awake
    budget = FundsBudget(account)
    defects = [] if budget.unread else _share_out(awake, budget)
    by_danger = sorted(
        awake,
        key=lambda facts: (facts.bearing is not Bearing.CONTRADICTED, facts.loan.danger),
        reverse=True,
    )
    neighbours = Neighbours(account)
    decided: list[Decision] = []
    for facts in by_danger:
        decision = resting.get(facts.loan.key)
        if decision is None:
            decision = _decide_alone(facts, neighbours, budget)
            yield
        decided.append(decision)
    merged: Sequence[Decision] = decided
    for what, step in (
        ("merging transfers", pooled),
        ("repaying fixed loans", lambda items: with_contracts(account, items, budget)),
    ):
        found = attempt(what, lambda: step(merged))  # noqa: B023 - called at once
        if isinstance(found, Defect):
            defects.append(found)
        else:
            merged = found
    merged = tuple(merged)
    if defects and merged:
        first = merged[0]
        merged = (replace(first, defects=(*first.defects, *defects)), *merged[1:])
    return merged


def decide_one(account: AccountFacts, key: LoanKey) -> Decision | None:
    """What to do about one loan before all others, which still claim their shares; None: it is not there.

    Transfers are not merged with those of other loans.
    """
    facts = next((item for item in account.loans if item.loan.key == key), None)
    if facts is None:
        return None
    if facts.bearing is Bearing.CONTRADICTED or (account.ending and facts.loan.is_pool):
        # After all others, as where all are decided on.
        return next(item for item in decide(account) if item.loan.key == key)
    budget = FundsBudget(account)
    defects = [] if budget.unread else _share_out(account.loans, budget)
    decision = _decide_alone(facts, Neighbours(account), budget)
    return replace(decision, defects=(*decision.defects, *defects))


def _share_out(loans: Iterable[LoanFacts], budget: FundsBudget) -> list[Defect]:
    """Divides scarce coins. One loan's nonsense takes no share from the others; ours takes no help."""
    asking, defects = [], []
    for facts in loans:
        found = attempt("asking", lambda facts=facts: asks(facts) or will_ask(facts))  # type: ignore[misc]
        if isinstance(found, Defect):
            defects.append(found)
        elif found and facts.bearing is not Bearing.CONTRADICTED:
            asking.append(facts)
    shares = attempt("sharing out", lambda: share_out(asking, budget))
    if isinstance(shares, Defect):
        return [*defects, shares]
    budget.divide(shares)
    return defects


def _decide_alone(facts: LoanFacts, neighbours: Neighbours, budget: FundsBudget) -> Decision:
    """A loan whose numbers can't be reckoned with does not stop the others."""
    found = attempt("deciding", lambda: _decide(facts, neighbours, budget))
    if not isinstance(found, Defect):
        return found
    reason = replace(facts.because(Because.NONSENSE), words=repr(found.error))
    held = hold(facts, Cause.NONSENSE, reason, breach=facts.urgency.breach)
    return replace(held, bearing=Bearing.BORNE_OUT, defects=(found,))


def _decide(facts: LoanFacts, neighbours: Neighbours, budget: FundsBudget) -> Decision:
    if not facts.policy.protect:
        closes = EpisodeChange.CLOSES if facts.episode_open else None
        return hold(facts, Cause.NOT_PROTECTED, facts.because(Because.NOT_PROTECTED), episode=closes)
    if facts.open_intents:
        return decide_beside_open_intents(facts, budget)
    if not facts.freshness.fresh:
        reason = replace(facts.because(Because.NOT_FRESH), doubt=facts.freshness.doubt)
        return hold(facts, Cause.NOT_FRESH, reason, breach=facts.urgency.breach)
    if facts.in_rescue:
        return _protect(facts, budget)
    nothing = facts.loan.ltv == 0 and any(debt.amount > 0 for debt in facts.loan.debts)
    if facts.hides_breach or (nothing and facts.bearing is Bearing.UNKNOWN):
        return hold(facts, Cause.NOT_BORNE_OUT, facts.because(Because.NOT_BORNE_OUT))
    return decide_release(facts, neighbours)


def _protect(facts: LoanFacts, budget: FundsBudget) -> Decision:
    """Bring a loan in rescue to its target, as far as funds and limits go."""
    model, urgency = LtvModel(loan=facts.loan, prices=budget.prices), facts.urgency
    need = need_of(facts, model)
    if need.is_met:
        closes = EpisodeChange.CLOSES if facts.episode_open else None
        return hold(facts, Cause.AT_TARGET, facts.because(Because.AT_TARGET), episode=closes)
    if not facts.episode_open and not urgency.emergency and facts.is_resting:
        return hold(facts, Cause.COOLDOWN, facts.because(Because.RESTING), breach=urgency.breach)
    if budget.unread or model.is_blind or (budget.is_old and not urgency.emergency):
        decision = hold(facts, Cause.WALLET_UNREAD, need.because(Because.UNREAD))
    else:
        decision = _help(need, budget)
    opens = None if facts.episode_open else EpisodeChange.OPENS
    return replace(decision, breach=urgency.breach, emergency=urgency.emergency, episode=opens)


def _help(need: Shortfall, budget: FundsBudget) -> Decision:
    """The first that can be done now: add, move coins here to add them next, repay, also with collateral.

    An error of ours in one of them goes on to the next.
    """
    lost = attempt("whether it can be saved", lambda: why_lost(need, budget))
    if isinstance(lost, Decision):
        return lost
    nothing = hold(need.facts, Cause.SHORT, need.because(Because.NEED))
    added = attempt("adding", lambda: decide_add(need, budget))
    decision = _failed(nothing, added) if isinstance(added, Defect) else added
    for what, decide_help in HELP.items():
        if decision.acts or decision.cause is Cause.TRANSFER:
            break
        before = decision
        found = attempt(what, lambda: decide_help(need, budget, before))  # noqa: B023 - called at once
        decision = _failed(before, found) if isinstance(found, Defect) else found
    return decision if lost is None else replace(decision, defects=(*decision.defects, lost))


def _failed(decision: Decision, defect: Defect) -> Decision:
    note = Constraint(kind=Limit.DEFECT, words=str(defect))
    return replace(decision, cause=Cause.SHORT, defects=(*decision.defects, defect)).noting(note)
