"""Parts of a row of `plan`: fixed loans, what each kind of help would do. Pure."""

from __future__ import annotations

from typing import Any

from ltv_guard.core.decide.outlook import Prospect
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.loans import short_name
from ltv_guard.guard import outlook_sentences, sentences
from ltv_guard.log.utc import iso


def contract_row(item: Contract) -> dict[str, str]:
    return {
        "loan_id": item.loan_id,
        "coin": item.coin,
        "owed": format(item.owed, "f"),
        "ends_at": iso(item.ends_at_ms),
        "at_end": item.at_end.value,
        "what_follows": sentences.at_end(item.at_end),
    }


def prospect_row(item: Prospect) -> dict[str, Any]:
    """Amounts in coins; `needed` null: no amount would do, `amount` null: not read."""
    return {
        "way": item.way.value,
        "coin": item.coin,
        "collateral": item.collateral,
        "needed": format(item.needed, "f") if item.needed.is_finite() else None,
        "amount": None if item.amount is None else format(item.amount, "f"),
        "ltv_after": None if item.ltv_after is None else format(item.ltv_after, "f"),
        "cost": format(item.cost, "f"),
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
