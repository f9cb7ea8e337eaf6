"""From a decision to the intent that is written down: its mark, and what was there before. Pure."""

from __future__ import annotations

from ltv_guard.core.decisions import Decision
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Direction, Moment, Owner
from ltv_guard.core.marks import marked
from ltv_guard.memory import Memory


def plan(
    decision: Decision,
    *,
    owner: Owner,
    account: str,
    intent_id: str,
    observed: Moment,
    now: Moment,
    memory: Memory,
    seed: int,
) -> Intent | None:
    """The intent; None where the decision does nothing, or no amount with a mark of its own is left."""
    held = decision.loan.collateral_in(decision.coin or "")
    if held is None or decision.direction is None:
        return None
    key = decision.loan.key
    amount = marked(
        decision.amount,
        accuracy=held.accuracy,
        reference=max(held.amount, decision.amount),
        ceiling=decision.ceiling,
        taken=memory.amounts_taken(key),
        seed=seed,
        upward=decision.direction is Direction.ADD,
    )
    if amount is None:
        return None
    return Intent(
        intent_id=intent_id,
        owner=owner,
        account=account,
        key=key,
        direction=decision.direction,
        coin=held.coin,
        amount=amount,
        state=State.PLANNED,
        reason=decision.reason,
        collateral_before=held.amount,
        ltv_before=decision.loan.ltv,
        observed_at_ms=observed.exchange_ms,
        seen_ids=frozenset(row.adjust_id for row in memory.rows(key)),
        created_at_ms=now.exchange_ms,
        updated_at_ms=now.exchange_ms,
        rescue_of=decision.rescue_of,
    )
