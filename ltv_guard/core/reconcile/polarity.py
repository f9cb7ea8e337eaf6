"""Whether `direction` means what we take it to mean, told from rows of the exchange's own history. Pure.

A row of direction 0 (add) must have `afterLTV` below `preLTV`, one of direction 1 (reduce) above. Where it is
the other way round, the next adjustment would do the opposite of what is meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Kind, Loan

TELLING = Decimal("0.02")  # of the LTV: prices may move it by as much while an adjustment is carried out


class Polarity(StrEnum):
    """What rows tell of the meaning of `direction`."""

    AS_MEANT = "as meant"
    REVERSED = "the other way round"
    UNTOLD = "untold"


def polarity(row: HistoryRow) -> Polarity:
    """What one row tells: nothing, where its LTV moved by less than `TELLING`, or is not given."""
    before, after = row.ltv_before, row.ltv_after
    if row.status is not RowStatus.SUCCESS or row.direction.kind is not Kind.ADJUSTMENT:
        return Polarity.UNTOLD
    if not before or not after or abs(after / before - 1) < TELLING:
        return Polarity.UNTOLD
    return Polarity.AS_MEANT if (after < before) == (row.direction is Direction.ADD) else Polarity.REVERSED


def polarity_of_all(rows: Iterable[HistoryRow]) -> Polarity:
    """What most of the rows that tell something tell; REVERSED where they are even."""
    told = [found for found in map(polarity, rows) if found is not Polarity.UNTOLD]
    if not told:
        return Polarity.UNTOLD
    reversed_rows = sum(found is Polarity.REVERSED for found in told)
    return Polarity.REVERSED if 2 * reversed_rows >= len(told) else Polarity.AS_MEANT


def contradiction(
    intents: Iterable[Intent], rows: Iterable[HistoryRow], loans: Iterable[Loan]
) -> tuple[Intent, HistoryRow] | None:
    """Our latest adjustment of which the history tells something, where that is the opposite; and its row.

    A row alone is not enough: where the loan shows exactly what was meant, it is the row that is odd.
    """
    by_id = {row.adjust_id: row for row in rows}
    told = [
        (intent, by_id[intent.adjust_id])
        for intent in intents
        if intent.state is State.CONFIRMED
        and intent.adjust_id in by_id
        and polarity(by_id[intent.adjust_id]) is not Polarity.UNTOLD
    ]
    if not told:
        return None
    intent, row = max(told, key=lambda pair: pair[1].at_ms)
    if polarity(row) is Polarity.AS_MEANT or _shows_what_was_meant(intent, loans):
        return None
    return intent, row


def _shows_what_was_meant(intent: Intent, loans: Iterable[Loan]) -> bool:
    held = next((loan.collateral_in(intent.coin) for loan in loans if loan.key == intent.key), None)
    return held is not None and abs(held.amount - intent.coins_before - intent.change) <= held.step
