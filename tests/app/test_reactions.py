"""From a breach to the wire: counted once a breach, by what left, however many cycles it took."""

from __future__ import annotations

from core_builders import REDUCE, SENT, START, decide_one, facts, intent, loan

from ltv_guard.core.model.intents import State
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.service.reactions import Reactions

IN_BREACH = decide_one(facts(loan("0.80")))
IN_BOUNDS = decide_one(facts(loan("0.60")))
ADDED = intent(State.ACCEPTED)  # left at SENT
LATER = intent(State.ACCEPTED, intent_id="i2", signed_at_ms=SENT + 3000)


def a_cycle(actions: int = 0, *, breach: bool = True, blind: bool = False) -> CycleResult:
    decisions = () if blind else (IN_BREACH if breach else IN_BOUNDS,)
    return CycleResult(actions=actions, blind=blind, decisions=decisions)


def test_it_is_counted_from_the_begin_of_the_cycle_that_found_it_and_once() -> None:
    reactions = Reactions()
    reactions.hear("main", a_cycle(1), [ADDED], START)
    reactions.hear("main", a_cycle(1), [ADDED, LATER], START + 2000)
    span = reactions.took("main")
    assert (span.count, span.total_s) == (1, (SENT - START) / 1000)
    assert dict(span.at_most)[0.25] == 0
    assert dict(span.at_most)[0.5] == 1


def test_cycles_that_did_nothing_or_saw_nothing_count_as_waiting() -> None:
    reactions = Reactions()
    reactions.hear("main", a_cycle(), [], START - 15_000)
    reactions.hear("main", a_cycle(blind=True), [], START - 5_000)
    reactions.hear("main", a_cycle(1), [ADDED], START)
    assert reactions.took("main").total_s == (SENT - START + 15_000) / 1000


def test_what_left_before_a_breach_or_is_no_help_does_not_answer_it() -> None:
    reactions = Reactions()
    reactions.hear("main", a_cycle(1), [ADDED, intent(direction=REDUCE)], SENT + 1)
    never_left = intent(State.WITHDRAWN, signed_at_ms=None, recv_window_ms=None)
    reactions.hear("main", a_cycle(1), [never_left], SENT + 1)
    written_too_slowly = intent(State.WITHDRAWN, signed_at_ms=SENT + 2)
    reactions.hear("main", a_cycle(1), [written_too_slowly], SENT + 1)
    assert reactions.took("main").count == 0
    reactions.hear("main", a_cycle(1), [LATER], SENT + 2)
    assert reactions.took("main").count == 1


def test_a_breach_that_is_over_and_comes_again_is_another() -> None:
    reactions = Reactions()
    reactions.hear("main", a_cycle(1), [ADDED], START)
    reactions.hear("main", a_cycle(breach=False), [ADDED], SENT + 1)
    reactions.hear("main", a_cycle(1), [ADDED, LATER], SENT + 2000)
    span = reactions.took("main")
    assert (span.count, span.total_s) == (2, (SENT - START + 1000) / 1000)
