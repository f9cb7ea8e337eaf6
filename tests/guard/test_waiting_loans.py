"""Who waits long for a turn to write is told of: once, when a cycle has acted, and once that it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import structlog
from core_builders import D, decide_one, facts, key, loan
from exchange_model import a_guard, a_world, key_of
from one_at_a_time import one_at_a_time
from slow_exchange import SlowAccountDaemon, SlowWorld, in_made_up_time

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Direction, Kind, Owner, Product
from ltv_guard.guard.lane import Lane
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.waiting_loans import WaitingLoans
from ltv_guard.log.alert_repeater import AlertRepeater

BEGIN, END = "loans_wait_for_turns", "loans_wait_no_more"
CALM = "z"  # an order that is not in breach


def of_waiting(said: Sequence[Any]) -> list[Any]:
    return [item for item in said if item["event"] in {BEGIN, END}]


async def told_of(ltvs: Sequence[str], *, cycles: int, live: bool = True) -> list[Any]:
    """Everything that is said, in the order of the saying."""
    world = a_world(*ltvs, "0.50")
    world.move(key_of(len(ltvs) + 1), Direction.ADD, Decimal("0.05"), None)  # what directions mean is known
    world.advance(1_000)
    one_at_a_time(world, lambda: None)
    guard = a_guard(world, MemoryJournal(), live=live)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as said:
        for _ in range(cycles):
            await guard.cycle()
            world.advance(100)
    assert bool(world.sent) is live
    return said


async def test_loans_that_wait_longer_than_five_seconds_are_told_of_once_and_so_is_the_end() -> None:
    said = await told_of(["0.76"] * 18 + ["0.78"] + ["0.80"] * 7, cycles=8)
    begin, end = of_waiting(said)
    assert (begin["event"], begin["log_level"]) == (BEGIN, "warning")
    assert begin["loans"] == 26 - 7
    assert (begin["loan_id"], begin["ltv"], begin["seconds"]) == ("19", Decimal("0.78"), 6)
    assert "one adjustment a second" in begin["why"]
    assert begin["account"] == "main"
    assert (end["event"], end["log_level"]) == (END, "info")
    assert end["seconds"] == 27  # as the fourth cycle ended, after 26 turns


async def test_it_is_told_when_the_cycle_has_acted_and_not_between_a_decision_and_its_request() -> None:
    said = [item["event"] for item in await told_of(["0.80"] * 8, cycles=1)]
    assert said.index(BEGIN) > max(at for at, event in enumerate(said) if event == "adjustment_accepted")


async def test_where_all_have_their_turns_soon_nothing_is_said() -> None:
    assert not of_waiting(await told_of(["0.80"] * 5, cycles=3))


async def test_who_is_not_helped_for_another_reason_waits_for_no_turn() -> None:
    assert not of_waiting(await told_of(["0.80"] * 12, cycles=12, live=False))


def test_where_answers_are_slow_it_says_so() -> None:
    async def six_orders_fall() -> list[Any]:
        plain = a_world(*["0.78"] * 6)
        world = SlowWorld(loans=plain.loans, wallet=plain.wallet, answer_s=lambda _: 3.0)
        daemon = SlowAccountDaemon(world)
        with structlog.testing.capture_logs() as said:
            running = asyncio.create_task(daemon.run())
            await asyncio.sleep(120)
            await daemon.end(running)
        assert {item.key for item in world.sent} == set(map(key_of, range(1, 7)))
        return of_waiting(said)

    begin, end = in_made_up_time(six_orders_fall())
    assert (begin["event"], begin["loans"], begin["ltv"]) == (BEGIN, 5, Decimal("0.7800"))
    assert "answers slowly: one takes 6.0 s" in begin["why"]
    assert end["event"] == END


class Cycles:
    """Cycles of made-up time, in one world; each ends with orders that wait, by name."""

    def __init__(self) -> None:
        self._clock = a_world()
        self._began_ms = self._clock.monotonic_ms
        self._waiting = WaitingLoans(AlertRepeater(lambda: self._clock.monotonic_ms), self._clock)

    def _comes_to(self, at_s: float) -> None:
        self._clock.advance(self._began_ms + int(at_s * 1000) - self._clock.monotonic_ms)

    def act(
        self,
        began_s: float,
        ended_s: float,
        decided: str,
        left: str,
        *,
        turns: str | None = None,
        in_haste: bool = False,
    ) -> list[Any]:
        """What is told of a cycle that acted on these decisions, and left others waiting."""
        self._comes_to(began_s)
        lane = Lane(owner=Owner("testnet", "1"), product=Product.LEGACY, kind=Kind.ADJUSTMENT)
        lane.began, lane.waiting = self._clock.now(), [key(name) for name in left]
        lane.tried = {key(name) for name in (set(decided) - set(left) if turns is None else turns)}
        lane.decisions = {key(name): breach(name) for name in {*decided, *left}}
        book = LoanBook(product=Product.LEGACY, loans=(), began=self._clock.now(), pages=1)
        snapshot = Snapshot(books={Product.LEGACY: book}, in_haste=in_haste, lanes=(lane,))
        return self._ends(ended_s, snapshot, [lane.decisions[key(name)] for name in decided])

    def see_nothing(self, ended_s: float) -> list[Any]:
        """The same of one that could read no loans."""
        return self._ends(ended_s, Snapshot(), [])

    def _ends(self, at_s: float, snapshot: Snapshot, decisions: Sequence[Decision]) -> list[Any]:
        self._comes_to(at_s)
        with structlog.testing.capture_logs() as said:
            self._waiting.tell(snapshot, decisions)
        return said


def breach(name: str) -> Decision:
    found: Decision = decide_one(facts(loan(D("0.80"), loan_id=name)))
    assert found.breach
    assert found.acts
    return replace(found, breach=name != CALM)


def test_one_that_came_while_the_cycle_acted_waits_from_its_end() -> None:
    cycles = Cycles()
    assert not cycles.act(0, 7, "a", "b")
    assert not cycles.act(7, 11, "b", "b")
    (told,) = cycles.act(11, 12.5, "b", "b")
    assert (told["loan_id"], told["seconds"]) == ("b", 5)


def test_a_cycle_in_haste_does_not_end_the_waiting_of_whom_it_did_not_look_at() -> None:
    cycles = Cycles()
    assert not cycles.act(0, 4, "ab", "b")
    (told,) = cycles.act(4, 6, "c", "", in_haste=True)
    assert (told["loan_id"], told["loans"], told["seconds"]) == ("b", 1, 6)
    (told,) = cycles.act(6, 8, "b", "")
    assert (told["event"], told["seconds"]) == (END, 8)


def test_a_turn_ends_the_waiting_and_the_next_one_is_counted_from_anew() -> None:
    cycles = Cycles()
    assert not cycles.act(0, 4, "ab", "b")
    assert not cycles.act(4, 6, "", "", turns="b", in_haste=True)
    assert not cycles.act(6, 8, "b", "b")


def test_whom_a_whole_read_does_not_show_waits_no_more() -> None:
    cycles = Cycles()
    assert not cycles.act(0, 4, "ab", "b")
    assert not cycles.act(4, 6, "a", "")


def test_the_one_that_waits_longest_is_named_and_all_are_counted_that_are_in_breach() -> None:
    cycles = Cycles()
    assert not cycles.act(0, 4, "abz", "cbz")
    (told,) = cycles.act(4, 6, "bcz", "cbz")
    assert (told["loan_id"], told["loans"], told["seconds"]) == ("b", 2, 6)


def test_while_no_loans_can_be_read_it_neither_begins_nor_ends() -> None:
    cycles = Cycles()
    assert not cycles.act(0, 4, "ab", "b")
    assert not cycles.see_nothing(6)
    (told,) = cycles.act(6, 7, "b", "b")
    assert (told["event"], told["seconds"]) == (BEGIN, 7)
    assert not cycles.see_nothing(9)
