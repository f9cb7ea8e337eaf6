"""How an intent ended: what the history and the collateral say, and when they are believed.

The default intent is an add of 0.10000137 BTC to 1 BTC that left at SENT; its window is over at WINDOW_OVER.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_builders import (
    ADD,
    LAG,
    MARGIN,
    REDUCE,
    SENT,
    START,
    WINDOW,
    WINDOW_OVER,
    D,
    history,
    intent,
    loan,
    moment,
    row,
)
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Loan, Moment
from ltv_guard.core.reconcile.awaited import Awaited, Waiting
from ltv_guard.core.reconcile.coin_changes import coins_show, rows_since, unexplained_change
from ltv_guard.core.reconcile.evidence import Evidence, InFlightWatch, is_shown_without
from ltv_guard.core.reconcile.settlement import (
    SettlementTimeouts,
    Verdict,
    is_told_apart,
    settle,
    window_is_over,
)

TIMEOUTS = SettlementTimeouts(processing_margin_ms=MARGIN, history_lag_ms=LAG)
OURS = "0.10000137"
WATCHED = InFlightWatch(since=moment(SENT))
LONG_LAG = 4 * LAG
NO_ROW_MS, OTHER_ROW_MS = 24 * LAG, 12 * LAG


def look(
    about: Intent,
    at: int | Moment,
    *rows: HistoryRow,
    shows: Loan | None = None,
    gone: bool = False,
    claimed: tuple[str, ...] = (),
    siblings: tuple[Decimal, ...] = (),
    watch: InFlightWatch = WATCHED,
) -> Verdict:
    """One tick: a history that began at `at`, and a loan that holds 1 BTC unless told otherwise."""
    began = at if isinstance(at, Moment) else moment(at)
    shown = None if gone else shows or loan()
    evidence = Evidence(history=history(*rows, began=began), loan=shown, claimed=claimed, siblings=siblings)
    return settle(about, watch, evidence, TIMEOUTS, began)


def look_twice(about: Intent, *rows: HistoryRow, apart: int = LAG, **of_look: Any) -> Verdict:  # noqa: ANN401
    """Two ticks, the first as soon as the window is over."""
    first = look(about, WINDOW_OVER, *rows, **of_look)
    if not first.intent.is_open:
        return first
    return look(first.intent, WINDOW_OVER + apart, *rows, **of_look, watch=first.watch)


# Accepted: only its own id counts.


def test_an_accepted_intent_is_confirmed_by_the_row_with_its_id() -> None:
    accepted = intent(State.ACCEPTED, adjust_id="r7")
    confirmed = look(accepted, SENT + 900, row("r6"), row("r7")).intent
    assert (confirmed.state, confirmed.adjust_id, confirmed.ltv_after) == (State.CONFIRMED, "r7", D("0.68"))


@pytest.mark.parametrize("at", [SENT + 900, WINDOW_OVER, WINDOW_OVER + 100 * LAG])
def test_an_accepted_intent_waits_for_its_row_and_is_never_absent(at: int) -> None:
    verdict = look(intent(State.ACCEPTED, adjust_id="r7"), at, row("r6"))
    assert verdict.intent.state is State.ACCEPTED
    assert verdict.waiting


@pytest.mark.parametrize("state", [State.ACCEPTED, State.UNKNOWN])
@pytest.mark.parametrize(
    ("status", "ends"), [(RowStatus.PROCESSING, None), (RowStatus.FAILED, State.REJECTED)]
)
def test_a_pool_row_is_final_only_once_it_succeeded_or_failed(
    state: State, status: RowStatus, ends: State | None
) -> None:
    open_intent = intent(state, adjust_id="r1" if state is State.ACCEPTED else None)
    verdict = look(open_intent, WINDOW_OVER + LONG_LAG, row(status=status))
    assert verdict.intent.state is (ends or state)
    assert bool(verdict.waiting) is (ends is None)


# Unknown: found.


def test_an_unknown_intent_is_confirmed_by_its_row_without_waiting_for_the_window() -> None:
    confirmed = look(intent(), SENT + 900, row("r7")).intent
    assert (confirmed.state, confirmed.adjust_id) == (State.CONFIRMED, "r7")


@pytest.mark.parametrize(
    ("why", "other"),
    [
        ("another loan", row(loan_id="2002")),
        ("another coin", row(coin="ETH")),
        ("the other direction", row(direction=REDUCE)),
        ("one step more", row(amount="0.10000138")),
        ("one step less", row(amount="0.10000136")),
        ("too early", row(at=SENT - 1001)),
        ("too late", row(at=WINDOW_OVER + 1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_differs_in_anything_is_not_its_own(why: str, other: HistoryRow) -> None:
    assert look(intent(), WINDOW_OVER + LONG_LAG, other).intent.state is State.UNKNOWN


@pytest.mark.parametrize("at", [SENT - 1000, SENT, SENT + WINDOW, WINDOW_OVER])
def test_a_row_counts_from_a_second_before_the_timestamp_until_window_and_margin_are_over(at: int) -> None:
    assert look(intent(), WINDOW_OVER + LAG, row(at=at)).intent.state is State.CONFIRMED


def test_the_same_amount_written_otherwise_is_the_same_amount() -> None:
    assert look(intent(amount="0.1"), WINDOW_OVER, row(amount="0.10000000")).intent.state is State.CONFIRMED


def test_a_row_that_another_intent_claims_is_not_its_own() -> None:
    assert look_twice(intent(), row("r7"), claimed=("r7",)).intent.state is not State.CONFIRMED


def test_a_row_that_was_there_before_the_plan_is_not_its_own() -> None:
    planned = intent(seen_ids=frozenset({"r7"}))
    assert look_twice(planned, row("r7")).intent.state is State.ABSENT


def test_a_release_without_a_fingerprint_takes_no_row_for_its_own_before_a_second_could_have_come() -> None:
    """Found by the state machine: a hand released five coins a second before ours of five landed late."""
    ours = intent(direction=REDUCE, amount="5", before=20)
    by_hand, own = (
        row(name, "5", direction=REDUCE, at=at) for name, at in (("u1", SENT - 1_000), ("r1", SENT))
    )
    known: dict[str, Any] = {"shows": loan(held="10")}
    within = look(ours, WINDOW_OVER - 1, by_hand, **known)
    assert within.intent.is_open
    first = look(ours, WINDOW_OVER, by_hand, **known)
    assert first.waiting == Waiting(Awaited.SECOND_ROW)
    for row_lag_ms in (1, LAG):
        both = look(ours, WINDOW_OVER + row_lag_ms, by_hand, own, **known, watch=first.watch)
        assert both.intent.state is State.AMBIGUOUS
    assert look_twice(ours, own, apart=LAG - 1, **known).intent.is_open
    assert look_twice(ours, own, **known).intent.adjust_id == "r1"


def test_an_add_without_a_fingerprint_is_confirmed_by_its_row_at_once() -> None:
    """Further adds wait for it, and a row by hand of just its amount is rare."""
    ours = intent(amount="5", before=20)
    assert look(ours, SENT + 900, row("r1", "5")).intent.state is State.CONFIRMED


# Unknown: the window.


@pytest.mark.parametrize(
    ("exchange_ms", "monotonic_ms", "over"),
    [
        (WINDOW + MARGIN, WINDOW + MARGIN, True),
        (WINDOW + MARGIN - 1, WINDOW + MARGIN, False),
        (WINDOW + MARGIN, WINDOW + MARGIN - 1, False),
        (3_600_000, 1000, False),  # the wall clock leapt ahead by an hour
        (-3_600_000, 60_000, False),  # and back
    ],
)
def test_the_window_is_over_when_both_clocks_say_so(exchange_ms: int, monotonic_ms: int, over: bool) -> None:  # noqa: FBT001
    watch = InFlightWatch(since=moment(SENT, 777))
    at = moment(SENT + exchange_ms, 777 + monotonic_ms)
    assert window_is_over(intent(), watch, at, TIMEOUTS) is over


def test_a_window_that_was_never_opened_is_never_over() -> None:
    planned = intent(State.PLANNED, signed_at_ms=None, recv_window_ms=None)
    assert not window_is_over(planned, WATCHED, moment(SENT + 10**9), TIMEOUTS)


def test_after_a_restart_the_monotonic_window_begins_anew() -> None:
    restarted = InFlightWatch(since=moment(SENT + 60_000, 0))
    at = moment(SENT + 60_000 + WINDOW, WINDOW)
    assert not window_is_over(intent(), restarted, at, TIMEOUTS)


# Unknown: absent.


def test_an_intent_that_two_reads_do_not_show_is_absent() -> None:
    assert look_twice(intent()).intent.state is State.ABSENT


def test_the_first_look_after_the_window_is_not_believed() -> None:
    verdict = look(intent(), WINDOW_OVER + 100 * LAG)
    assert verdict.intent.state is State.UNKNOWN
    assert verdict.watch.first_missed == moment(WINDOW_OVER + 100 * LAG)


def test_two_looks_too_close_together_are_not_believed() -> None:
    assert look_twice(intent(), apart=LAG - 1).intent.state is State.UNKNOWN


def test_a_look_within_the_window_is_no_first_look() -> None:
    early = look(intent(), WINDOW_OVER - 1)
    assert early.watch.first_missed is None
    assert look(intent(), WINDOW_OVER + LAG - 1, watch=early.watch).intent.state is State.UNKNOWN


def test_two_looks_must_be_apart_on_both_clocks() -> None:
    first = look(intent(), WINDOW_OVER)
    leapt = moment(WINDOW_OVER + 3_600_000, WINDOW_OVER - START + 100)
    assert look(intent(), leapt, watch=first.watch).intent.state is State.UNKNOWN


@pytest.mark.parametrize("direction", [ADD, REDUCE])
def test_collateral_that_moved_by_its_amount_makes_it_wait_for_its_row(direction: Direction) -> None:
    moved = intent(direction=direction)
    shows = loan(held=D(1) + moved.change)
    verdict = look_twice(moved, apart=NO_ROW_MS - 1, shows=shows)
    assert verdict.intent.state is State.UNKNOWN
    assert verdict.waiting == Waiting(Awaited.LATE_ROW)
    found = look(verdict.intent, WINDOW_OVER + NO_ROW_MS, row(direction=direction), shows=shows)
    assert found.intent.state is State.CONFIRMED


def test_a_row_that_never_comes_keeps_a_loan_for_two_minutes_and_no_longer() -> None:
    """Its coins are in the loan: nothing is missing there, and nobody knows whose they are."""
    verdict = look_twice(intent(), apart=NO_ROW_MS, shows=loan(held=D(1) + intent().change))
    assert verdict.intent.state is State.AMBIGUOUS


@pytest.mark.parametrize(
    ("rows", "later", "ends"),
    [
        ((), LONG_LAG, State.UNKNOWN),
        ((), NO_ROW_MS, State.AMBIGUOUS),
        ((row("by hand", at=SENT - 1500),), LAG, State.ABSENT),
    ],
)
def test_coins_that_it_once_was_shown_to_have_moved_are_not_forgotten_until_a_row_explains_them(
    rows: tuple[HistoryRow, ...], later: int, ends: State
) -> None:
    """Since then an old replica shows the loan without them."""
    found = look(intent(), SENT + 900, shows=loan(held=D(1) + intent().change))
    for at in (WINDOW_OVER, WINDOW_OVER + later):
        found = look(found.intent, at, *rows, watch=found.watch)
    assert found.intent.state is ends


def test_a_loan_is_shown_without_coins_that_it_was_shown_with_unless_a_row_explains_those() -> None:
    moved = loan(held=D(1) + intent().change)
    watch, by_hand = replace(WATCHED, moved=moved), row("by hand", at=SENT - 1500)
    assert is_shown_without(intent(), watch, loan(), ())
    assert not is_shown_without(intent(), watch, moved, ())
    assert not is_shown_without(intent(), watch, loan(), (by_hand,))
    assert not is_shown_without(intent(), WATCHED, loan(), ())


def test_an_add_and_its_rescue_that_both_landed_wait_for_their_rows() -> None:
    """Together they moved what neither did alone."""
    rescue = D("0.05000042")
    both = loan(held=1 + D(OURS) + rescue)
    for apart in (LAG, LONG_LAG, NO_ROW_MS - 1):
        waits = look_twice(intent(State.UNKNOWN, amount=OURS), apart=apart, shows=both, siblings=(rescue,))
        assert waits.intent.state is State.UNKNOWN
    alone = look_twice(intent(State.UNKNOWN, amount=OURS), apart=LONG_LAG, shows=both)
    assert alone.intent.state is State.ABSENT


def test_a_row_that_failed_leaves_its_id_behind() -> None:
    failed = row("27511", OURS, at=SENT, status=RowStatus.FAILED)
    ended = look(intent(State.UNKNOWN, amount=OURS), SENT + 500, failed)
    assert (ended.intent.state, ended.intent.adjust_id) == (State.REJECTED, "27511")
    assert ended.intent.updated_at_ms == SENT + 500


def test_a_displayed_digit_more_or_less_is_still_its_amount() -> None:
    for shown in ("1.10000136", "1.10000138"):
        assert look_twice(intent(), apart=LONG_LAG, shows=loan(held=shown)).intent.is_open


@pytest.mark.parametrize("shown", ["1.05", "0.7", "1.10000140"])
def test_a_foreign_change_lets_the_history_alone_decide_after_a_longer_lag(shown: str) -> None:
    shows = loan(held=shown)
    assert look_twice(intent(), apart=LONG_LAG - 1, shows=shows).intent.state is State.UNKNOWN
    assert look_twice(intent(), apart=LONG_LAG, shows=shows).intent.state is State.ABSENT


def test_a_loan_that_is_gone_lets_the_history_alone_decide_after_a_longer_lag() -> None:
    assert look_twice(intent(), apart=LONG_LAG - 1, gone=True).intent.state is State.UNKNOWN
    assert look_twice(intent(), apart=LONG_LAG, gone=True).intent.state is State.ABSENT


def test_a_change_that_the_user_made_by_hand_explains_itself() -> None:
    by_hand = row("u1", "0.2")
    assert look_twice(intent(), by_hand, shows=loan(held="1.2")).intent.state is State.ABSENT


def test_the_users_row_and_ours_that_is_late_are_told_apart() -> None:
    """Both landed; the history shows only the user's: what is left unexplained is our amount."""
    verdict = look_twice(intent(), row("u1", "0.2"), apart=LONG_LAG, shows=loan(held="1.30000137"))
    assert verdict.intent.state is State.UNKNOWN


def test_a_row_from_days_ago_explains_nothing_even_if_no_history_was_read_at_planning() -> None:
    """Without the bound, the old row hides that collateral moved by our amount: absent, and added twice."""
    old = row("old", "0.3", at=START - 3 * 86_400_000)
    planned = intent(seen_ids=frozenset())
    assert unexplained_change(planned, [old], loan(held="1.10000137")) == D(OURS)
    assert look_twice(planned, old, apart=LONG_LAG, shows=loan(held="1.10000137")).intent.is_open
    assert look_twice(planned, old).intent.state is State.ABSENT


@pytest.mark.parametrize("at", [START - 3000, START, START + 200])
@pytest.mark.parametrize("included", [True, False])
def test_the_users_row_around_the_read_may_or_may_not_be_in_the_coins_before(
    at: int,
    included: bool,  # noqa: FBT001 - parametrized
) -> None:
    """Reads take time, and history lags: whichever it is, our own amount is recognized."""
    planned = intent(signed_at_ms=START + 4000, recv_window_ms=WINDOW)
    by_hand = row("u1", "0.2", at=at)
    after = D(1) if included else D("1.2")
    assert unexplained_change(planned, [by_hand], loan(held=after)) == 0
    assert unexplained_change(planned, [by_hand], loan(held=after + D(OURS))) == D(OURS)


@pytest.mark.parametrize(("held", "moved"), [("13.10", "0"), ("14.09", "0.99")])
def test_amounts_of_a_coarse_coin_that_differ_by_a_step_are_told_apart(held: str, moved: str) -> None:
    """Found by the state machine: a rescue of 0.99 that was lost waited for its row beside an add of 1.00."""
    planned = intent(signed_at_ms=START + 4000, recv_window_ms=WINDOW)
    rescue = replace(planned, amount=D("0.99"), coins_before=D("12.10"))
    first = row("ours", "1.00", at=START + 200)
    assert unexplained_change(rescue, [first], loan(held=held, accuracy=2)) == D(moved)


def test_a_hand_that_moved_as_much_beside_an_old_read_keeps_nothing_open_for_ever() -> None:
    """Found by the state machine: the plan knew of the row, and was made from a read that did not show it."""
    by_hand = row("u1", OURS, at=START - 2_000)
    planned = intent(seen_ids=frozenset({"u1"}))
    moved = loan(held="1.10000137")
    assert unexplained_change(planned, [by_hand], moved) is None
    assert unexplained_change(planned, [by_hand], moved, ours=["u1"]) == D(OURS), "a read without it is old"
    assert look_twice(planned, by_hand, shows=moved).intent.is_open
    assert look_twice(planned, by_hand, apart=LONG_LAG, shows=moved).intent.state is State.ABSENT


def test_the_users_row_after_the_signature_is_not_in_the_coins_before() -> None:
    """Its change is not shown yet: something is unaccounted for."""
    by_hand = row("u1", "0.2", at=SENT)
    assert unexplained_change(intent(signed_at_ms=SENT), [by_hand], loan(held=1)) == D("-0.2")


def test_a_displayed_digit_is_nothing() -> None:
    assert unexplained_change(intent(), [], loan(held="1.00000001")) == 0
    assert unexplained_change(intent(), [], loan(held="1.00000002")) == D("0.00000002")


def test_one_step_of_a_coarse_coin_is_not_nothing() -> None:
    """An amount of one step lies within one displayed digit of no change at all."""
    one = intent(amount="1", before="100")
    assert unexplained_change(one, [], loan(held="101", accuracy=0)) == D(1)
    assert unexplained_change(one, [], loan(held="100", accuracy=0)) == 0


def test_collateral_that_left_altogether_is_accounted_for_like_any_other() -> None:
    everything = intent(direction=REDUCE, amount="1")
    other_coin = loan(coin="ETH")
    assert unexplained_change(everything, [], other_coin) == D(-1)
    assert unexplained_change(everything, [row(amount="1", direction=REDUCE)], other_coin) == 0
    assert unexplained_change(intent(), [row("u1", "1", direction=REDUCE)], other_coin) == 0


# Unknown: ambiguous.


def test_two_rows_that_could_both_be_its_own_are_ambiguous_once_the_window_is_over() -> None:
    rows = (row("r1"), row("u1"))
    shows = loan(held="1.20000274")
    assert look(intent(), WINDOW_OVER - 1, *rows, shows=shows).intent.state is State.UNKNOWN
    assert look(intent(), WINDOW_OVER, *rows, shows=shows).intent.state is State.AMBIGUOUS


def test_two_rows_of_a_loan_that_is_gone_are_ambiguous() -> None:
    assert look(intent(), WINDOW_OVER, row("r1"), row("u1"), gone=True).intent.state is State.AMBIGUOUS


def test_two_rows_while_a_change_is_unaccounted_for_wait_the_longer_lag_and_no_longer() -> None:
    """A partial liquidation leaves a change that no row ever explains: the loan must not wait for good."""
    rows, shows = (row("r1"), row("u1")), loan(held="0.9")
    assert look_twice(intent(), *rows, apart=LONG_LAG - 1, shows=shows).intent.state is State.UNKNOWN
    assert look_twice(intent(), *rows, apart=LONG_LAG, shows=shows).intent.state is State.AMBIGUOUS


def test_two_rows_and_our_amount_unaccounted_for_wait_for_a_third() -> None:
    shows = loan(held="1.30000411")
    rows = (row("r1"), row("u1"))
    verdict = look_twice(intent(), *rows, apart=OTHER_ROW_MS - 1, shows=shows)
    assert verdict.intent.state is State.UNKNOWN
    assert look_twice(intent(), *rows, apart=OTHER_ROW_MS, shows=shows).intent.state is State.AMBIGUOUS


# Absent: late rows.


def test_a_row_that_turns_up_late_confirms_an_absent_intent() -> None:
    confirmed = look(intent(State.ABSENT), WINDOW_OVER + 3_600_000, row("r9")).intent
    assert (confirmed.state, confirmed.adjust_id) == (State.CONFIRMED, "r9")


@pytest.mark.parametrize(
    "rows", [(), (row(status=RowStatus.FAILED),), (row(status=RowStatus.PROCESSING),), (row("a"), row("b"))]
)
def test_anything_less_leaves_an_absent_intent_as_it_is(rows: tuple[HistoryRow, ...]) -> None:
    assert look(intent(State.ABSENT), WINDOW_OVER + 3_600_000, *rows).intent.state is State.ABSENT


# rows_since


def test_rows_since_are_the_loans_own_in_the_coin_unseen_and_in_order() -> None:
    wanted = [row("d", at=START - 60_000), row("b", at=START - 5000), row("a", at=SENT), row("c", at=SENT)]
    wanted.append(row("seen, and younger than the read", at=SENT + 1))
    others = [
        row("seen", at=START),
        row("x", loan_id="2002"),
        row("y", coin="ETH"),
        row("old", at=START - 60_001),
    ]
    planned = intent(seen_ids=frozenset({"seen", "seen, and younger than the read"}))
    assert rows_since(planned, [*others, *reversed(wanted)]) == wanted


# Properties.

times = st.integers(-120_000, 120_000).map(lambda ms: SENT + ms)
statuses = st.sampled_from(RowStatus)
foreign_rows = st.builds(
    lambda number, steps, at, direction, coin, loan_id, status: row(
        f"f{number}",
        D(steps).scaleb(-8),
        at=at,
        direction=direction,
        coin=coin,
        loan_id=loan_id,
        status=status,
    ),
    st.integers(0, 10**6),
    st.one_of(st.just(10_000_137), st.integers(1, 10**8)),
    times,
    st.sampled_from([ADD, REDUCE]),
    st.sampled_from(["BTC", "BTC", "ETH"]),
    st.sampled_from(["1001", "1001", "2002"]),
    statuses,
)
holdings = st.one_of(
    st.sampled_from(["1", "1.10000137", "0.89999863"]),
    st.integers(1, 3 * 10**8).map(lambda n: D(n).scaleb(-8)),
)
ticks = st.lists(
    st.tuples(
        st.integers(-20_000, 40_000), st.integers(0, 40_000), st.lists(foreign_rows, max_size=3), holdings
    ),
    min_size=1,
    max_size=8,
)


@given(ticks, st.sampled_from([ADD, REDUCE]))
def test_an_intent_is_never_given_up_before_both_clocks_and_two_reads_say_so(
    path: list[tuple[int, int, list[HistoryRow], Decimal]],
    direction: Direction,
) -> None:
    current, watch = intent(direction=direction), InFlightWatch(since=moment(SENT, 0))
    exchange_ms, monotonic_ms = SENT, 0
    over_at: list[Moment] = []
    for exchange_step, monotonic_step, rows, held in path:
        exchange_ms, monotonic_ms = exchange_ms + exchange_step, monotonic_ms + monotonic_step
        at = moment(exchange_ms, monotonic_ms)
        verdict = look(current, at, *rows, shows=loan(held=held), watch=watch)
        window_over = exchange_ms >= WINDOW_OVER and monotonic_ms >= WINDOW + MARGIN
        if verdict.intent.state in {State.ABSENT, State.AMBIGUOUS}:
            assert window_over
        if verdict.intent.state is State.ABSENT:
            assert any(at.ms_since(earlier) >= LAG for earlier in over_at)
            assert unexplained_change(current, rows, loan(held=held)) != current.change
        if not verdict.intent.is_open:
            return
        if window_over:
            over_at.append(at)
        current, watch = verdict.intent, verdict.watch


@given(
    st.lists(foreign_rows, max_size=6, unique_by=lambda item: item.adjust_id),
    st.integers(-1000, WINDOW + MARGIN),
    st.sampled_from([ADD, REDUCE]),
    st.sampled_from([State.UNKNOWN, State.ABSENT]),
    holdings,
    st.integers(0, 100_000),
)
def test_a_row_that_is_its_own_is_always_found(
    others: list[HistoryRow],
    delay: int,
    direction: Direction,
    state: State,
    held: Decimal,
    later: int,
) -> None:
    own = row("own", at=SENT + delay, direction=direction)
    others = [replace(item, amount=item.amount * 2) if item.amount == own.amount else item for item in others]
    verdict = look(intent(state, direction=direction), SENT + later, *others, own, shows=loan(held=held))
    assert (verdict.intent.state, verdict.intent.adjust_id) == (State.CONFIRMED, "own")


@given(
    st.lists(foreign_rows, max_size=6, unique_by=lambda item: item.adjust_id),
    st.data(),
    st.sampled_from([State.UNKNOWN, State.ABSENT]),
)
def test_it_is_never_confirmed_by_a_row_that_is_claimed_or_was_seen(
    rows: list[HistoryRow], data: st.DataObject, state: State
) -> None:
    ids = [item.adjust_id for item in rows]
    claimed = data.draw(st.sets(st.sampled_from(ids)) if ids else st.just(set()))
    seen = data.draw(st.sets(st.sampled_from(ids)) if ids else st.just(set()))
    unsettled = intent(state, seen_ids=frozenset(seen))
    verdict = look(unsettled, WINDOW_OVER + LAG, *rows, claimed=tuple(claimed))
    if verdict.intent.state is State.CONFIRMED:
        own = next(item for item in rows if item.adjust_id == verdict.intent.adjust_id)
        assert own.adjust_id not in claimed | seen
        assert (own.amount, own.direction, own.coin, own.key) == (D(OURS), ADD, "BTC", unsettled.key)
        assert SENT - 1000 <= own.at_ms <= WINDOW_OVER


@given(st.lists(foreign_rows, max_size=3, unique_by=lambda item: item.adjust_id), holdings)
def test_settling_is_a_function_of_its_inputs(rows: list[HistoryRow], held: Decimal) -> None:
    first = look(intent(), WINDOW_OVER, *rows, shows=loan(held=held))
    assert look(intent(), WINDOW_OVER, *rows, shows=loan(held=held)) == first


TWIN = WINDOW_OVER + 1_000  # a row of an intent that is signed later can't be taken for one of the default's


@pytest.mark.parametrize(
    ("about", "at", "expected"),
    [
        (intent(State.PLANNED, signed_at_ms=None), TWIN + 1, False),
        (intent(State.UNKNOWN), TWIN + 1, False),
        (intent(State.ACCEPTED, adjust_id="r1"), SENT, True),
        (intent(State.CONFIRMED, adjust_id="r1"), SENT, True),
        (intent(State.REJECTED), SENT, True),
        (intent(State.WITHDRAWN), SENT, True),
        (intent(State.ABSENT), TWIN, False),
        (intent(State.ABSENT), TWIN + 1, True),
        (intent(State.AMBIGUOUS), TWIN + 1, True),
        (intent(State.CONFIRMED), TWIN + 1, False),  # by a person, who may have found its row late
        (intent(State.CONFIRMED), SENT + WINDOW + 61_001, True),
        (intent(State.UNKNOWN, direction=Direction.TRANSFER), SENT, True),  # its row has its own id
    ],
)
def test_an_amount_may_be_used_again_once_its_last_use_cannot_be_mistaken(
    about: Intent, at: int, *, expected: bool
) -> None:
    assert is_told_apart(about, TIMEOUTS, moment(at)) is expected


@pytest.mark.parametrize(
    ("holds", "rows", "siblings", "expected"),
    [
        ("1.10000137", [], [], True),
        ("1", [], [], False),
        ("1.10000136", [], [], True),  # a displayed digit
        ("1.1001", [], [], False),
        ("1.30000137", [row("hand", "0.2")], [], True),
        ("1.2", [row("hand", "0.2")], [], False),
        ("1.15000137", [], ["0.05"], True),
        ("1.05", [], ["0.05"], False),
        ("1.10000137", [], [OURS], False),  # it may be the other's
        ("1.10000137", [row("hand", OURS)], [], False),  # a row explains it
        ("1.10000137", [row("own", OURS)], [], True),  # its own does not count against it
    ],
)
def test_an_accepted_add_is_in_the_loan_where_nothing_else_explains_its_coins(
    holds: str, rows: list[HistoryRow], siblings: list[str], *, expected: bool
) -> None:
    accepted = intent(State.ACCEPTED, adjust_id="own")
    assert coins_show(accepted, rows, loan(held=holds), [D(item) for item in siblings]) is expected


@pytest.mark.parametrize(
    ("holds", "rows", "siblings", "expected"),
    [
        ("0.89999863", [], [], True),
        ("0.8999", [], [], False),  # partly liquidated
        ("1", [], [], False),
        ("1.09999863", [row("hand", "0.2")], [], True),
        ("0.94999863", [], ["0.05"], True),  # its rescue is in the loan
        ("1.05", [], ["0.05"], False),
        ("0.89999863", [row("hand", OURS, direction=REDUCE)], [], False),
    ],
)
def test_an_accepted_release_has_left_the_loan_where_nothing_else_explains_its_coins(
    holds: str, rows: list[HistoryRow], siblings: list[str], *, expected: bool
) -> None:
    accepted = intent(State.ACCEPTED, adjust_id="own", direction=REDUCE)
    assert coins_show(accepted, rows, loan(held=holds), [D(item) for item in siblings]) is expected


def test_coins_that_left_are_never_taken_for_a_repayment() -> None:
    accepted = intent(State.ACCEPTED, adjust_id="own", direction=Direction.REPAY)
    assert not coins_show(accepted, [], loan(held="0.89999863"))


@pytest.mark.parametrize(("holds", "expected"), [("101", True), ("100", False), ("102", False)])
def test_coins_without_decimals_are_counted_exactly(holds: str, *, expected: bool) -> None:
    accepted = intent(State.ACCEPTED, adjust_id="own", amount="1", before="100")
    assert coins_show(accepted, [], loan(held=holds, accuracy=0)) is expected
