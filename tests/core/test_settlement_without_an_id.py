"""How a repayment with collateral ended: no id came back, so its row is found by coin, amount and time.

The intent repays 9000.137 of 67500 USDT with BTC, of which there were 2. It left at SENT; its window is over
at WINDOW_OVER. That of a contract repays as much of contract 7, where 67500 USDT are owed by contracts, and
5000 flexibly.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_builders import LAG, MARGIN, REPAY, SENT, WINDOW_OVER, D, history, intent, moment, row
from core_pools import POOL, at

from ltv_guard.core.model.history import DoubtfulRow, HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Debt, Loan
from ltv_guard.core.reconcile.awaited import Awaited
from ltv_guard.core.reconcile.evidence import Evidence, InFlightWatch
from ltv_guard.core.reconcile.settlement import SettlementTimeouts, Verdict, settle

TIMEOUTS = SettlementTimeouts(processing_margin_ms=MARGIN, history_lag_ms=LAG)
AMOUNT = "9000.137"
OWED, FLEXIBLY = D(67500), D(5000)
UNREADABLE = DoubtfulRow(name="repay-9", why="its amount is no number", key=POOL, coin="USDT")


def sale(state: State, **changes: object) -> Intent:
    about = intent(state, direction=REPAY, coin="USDT", amount=AMOUNT, before=OWED, **changes)
    return replace(about, key=POOL, collateral_coin="BTC", collateral_before=D(2), adjust_id=None)


def listed(
    name: str = "repay-1",
    amount: str = AMOUNT,
    *,
    paid: bool | None = True,
    at_ms: int = SENT + 300,
    status: RowStatus = RowStatus.SUCCESS,
) -> HistoryRow:
    found = row(name, amount, direction=REPAY, coin="USDT")
    return replace(found, key=POOL, at_ms=at_ms, with_collateral=paid, status=status)


def pool(owed: Decimal = OWED, btc: str = "2") -> Loan:
    return replace(at("0.75", {"BTC": btc}).shown(), debts=(Debt(coin="USDT", amount=owed),))


def look(
    about: Intent,
    *rows: HistoryRow,
    loan: Loan,
    after_ms: int = 0,
    watch: InFlightWatch | None = None,
    doubtful: tuple[DoubtfulRow, ...] = (),
    is_old: bool = False,
) -> Verdict:
    began = moment(WINDOW_OVER + after_ms)
    shown = replace(history(*rows, began=began), doubtful=doubtful, is_old=is_old)
    evidence = Evidence(history=shown, loan=loan, claimed=())
    return settle(about, watch or InFlightWatch(since=moment(SENT)), evidence, TIMEOUTS, began)


def look_until(about: Intent, *rows: HistoryRow, loan: Loan, for_ms: int = 4 * LAG) -> Intent:
    """As often as once a second."""
    watch = None
    for after_ms in range(0, for_ms + 1, 1000):
        verdict = look(about, *rows, loan=loan, after_ms=after_ms, watch=watch)
        about, watch = verdict.intent, verdict.watch
        if not about.is_open:
            break
    return about


LANDED = pool(OWED - D(AMOUNT), "1.8182")
BOTH = pytest.mark.parametrize("state", [State.ACCEPTED, State.UNKNOWN])


@BOTH
@pytest.mark.parametrize("paid", [True, None])
def test_the_one_row_that_fits_is_its_own(state: State, paid: bool | None) -> None:  # noqa: FBT001
    ended = look(sale(state), listed(paid=paid), loan=LANDED).intent
    assert (ended.state, ended.adjust_id) == (State.CONFIRMED, "repay-1")


@BOTH
def test_a_repayment_from_the_wallet_is_none_of_it(state: State) -> None:
    ended = look_until(sale(state), listed(paid=False), loan=pool(OWED - D(AMOUNT)))
    assert ended.state is (State.ACCEPTED if state is State.ACCEPTED else State.ABSENT)


@BOTH
@pytest.mark.parametrize("at_ms", [SENT - 1001, WINDOW_OVER + 1])
def test_nor_is_a_row_of_another_time(state: State, at_ms: int) -> None:
    assert look(sale(state), listed(at_ms=at_ms), loan=pool()).intent.adjust_id is None


@BOTH
def test_one_that_is_still_processed_is_waited_for_and_one_that_failed_is_rejected(state: State) -> None:
    waits = look(sale(state), listed(status=RowStatus.PROCESSING), loan=pool())
    assert (waits.intent.is_open, waits.waiting and waits.waiting.kind) == (True, Awaited.PROCESSING)
    assert look(sale(state), listed(status=RowStatus.FAILED), loan=pool()).intent.state is State.REJECTED


def test_an_accepted_one_whose_row_is_late_stays_open() -> None:
    assert look_until(sale(State.ACCEPTED), loan=LANDED, for_ms=60_000).state is State.ACCEPTED


def test_two_equal_ones_by_hand_and_ours_lost_end_ambiguous() -> None:
    """Must never be repeated on their account; `ambiguous` is told."""
    rows = listed("repay-1"), listed("repay-2", at_ms=SENT + 900)
    owed = OWED - 2 * D(AMOUNT)
    ended = look_until(sale(State.UNKNOWN), *rows, loan=pool(owed, "1.6364"))
    assert (ended.state, ended.adjust_id) == (State.AMBIGUOUS, None)


def test_of_two_equal_ones_one_is_certainly_ours_where_it_was_accepted() -> None:
    rows = listed("repay-1"), listed("repay-2", at_ms=SENT + 900)
    assert look(sale(State.ACCEPTED), *rows, loan=LANDED).intent.adjust_id == "repay-1"


@pytest.mark.parametrize("other_after_ms", [100, 900])
def test_of_two_of_which_one_failed_it_counts_as_the_one_that_succeeded_once_both_have_ended(
    other_after_ms: int,
) -> None:
    """Found by the state machine: it stayed open, and its pool had no help, as long as both were shown."""

    def seen(status: RowStatus) -> Verdict:
        rows = listed(), listed("repay-2", at_ms=SENT + other_after_ms, status=status)
        return look(sale(State.ACCEPTED), *rows, loan=LANDED)

    assert seen(RowStatus.PROCESSING).intent.is_open
    ended = seen(RowStatus.FAILED).intent
    assert (ended.state, ended.adjust_id) == (State.CONFIRMED, "repay-1")


def test_of_two_that_failed_one_is_its_own() -> None:
    failed = (listed(name, status=RowStatus.FAILED) for name in ("repay-1", "repay-2"))
    assert look(sale(State.ACCEPTED), *failed, loan=pool()).intent.state is State.REJECTED


def test_one_of_another_amount_is_proof_of_nothing_after_a_lost_answer() -> None:
    """One client has it that amounts are in USD: the exchange may have read ours so."""
    ended = look_until(sale(State.UNKNOWN), listed(amount="8000"), loan=pool(OWED - 8000, "1.8"))
    assert ended.state is State.AMBIGUOUS


def test_and_is_its_own_where_it_was_accepted() -> None:
    ended = look(sale(State.ACCEPTED), listed(amount="8000"), loan=pool(OWED - 8000, "1.8")).intent
    assert (ended.state, ended.adjust_id) == (State.CONFIRMED, "repay-1")


@pytest.mark.parametrize("seen", [{"after_ms": -1}, {"doubtful": (UNREADABLE,)}, {"is_old": True}])
def test_but_not_while_its_own_may_be_late_lost_or_the_one_that_is_not_understood(seen: Any) -> None:  # noqa: ANN401
    by_hand = listed(amount="8000")
    assert look(sale(State.ACCEPTED), by_hand, loan=LANDED, **seen).intent.state is State.ACCEPTED
    found = look(sale(State.ACCEPTED), by_hand, listed("repay-2"), loan=LANDED, **seen).intent
    assert found.adjust_id == "repay-2"


def test_nor_where_its_own_is_there() -> None:
    found = look(sale(State.ACCEPTED), listed(amount="8000"), listed("repay-2"), loan=LANDED).intent
    assert found.adjust_id == "repay-2"


def test_a_lost_request_is_absent_at_the_second_look() -> None:
    first = look(sale(State.UNKNOWN), loan=pool())
    assert first.intent.is_open
    assert look(first.intent, loan=pool(), after_ms=LAG, watch=first.watch).intent.state is State.ABSENT


def test_not_while_the_debt_shows_it() -> None:
    assert look_until(sale(State.UNKNOWN), loan=LANDED, for_ms=60_000).state is State.UNKNOWN


def test_nor_so_soon_while_the_collateral_does() -> None:
    """The debt is shown late, and the history as well."""
    first = look(sale(State.UNKNOWN), loan=pool(btc="1.8182"))
    assert look(first.intent, loan=pool(btc="1.8182"), after_ms=LAG, watch=first.watch).intent.is_open
    assert look_until(sale(State.UNKNOWN), loan=pool(btc="1.8182")).state is State.ABSENT


def of_contract(state: State) -> Intent:
    return replace(sale(state), contract_id="7")


def fixed(name: str = "repay-fixed-1", contract: str | None = "7", **changes: object) -> HistoryRow:
    found = replace(listed(name), fixed=True, contract_id=contract)
    return replace(found, **changes)  # type: ignore[arg-type]


def owing(by_contracts: Decimal = OWED, flexibly: Decimal = FLEXIBLY, btc: str = "2") -> Loan:
    debt = Debt(coin="USDT", amount=by_contracts + flexibly, fixed=by_contracts)
    return replace(pool(btc=btc), debts=(debt,))


PAID_OFF = owing(OWED - D(AMOUNT), btc="1.8182")


@BOTH
@pytest.mark.parametrize("contract", ["7", None])
def test_the_row_of_its_contract_is_its_own_or_one_that_names_none(
    state: State, contract: str | None
) -> None:
    ended = look(of_contract(state), fixed(contract=contract), loan=PAID_OFF).intent
    assert (ended.state, ended.adjust_id) == (State.CONFIRMED, "repay-fixed-1")


@BOTH
@pytest.mark.parametrize(
    "other", [fixed(contract="8"), listed(), fixed(with_collateral=False), fixed(by_exchange=True)]
)
def test_that_of_another_contract_of_a_flexible_debt_or_of_coins_is_none_of_it(
    state: State, other: HistoryRow
) -> None:
    ended = look_until(of_contract(state), other, loan=owing())
    assert ended.state is (State.ACCEPTED if state is State.ACCEPTED else State.ABSENT)


def test_nor_does_a_flexible_debt_that_shrinks_by_as_much_keep_it_open() -> None:
    less = owing(flexibly=FLEXIBLY - D(AMOUNT) / 2)
    first = look(of_contract(State.UNKNOWN), loan=less)
    ended = look(first.intent, loan=less, after_ms=LAG, watch=first.watch).intent
    assert ended.state is State.ABSENT


def test_what_contracts_owe_does() -> None:
    assert look_until(of_contract(State.UNKNOWN), loan=PAID_OFF, for_ms=60_000).state is State.UNKNOWN


def test_two_equal_ones_of_the_contract_by_hand_and_ours_lost_end_ambiguous() -> None:
    rows = fixed("repay-fixed-1"), fixed("repay-fixed-2", at_ms=SENT + 900)
    ended = look_until(of_contract(State.UNKNOWN), *rows, loan=owing(OWED - 2 * D(AMOUNT), btc="1.6364"))
    assert (ended.state, ended.adjust_id) == (State.AMBIGUOUS, None)


def test_of_two_contracts_that_were_repaid_alike_by_hand_one_is_taken_for_ours() -> None:
    """One row names our contract: it is ours, or else ours was lost, and as much of it is repaid."""
    rows = fixed("repay-fixed-1"), fixed("repay-fixed-2", "8", at_ms=SENT + 900)
    ended = look(of_contract(State.UNKNOWN), *rows, loan=owing(OWED - 2 * D(AMOUNT), btc="1.6364")).intent
    assert (ended.state, ended.adjust_id) == (State.CONFIRMED, "repay-fixed-1")


@pytest.mark.parametrize("given", ["4711", "repay-fixed-4711"])
def test_a_person_names_its_row_by_the_id_that_the_exchange_shows(given: str) -> None:
    ended = of_contract(State.ACCEPTED).resolved_by_human(State.CONFIRMED, WINDOW_OVER, adjust_id=given)
    assert ended.adjust_id == "repay-fixed-4711"


@pytest.mark.parametrize("state", [State.ACCEPTED, State.UNKNOWN])
@pytest.mark.parametrize("status", [RowStatus.SUCCESS, RowStatus.FAILED])
def test_a_row_that_was_its_own_while_it_was_processed_is_so_when_its_time_is_that_of_its_end(
    state: State, status: RowStatus
) -> None:
    about = sale(state)
    first = look(about, listed(status=RowStatus.PROCESSING), loan=pool())
    assert (first.intent.state, first.watch.row_id) == (state, "repay-1")
    much_later = SENT + 60_000
    ended = look(
        about, listed(status=status, at_ms=much_later), loan=pool(), after_ms=59_000, watch=first.watch
    )
    expected = State.CONFIRMED if status is RowStatus.SUCCESS else State.REJECTED
    assert (ended.intent.state, ended.intent.adjust_id) == (expected, "repay-1")
    other = look(about, listed("repay-2", at_ms=much_later), loan=pool(), after_ms=59_000, watch=first.watch)
    assert other.intent.adjust_id is None


def test_one_that_failed_is_not_taken_for_its_own_where_another_that_fits_succeeded() -> None:
    about = sale(State.ACCEPTED)
    first = look(about, listed(status=RowStatus.PROCESSING), loan=pool())
    rows = listed(status=RowStatus.FAILED), listed("repay-2")
    ended = look(about, *rows, loan=pool(), after_ms=1_000, watch=first.watch)
    assert (ended.intent.state, ended.intent.adjust_id) == (State.CONFIRMED, "repay-2")


LATER = SENT + 60_000


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        ([listed(at_ms=LATER)], State.CONFIRMED),
        ([listed(at_ms=LATER, status=RowStatus.FAILED)], State.REJECTED),
        ([listed(at_ms=LATER, status=RowStatus.PROCESSING)], State.ACCEPTED),
        ([listed(at_ms=LATER, amount="9000.138")], State.ACCEPTED),
        ([listed(at_ms=LATER, paid=False)], State.ACCEPTED),
        ([listed("repay-2", at_ms=LATER), listed()], State.CONFIRMED),
    ],
)
def test_one_that_was_accepted_is_a_row_of_its_amount_that_tells_a_later_time_at_the_second_look(
    rows: list[HistoryRow], ends: State
) -> None:
    """A row may be listed only once it has ended, with that time; its own of its time goes first."""
    ended = look_until(sale(State.ACCEPTED), *rows, loan=LANDED, for_ms=LAG)
    assert (ended.state, ended.adjust_id) == (ends, None if ends is State.ACCEPTED else "repay-1")


@pytest.mark.parametrize("seen", [{"doubtful": (UNREADABLE,)}, {"is_old": True}, {"after_ms": 59_000 - LAG}])
def test_but_not_while_one_of_its_time_may_be_late_lost_or_not_understood(seen: Any) -> None:  # noqa: ANN401
    first = look(sale(State.ACCEPTED), loan=LANDED, after_ms=58_000 - LAG)
    row = listed(at_ms=LATER)
    second = look(first.intent, row, loan=LANDED, watch=first.watch, **{"after_ms": 59_000, **seen})
    assert (second.intent.state, second.waiting is not None) == (State.ACCEPTED, True)
    assert look(first.intent, row, loan=LANDED, watch=first.watch, after_ms=58_000).intent.adjust_id
    assert look(sale(State.ACCEPTED), row, loan=LANDED, after_ms=59_000).intent.is_open  # nor at first sight


def test_nor_is_a_later_row_that_of_a_lost_answer() -> None:
    """What was lost is carried out within its window, or never."""
    assert look_until(sale(State.UNKNOWN), listed(at_ms=LATER), loan=LANDED).adjust_id is None
