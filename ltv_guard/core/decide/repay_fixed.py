"""A pool's fixed loans that go overdue unless they are repaid: which is now, in full, and why not. Pure.

Not a help: whatever the pool's LTV, an overdue one is liquidated. It comes after everything that the loans
need, and is made of coins that no emergency may need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit, below, tightest
from ltv_guard.core.decide.decision import Cause, Decision, HeldContract
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.options import ZERO, Option
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.loans import Direction

COMES_FIRST = frozenset({Cause.TRANSFER, Cause.NOT_FRESH, Cause.OPEN_INTENT, Cause.RESCUED})


def with_contracts(
    account: AccountFacts, decided: Sequence[Decision], budget: FundsBudget
) -> tuple[Decision, ...]:
    """The decisions, but that the pool, where it needs nothing more urgent, repays a contract that ends.

    `budget`: what they left of the wallet.
    """
    if not account.ending or account.in_part:  # a loan that was not read may need the coins
        return tuple(decided)
    facts = next((item for item in account.loans if item.loan.is_pool), None)
    if facts is None:
        return tuple(decided)
    return tuple(
        _with_contracts(item, facts, account, budget) if item.loan.key == facts.loan.key else item
        for item in decided
    )


def _with_contracts(
    decision: Decision, facts: LoanFacts, account: AccountFacts, budget: FundsBudget
) -> Decision:
    """One at a time; what the pool itself needs goes first, and a release goes last."""
    if comes_first(decision) or facts.open_intents or not facts.freshness.fresh:
        return decision
    held, paid = [], decision
    for contract in account.ending:
        why = _why_not(contract, decision, facts, account, budget)
        if why is not None:
            held.append(HeldContract(contract=contract, why=why))
            continue
        most = tightest(budget.limits_on_repaying(contract.coin, emergency=True))
        budget.take_to_repay(contract.coin, contract.owed)
        if paid is decision:
            paid = _repaying(decision, contract, facts, _option(contract, most))
    return replace(paid, held_contracts=tuple(held))


def comes_first(decision: Decision) -> bool:
    """Whether it is about something more urgent than a fixed loan, for the moment."""
    helps = decision.acts and decision.direction is not Direction.REDUCE
    return (helps and decision.cause is not Cause.REPAY_FIXED) or decision.cause in COMES_FIRST


def _why_not(
    contract: Contract, decision: Decision, facts: LoanFacts, account: AccountFacts, budget: FundsBudget
) -> Constraint | None:
    """What keeps it from being repaid; None: nothing does."""
    coin, debt = contract.coin, facts.loan.debt_in(contract.coin)
    if budget.unread or budget.is_old:
        return Constraint(kind=Limit.WALLET_UNREAD)
    if decision.cause is Cause.LOST:
        return Constraint(kind=Limit.POOL_LOST)
    if debt is None or debt.unread:
        return Constraint(kind=Limit.DEBT_UNREAD, coin=coin)
    refusal = facts.contracts_closed or account.unpayable_contracts.get(contract.loan_id)
    if refusal is not None:
        return Constraint(kind=Limit.REFUSED, coin=coin, words=refusal)
    if may_be_needed(coin, account):
        return Constraint(kind=Limit.EMERGENCY_FIRST, coin=coin)
    # As for an emergency: the reserve is there, the day's cap holds, and what is due is this.
    short = below(budget.limits_on_repaying(coin, emergency=True), contract.owed)
    return short[0] if short else None


def may_be_needed(coin: str, account: AccountFacts) -> bool:
    """Whether a loan is in an emergency that the coin may help in."""
    return any(_may_need(item, coin) for item in account.loans)


def _may_need(facts: LoanFacts, coin: str) -> bool:
    """Whether the loan is in an emergency, and the coin is one that may help it."""
    if not facts.is_at_emergency:
        return False
    takes = any(held.coin == coin and coin not in facts.refused for held in facts.candidates)
    return takes or (facts.policy.repay.enabled and facts.loan.debt_in(coin) is not None)


def _option(contract: Contract, most: Decimal) -> Option:
    """All that it owes, and as much more as there is: interest runs on."""
    return Option(
        coin=contract.coin,
        step=ZERO,
        needed=contract.owed,
        amount=contract.owed,
        ceiling=most,
        contract_id=contract.loan_id,
    )


def _repaying(decision: Decision, contract: Contract, facts: LoanFacts, option: Option) -> Decision:
    reason = replace(
        facts.because(Because.REPAY_FIXED), coin=contract.coin, needed=contract.owed, contract=contract
    )
    return replace(
        decision.acting(Cause.REPAY_FIXED, Direction.REPAY, option), reason=reason, missing=ZERO, held_back=()
    )
