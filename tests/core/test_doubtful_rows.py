"""A row of the history that is not understood blocks only an intent that it could be the end of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_builders import (
    ADD,
    LAG,
    MARGIN,
    REDUCE,
    SENT,
    WINDOW,
    WINDOW_OVER,
    D,
    intent,
    key,
    loan,
    moment,
    row,
)

from ltv_guard.core.model.history import DoubtfulRow, History, HistoryRow
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Product
from ltv_guard.core.reconcile.evidence import Evidence, InFlightWatch
from ltv_guard.core.reconcile.settlement import SettlementTimeouts, Verdict, settle
from ltv_guard.guard import sentences

TIMEOUTS = SettlementTimeouts(processing_margin_ms=MARGIN, history_lag_ms=LAG)
OURS = "0.10000137"


def doubtful(**known: Any) -> DoubtfulRow:  # noqa: ANN401 - any of its fields
    return DoubtfulRow(**{"name": "r9", "why": "its status is 4", **known})


def ends(about: Intent, doubt: DoubtfulRow, *rows: HistoryRow) -> Verdict:
    """Two looks, long after the window, at a loan whose collateral has not moved."""
    watch = InFlightWatch(since=moment(SENT))
    for at in (WINDOW_OVER, WINDOW_OVER + 10 * LAG):
        history = History(rows=rows, doubtful=(doubt,), began=moment(at))
        evidence = Evidence(history=history, loan=loan(), claimed=())
        verdict = settle(about, watch, evidence, TIMEOUTS, moment(at))
        about, watch = verdict.intent, verdict.watch
        if not about.is_open:
            break
    return verdict


COULD_BE = [
    {},
    {"amount": D(OURS)},
    {"key": key("1001"), "coin": "BTC", "direction": ADD, "at_ms": SENT + 300},
    {"at_ms": SENT + WINDOW + MARGIN},
    {"at_ms": SENT - 1000},
]
CAN_NOT_BE = [
    {"amount": D("0.10000138")},
    {"coin": "ETH"},
    {"direction": REDUCE},
    {"key": key("2002")},
    {"at_ms": SENT - 1001},
    {"at_ms": SENT + WINDOW + MARGIN + 1},
    {"name": "seen before"},
]


@pytest.mark.case(7)
@pytest.mark.parametrize("known", COULD_BE, ids=str)
def test_an_intent_that_a_doubtful_row_could_be_is_not_absent_and_says_why(known: dict[str, Any]) -> None:
    verdict = ends(intent(seen_ids=frozenset({"seen before"})), doubtful(**known))
    assert verdict.intent.state is State.UNKNOWN
    assert verdict.waiting is not None
    assert "its status is 4" in sentences.waiting(verdict.waiting)


@pytest.mark.case(7)
@pytest.mark.parametrize("known", CAN_NOT_BE, ids=str)
def test_one_that_it_can_not_be_is_absent_as_ever(known: dict[str, Any]) -> None:
    verdict = ends(intent(seen_ids=frozenset({"seen before"})), doubtful(**known))
    assert verdict.intent.state is State.ABSENT


def test_a_row_that_is_read_confirms_it_whatever_is_doubtful_beside_it() -> None:
    assert ends(intent(), doubtful(), row("r7")).intent.state is State.CONFIRMED


def test_an_accepted_intent_whose_row_is_doubtful_says_so() -> None:
    accepted = intent(State.ACCEPTED, adjust_id="r9")
    verdict = ends(accepted, doubtful(adjust_id="r9"))
    assert verdict.intent.state is State.ACCEPTED
    assert "its status is 4" in sentences.waiting(verdict.waiting)


@pytest.mark.parametrize(
    ("adjust_id", "state"), [("i1", State.UNKNOWN), (None, State.UNKNOWN), ("another", State.ABSENT)]
)
def test_a_transfer_is_only_a_row_that_bears_its_id_or_none(adjust_id: str | None, state: State) -> None:
    moved = replace(
        intent(), direction=Direction.TRANSFER, key=LoanKey(Product.FUNDING, "BTC"), intent_id="i1"
    )
    assert ends(moved, doubtful(adjust_id=adjust_id, amount=D(7))).intent.state is state
