"""From a decision to the intent that is written down: its fingerprint, and what was there before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ltv_guard.core.amounts.fingerprint import coarsest, with_fingerprint
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Direction, LoanKey, Moment, Owner, Product
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard import sentences
from ltv_guard.guard.state.memory import Memory


@dataclass(frozen=True, slots=True)
class Subject:
    """What an intent acts on: a loan's collateral or debt, or the Funding wallet. `before` is in coins."""

    key: LoanKey
    before: Decimal
    accuracy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentOrigin:
    """Whose an intent is, when what it is made from was observed, and when it is made.

    `seed` is the only randomness in it.
    """

    owner: Owner
    account: str
    intent_id: str
    observed: Moment
    now: Moment
    seed: int


def plan(
    decision: Decision,
    origin: IntentOrigin,
    memory: Memory,
    timeouts: SettlementTimeouts,
    wallet: Mapping[str, Decimal] | None = None,
) -> Intent | None:
    """The intent; None where the decision does nothing, or no amount that can be told apart is left.

    A coarse coin under a small cap has few amounts: one whose last use is settled is taken again then.
    """
    subject = _subject(decision, wallet or {})
    if subject is None or decision.direction is None or decision.coin is None:
        return None
    amount = _amount(decision, subject, origin, memory, timeouts)
    if amount is None:
        return None
    return Intent(
        intent_id=origin.intent_id,
        owner=origin.owner,
        account=origin.account,
        key=subject.key,
        direction=decision.direction,
        coin=decision.coin,
        amount=amount,
        state=State.PLANNED,
        reason=sentences.reason_or_cause(decision),
        coins_before=subject.before,
        ltv_before=decision.loan.ltv,
        observed_at_ms=origin.observed.exchange_ms,
        seen_ids=memory.rows.names(subject.key),
        created_at_ms=origin.now.exchange_ms,
        updated_at_ms=origin.now.exchange_ms,
        rescue_of=decision.rescue_of,
        contract_id=decision.contract_id,
        **_paid_with(decision),
    )


def _paid_with(decision: Decision) -> dict[str, Any]:
    """What pays for a repayment, if it is the loan's own collateral."""
    held = decision.loan.collateral_in(decision.collateral_coin or "")
    return {} if held is None else {"collateral_coin": held.coin, "collateral_before": held.amount}


def _amount(
    decision: Decision, subject: Subject, origin: IntentOrigin, memory: Memory, timeouts: SettlementTimeouts
) -> Decimal | None:
    """The decision's amount with a fingerprint; None where none is free."""
    if decision.contract_id is not None and decision.collateral_coin is None:
        return decision.amount  # it is not told to the exchange, which takes all that is owed
    direction, kind, coin, now = decision.direction, decision.kind, decision.coin, origin.now
    if direction is None or kind is None or coin is None:
        return None
    bounds = memory.bounds.of(
        Channel(subject.key.product, kind),
        coin,
        with_collateral=decision.collateral_coin is not None,
    )
    most = decision.ceiling if bounds.most is None else min(bounds.most, decision.ceiling)
    doubted = memory.intents.amounts_in_doubt(subject.key, coin, direction, timeouts, now)
    refused = memory.intents.refused_lately(subject.key, now)
    doubted |= {item.amount for item in refused if (item.direction, item.coin) == (direction, coin)}
    choices = (
        with_fingerprint(
            min(decision.amount, most),
            accuracy=subject.accuracy if bounds.decimals is None else min(bounds.decimals, subject.accuracy),
            reference=max(subject.before, decision.amount),
            ceiling=most,
            taken=taken,
            seed=origin.seed,
            upward=direction is not Direction.REDUCE,
        )
        for taken in (memory.rows.amounts(subject.key) | doubted, doubted)
    )
    return next((choice for choice in choices if choice is not None), None)


def _subject(decision: Decision, wallet: Mapping[str, Decimal]) -> Subject | None:
    loan, coin = decision.loan, decision.coin or ""
    held, debt = loan.collateral_in(coin), loan.debt_in(coin)
    if decision.direction is Direction.REPAY:
        if debt is None:
            return None
        owed = debt.part(fixed=decision.contract_id is not None)
        return Subject(loan.key, owed, coarsest(debt.accuracy, owed))
    if held is None:
        return None
    if decision.direction is Direction.TRANSFER:
        key = LoanKey(Product.FUNDING, coin)
        return Subject(key, wallet.get(coin, Decimal(0)), held.accuracy)
    return Subject(loan.key, held.amount, held.accuracy)
