"""How the repayment of a fixed loan ended that asked for no amount: its row is found by contract and time.

The intent repays contract 570, which owes 1000.137 of the 67500 USDT of all contracts. It left at SENT.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import LAG, MARGIN, REPAY, SENT, WINDOW_OVER, D, history, intent, moment, row
from core_pools import POOL, at

from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Debt, Kind, Loan, Product
from ltv_guard.core.reconcile.awaited import Awaited
from ltv_guard.core.reconcile.evidence import Evidence, InFlightWatch
from ltv_guard.core.reconcile.settlement import SettlementTimeouts, Verdict, settle

TIMEOUTS = SettlementTimeouts(processing_margin_ms=MARGIN, history_lag_ms=LAG)
AMOUNT = "1000.137"
OWED = D(67500)


def in_full(state: State, adjust_id: str | None = None) -> Intent:
    about = intent(state, direction=REPAY, coin="USDT", amount=AMOUNT, before=OWED)
    return replace(about, key=POOL, contract_id="570", adjust_id=adjust_id)


def listed(name: str = "repay-fixed-1", amount: str = AMOUNT, **changes: object) -> HistoryRow:
    found = row(name, amount, direction=REPAY, coin="USDT")
    of_it = replace(found, key=POOL, at_ms=SENT + 300, fixed=True, contract_id="570")
    return replace(of_it, **changes)  # type: ignore[arg-type]


def pool(owed: Decimal = OWED) -> Loan:
    return replace(
        at("0.75", {"BTC": "2"}).shown(), debts=(Debt(coin="USDT", amount=owed + 5000, fixed=owed),)
    )


def look(
    about: Intent, *rows: HistoryRow, loan: Loan, after_ms: int = 0, watch: InFlightWatch | None = None
) -> Verdict:
    began = moment(WINDOW_OVER + after_ms)
    evidence = Evidence(history=history(*rows, began=began), loan=loan, claimed=())
    return settle(about, watch or InFlightWatch(since=moment(SENT)), evidence, TIMEOUTS, began)


def test_it_is_written_to_and_listed_with_fixed_loans() -> None:
    assert in_full(State.SENT).channel == Channel(Product.CRYPTO_LOAN, Kind.FIXED_REPAYMENT)


def test_only_the_wallet_repays_in_full() -> None:
    assert in_full(State.SENT).repays_in_full
    assert not replace(in_full(State.SENT), collateral_coin="BTC").repays_in_full
    assert not replace(in_full(State.SENT), contract_id=None).repays_in_full


@pytest.mark.parametrize("amount", [AMOUNT, "1000.2", "999"])
def test_a_lost_answer_is_confirmed_by_its_contract_whatever_the_interest_was(amount: str) -> None:
    found = look(in_full(State.UNKNOWN), listed(amount=amount), loan=pool(OWED - D(amount))).intent
    assert (found.state, found.adjust_id) == (State.CONFIRMED, "repay-fixed-1")


@pytest.mark.parametrize(
    "other",
    [
        {"contract_id": "571"},
        {"by_exchange": True},
        {"with_collateral": True},
        {"coin": "USDC"},
        {"at_ms": SENT - 5000},
        {"at_ms": WINDOW_OVER + 5000},
    ],
    ids=lambda other: next(iter(other)),
)
def test_rows_of_others_confirm_nothing(other: dict[str, object]) -> None:
    """Once its window is over it is absent, at the second look."""
    about, rows = in_full(State.UNKNOWN), [listed(**other)]
    paid = D(AMOUNT) if "coin" not in other and "at_ms" not in other else D(0)
    first = look(about, *rows, loan=pool(OWED - paid))
    assert first.intent.state is State.UNKNOWN
    second = look(about, *rows, loan=pool(OWED - paid), after_ms=30_000, watch=first.watch)
    assert second.intent.state is State.ABSENT


def test_a_row_that_names_no_contract_may_be_its_own() -> None:
    found = look(in_full(State.UNKNOWN), listed(contract_id=None), loan=pool(OWED - D(AMOUNT)))
    assert found.intent.state is State.CONFIRMED


def test_two_rows_that_may_be_its_own_are_ambiguous() -> None:
    rows = [listed(contract_id=None), listed("repay-fixed-2", contract_id=None)]
    about, loan = in_full(State.UNKNOWN), pool(OWED - 2 * D(AMOUNT))
    assert look(about, *rows, loan=loan).intent.state is State.AMBIGUOUS


def test_a_debt_that_went_without_a_row_waits_for_the_row() -> None:
    found = look(in_full(State.UNKNOWN), loan=pool(OWED - D(AMOUNT)), after_ms=60_000)
    assert (found.intent.state, found.waiting and found.waiting.kind) == (State.UNKNOWN, Awaited.LATE_ROW)


def test_a_lost_request_is_absent_at_the_second_look() -> None:
    about = in_full(State.UNKNOWN)
    first = look(about, loan=pool())
    assert look(about, loan=pool(), after_ms=LAG, watch=first.watch).intent.state is State.ABSENT


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        (RowStatus.SUCCESS, State.CONFIRMED),
        (RowStatus.FAILED, State.REJECTED),
        (RowStatus.PROCESSING, State.ACCEPTED),
    ],
)
def test_an_accepted_one_is_what_the_row_of_its_id_says(status: RowStatus, ends: State) -> None:
    about = in_full(State.ACCEPTED, "repay-fixed-1")
    assert look(about, listed(status=status), listed("repay-fixed-2"), loan=pool()).intent.state is ends


def test_an_absent_one_whose_row_comes_late_is_confirmed() -> None:
    assert look(in_full(State.ABSENT), listed(), loan=pool()).intent.state is State.CONFIRMED
