"""Where an intent can go, exhaustively, and where it can't."""

from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from core_builders import REDUCE, D, intent

from ltv_guard.core.model.errors import ImpossibleTransition
from ltv_guard.core.model.intents import OPEN, SPENT, TRANSITIONS, State
from ltv_guard.core.model.loans import Direction

# As "The life of one adjustment" draws it.
LIFE = {
    "planned": {"withdrawn", "sent"},
    "sent": {"withdrawn", "rejected", "accepted", "unknown"},
    "accepted": {"confirmed", "rejected"},
    "unknown": {"confirmed", "rejected", "absent", "ambiguous"},
    "absent": {"confirmed"},
    "withdrawn": set(),
    "rejected": set(),
    "confirmed": set(),
    "ambiguous": set(),
}
EVERY_STEP = [(before, after) for before in State for after in State]


@pytest.mark.parametrize(("before", "after"), EVERY_STEP)
def test_an_intent_goes_where_the_design_leads_and_nowhere_else(before: State, after: State) -> None:
    start = intent(before)
    if after in LIFE[before]:
        moved = start.to(after, 42, ret_msg="why")
        assert (moved.state, moved.updated_at_ms, moved.ret_msg) == (after, 42, "why")
        assert (moved.amount, moved.signed_at_ms) == (start.amount, start.signed_at_ms)
    else:
        with pytest.raises(ImpossibleTransition, match=f"i1 cannot go from {before} to {after}"):
            start.to(after, 42)


@pytest.mark.parametrize(("before", "after"), EVERY_STEP)
def test_a_person_can_only_say_that_it_happened_or_did_not(before: State, after: State) -> None:
    sensible = before in {"accepted", "unknown", "ambiguous", "absent"} and after in {"confirmed", "absent"}
    start = intent(before, signed_at_ms=1, recv_window_ms=1)
    if sensible and before is not after:
        assert start.resolved_by_human(after, 42_000, forced=True).state is after
    else:
        with pytest.raises(ImpossibleTransition):
            start.resolved_by_human(after, 42_000, forced=True)


def test_every_state_is_either_open_or_an_end() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(OPEN) == {"planned", "sent", "accepted", "unknown"}
    assert all(intent(state).is_open == (state in OPEN) for state in State)


def test_budgets_count_whatever_may_have_had_an_effect() -> None:
    assert set(State) - SPENT == {"withdrawn", "rejected", "absent"}


def test_no_way_leads_back_from_an_end_to_an_open_state() -> None:
    assert all(not (after & OPEN) for before, after in TRANSITIONS.items() if before not in OPEN)


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "-0"])
def test_an_amount_that_is_none_does_not_construct(amount: str) -> None:
    with pytest.raises(ValueError, match="is not possible"):
        intent(amount=amount)


def test_the_change_of_a_release_is_negative() -> None:
    assert intent(amount="2").change == D(2)
    assert intent(amount="2", direction=REDUCE).change == D(-2)


def test_an_intent_is_a_value_that_nobody_can_change() -> None:
    with pytest.raises(FrozenInstanceError):
        intent().amount = Decimal(5)  # type: ignore[misc]


@pytest.mark.parametrize("state", [State.UNKNOWN, State.ACCEPTED, State.AMBIGUOUS])
def test_nothing_is_absent_for_a_person_before_its_window_and_a_margin_are_over(state: State) -> None:
    start = intent(state, signed_at_ms=100_000, recv_window_ms=5_000)
    for early_ms, seconds in ((100_000, 10), (105_000, 5), (109_001, 1), (109_999, 1)):
        with pytest.raises(ImpossibleTransition, match=f"may still take effect: in {seconds} s"):
            start.resolved_by_human(State.ABSENT, early_ms)
    assert start.resolved_by_human(State.ABSENT, 110_000).state is State.ABSENT


def test_a_person_names_the_row_of_what_is_confirmed() -> None:
    start = intent(State.UNKNOWN)
    with pytest.raises(ImpossibleTransition, match="--adjust-id ID"):
        start.resolved_by_human(State.CONFIRMED, 1)
    assert start.resolved_by_human(State.CONFIRMED, 1, adjust_id="7").adjust_id == "7"
    assert start.resolved_by_human(State.CONFIRMED, 1, forced=True).adjust_id is None


def test_what_has_an_id_needs_none_and_takes_no_other() -> None:
    start = intent(State.ACCEPTED, adjust_id="7")
    assert start.resolved_by_human(State.CONFIRMED, 1).adjust_id == "7"
    assert start.resolved_by_human(State.CONFIRMED, 1, adjust_id="7").adjust_id == "7"
    with pytest.raises(ImpossibleTransition, match="has the id 7, not 8"):
        start.resolved_by_human(State.CONFIRMED, 1, adjust_id="8", forced=True)


def test_what_is_absent_has_no_row() -> None:
    with pytest.raises(ImpossibleTransition, match="cannot be absent and be the row 7"):
        intent(State.UNKNOWN).resolved_by_human(State.ABSENT, 1, adjust_id="7")


@pytest.mark.parametrize("written", ["1771", "repay-1771"])
def test_a_repayments_row_is_told_apart_from_an_adjustments(written: str) -> None:
    start = intent(State.UNKNOWN, direction=Direction.REPAY)
    assert start.resolved_by_human(State.CONFIRMED, 1, adjust_id=written).adjust_id == "repay-1771"
