"""Parts of a row of `plan`: fixed loans, what each kind of help would do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltv_guard.core.amounts.drift import Drift
from ltv_guard.core.decide.outlook import Prospect
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.loans import short_name
from ltv_guard.core.model.policy import LoanPolicy
from ltv_guard.guard import outlook_sentences, sentences
from ltv_guard.log.utc import iso


def contract_row(item: Contract, policy: LoanPolicy) -> dict[str, str]:
    """A fixed loan of a pool: what is owed in coins, when it ends (UTC), and what follows then."""
    return {
        "loan_id": item.loan_id,
        "coin": item.coin,
        "owed": format(item.owed, "f"),
        "ends_at": iso(item.ends_at_ms),
        "at_end": item.at_end.value,
        "what_follows": sentences.at_end(item.at_end, policy.repay_fixed),
    }


def drift_row(drift: Drift | None) -> dict[str, Any]:
    """Where interest alone leads: a time, or null; coins a day that fixed loans cost, and once overdue."""
    if drift is None:
        return {}
    reached = drift.trigger_at_ms
    return {
        "interest_reaches_trigger_at": None if reached is None else iso(reached),
        "fixed_interest_a_day": {coin: format(cost, "f") for coin, cost in drift.interest_a_day.items()},
        "penalty_interest_a_day": {coin: format(cost, "f") for coin, cost in drift.penalty_a_day.items()},
    }


def drift_words(row: Mapping[str, Any]) -> list[str]:
    """`interest alone brings it to its trigger by 2027-01-10`, and what being overdue costs."""
    reached, penalty = row.get("interest_reaches_trigger_at"), row.get("penalty_interest_a_day", {})
    said = [] if reached is None else [f"interest alone brings it to its trigger by {reached[:10]}"]
    if penalty:
        costs = " and ".join(
            f"{cost} {coin} a day instead of {row['fixed_interest_a_day'][coin]}"
            for coin, cost in penalty.items()
        )
        said.append(f"once a fixed loan's end is past its interest is three times as much: {costs}")
    return said


def prospect_row(item: Prospect) -> dict[str, Any]:
    """Amounts in coins; `needed` null: no amount would do, `amount` null: not read."""
    return {
        "way": item.way.value,
        "coin": item.coin,
        "collateral": item.collateral,
        "contract_id": item.contract_id,
        "needed": format(item.needed, "f") if item.needed.is_finite() else None,
        "amount": None if item.amount is None else format(item.amount, "f"),
        "ltv_after": None if item.ltv_after is None else format(item.ltv_after, "f"),
        "cost_usd": format(item.cost_usd, "f"),
        "allowed": item.allowed,
        "in_words": outlook_sentences.in_words(item),
    }


def help_lines(row: dict[str, Any]) -> list[str]:
    """What each kind of help would do for a loan in trouble, the operator's own hand last."""
    if not row.get("help"):
        return []
    name = f"{row['account']}, {short_name(row['product'], row['loan_id'])}"
    hand = [f"  by hand: {'; or '.join(row['by_hand'])}"] if row["by_hand"] else []
    return [f"What would help {name}:", *(f"  {item['in_words']}" for item in row["help"]), *hand]
