"""Rows of a history that are not understood: what can be read of them tells what they could be. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, T, amount, coin, identity, moment, readable
from ltv_guard.core.model.history import DoubtfulRow
from ltv_guard.core.model.loans import Direction, LoanKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNames:
    """How the rows of one list call what tells them apart.

    `key` and `direction` make sense of a row's fields, or raise Nonsense; `written_id` makes a history row's
    id of the exchange's.
    """

    adjust_id: str = "adjustId"
    written_id: Callable[[str], str] = str
    key: Callable[[Row], LoanKey]
    direction: Callable[[Row], Direction]
    coin: str = "collateralCurrency"
    amount: str = "amount"
    at: str = "adjustTime"


def doubtful_row(item: object, why: str, names: RowNames) -> DoubtfulRow:
    """As much of the row as can be read."""
    row = item if isinstance(item, Mapping) else {}
    adjust_id = readable(row, names.adjust_id, identity)
    written = None if adjust_id is None else names.written_id(adjust_id)
    return DoubtfulRow(
        name=written or _fingerprint(item),
        why=why,
        adjust_id=written,
        key=_made(names.key, row),
        direction=_made(names.direction, row),
        coin=readable(row, names.coin, coin),
        amount=readable(row, names.amount, amount),
        at_ms=readable(row, names.at, moment),
    )


def _made(make: Callable[[Row], T], row: Row) -> T | None:
    try:
        return make(row)
    except MalformedPayload:
        return None


def _fingerprint(item: object) -> str:
    """A name for a row without a readable id: the same row has the same one, each time it is read."""
    text = json.dumps(item, sort_keys=True, default=str)
    return f"unnamed-{sha256(text.encode()).hexdigest()[:16]}"
