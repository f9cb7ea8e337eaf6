"""Where an intent can go, exhaustively, and where it can't."""

from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from core_builders import REDUCE, D, intent

from ltv_guard.core.errors import ImpossibleTransition
from ltv_guard.core.intents import OPEN, SPENT, TRANSITIONS, State

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
    if sensible and before is not after:
        assert intent(before).resolved_by_human(after, 42).state is after
    else:
        with pytest.raises(ImpossibleTransition):
            intent(before).resolved_by_human(after, 42)


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
