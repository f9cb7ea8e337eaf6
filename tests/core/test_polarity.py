"""Whether the exchange means by `direction` what we mean: told by where its rows say that the LTV went."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import intent, loan

from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.key_end import DAY_MS, due_notice
from ltv_guard.core.model.loans import Direction, LoanKey, Product
from ltv_guard.core.reconcile.polarity import Polarity, contradiction, polarity, polarity_of_all

D = Decimal
ADD, REDUCE = Direction.ADD, Direction.REDUCE


def row(direction: Direction, before: str | None, after: str | None, **changes: object) -> HistoryRow:
    made = HistoryRow(
        adjust_id="7",
        key=LoanKey(Product.LEGACY, "1001"),
        coin="BTC",
        direction=direction,
        amount=D("0.1"),
        at_ms=1,
        ltv_before=None if before is None else D(before),
        ltv_after=None if after is None else D(after),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("direction", "before", "after", "tells"),
    [
        (REDUCE, "0.6546", "0.7164", Polarity.AS_MEANT),  # the page's own examples
        (REDUCE, "0.524602", "0.813743", Polarity.AS_MEANT),
        (ADD, "0.79", "0.65", Polarity.AS_MEANT),
        (ADD, "0.79", "0.91", Polarity.REVERSED),
        (REDUCE, "0.40", "0.33", Polarity.REVERSED),
        (ADD, "0.7000", "0.7100", Polarity.UNTOLD),  # prices do as much meanwhile
        (ADD, "0.7", "0.7", Polarity.UNTOLD),
        (ADD, None, "0.65", Polarity.UNTOLD),
        (ADD, "0.79", None, Polarity.UNTOLD),
        (ADD, "0", "0.65", Polarity.UNTOLD),
        (ADD, "0.65", "0", Polarity.UNTOLD),
        (Direction.REPAY, "0.79", "0.91", Polarity.UNTOLD),
    ],
)
def test_what_a_row_tells(
    direction: Direction, before: str | None, after: str | None, tells: Polarity
) -> None:
    assert polarity(row(direction, before, after)) is tells


@pytest.mark.parametrize("status", [RowStatus.PROCESSING, RowStatus.FAILED])
def test_a_row_that_has_not_succeeded_tells_nothing(status: RowStatus) -> None:
    assert polarity(row(ADD, "0.79", "0.91", status=status)) is Polarity.UNTOLD


def test_one_odd_row_among_many_does_not_turn_the_directions_round() -> None:
    good, odd = row(ADD, "0.79", "0.65"), row(ADD, "0.65", "0.79")
    assert polarity_of_all([]) is Polarity.UNTOLD
    assert polarity_of_all([good, odd, good]) is Polarity.AS_MEANT
    assert polarity_of_all([odd]) is Polarity.REVERSED
    assert polarity_of_all([good, odd]) is Polarity.REVERSED


def test_our_latest_adjustment_decides_unless_the_loan_shows_what_was_meant() -> None:
    ours = replace(intent(State.CONFIRMED, amount="0.2", before="1"), adjust_id="7")
    wrong = replace(row(ADD, "0.79", "0.91"), key=ours.key)
    assert contradiction([ours], [wrong], [loan("0.91", held="0.8")]) == (ours, wrong)
    assert contradiction([ours], [wrong], []) == (ours, wrong)
    assert contradiction([ours], [wrong], [loan("0.66", held="1.2")]) is None
    assert contradiction([ours], [replace(wrong, adjust_id="8")], []) is None
    later = replace(ours, intent_id="later", adjust_id="9")
    right = replace(row(ADD, "0.79", "0.65"), adjust_id="9", at_ms=2)
    assert contradiction([ours, later], [wrong, right], []) is None


@pytest.mark.parametrize(
    ("days_left", "notice"),
    [(15, None), (14, 14), (8, 14), (7, 7), (3, 3), (2, 3), (1, 1), (0.1, 1), (0, 0), (-5, 0)],
)
def test_a_keys_end_is_told_at_fourteen_seven_three_and_one_days(
    days_left: float, notice: int | None
) -> None:
    now_ms = 1_700_000_000_000
    due = due_notice(now_ms + int(days_left * DAY_MS), now_ms)
    assert due == (None if notice is None else notice * DAY_MS)
    assert due_notice(None, now_ms) is None
