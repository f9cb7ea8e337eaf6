"""Whose cycle begins first where more want to than there is CPU for, by a clock that is set by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from waits import until

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.admission import (
    AT_ONCE,
    LASTS_S,
    LATE_S,
    LONGEST_S,
    LOOK_S,
    OVERDUE_S,
    RANKED_S,
    Admission,
)
from ltv_guard.service.duties import Duties
from ltv_guard.service.scheduler import Daemon

KEY = LoanKey(Product.LEGACY, "1")
FEW = AT_ONCE
MANY = 100


@dataclass(eq=False)
class Cycle:
    is_over: bool = False
    told: list[Callable[[Any], None]] = field(default_factory=list)

    def add_done_callback(self, tell: Callable[[Any], None]) -> None:
        self.told.append(tell)

    def end(self) -> None:
        self.is_over = True
        for tell in self.told:
            tell(self)


class Loop:
    """Each turn takes `turn_s`; cycles end when they are told to. `order` is whose cycles began."""

    def __init__(self, turn_s: float = 0.0) -> None:
        self.turn_s = turn_s
        self.now_s = 100.0
        self.gaps: dict[str, Decimal] = {}
        self.is_broken = False
        self.order: list[str] = []
        self.keys: dict[str, set[LoanKey]] = {}
        self.began_s: dict[str, float] = {}
        self.cycles: dict[str, Cycle] = {}
        self._numbers = itertools.count()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self.admission = Admission(
            cast("Any", self._begin),
            self._gap,
            AlertRepeater(lambda: 0),
            monotonic=lambda: self.now_s,
            later=self._later,
        )

    def _begin(self, name: str, keys: Collection[LoanKey]) -> Cycle:
        self.order.append(name)
        self.keys[name] = set(keys)
        self.began_s[name] = self.now_s
        self.cycles[name] = Cycle()
        return self.cycles[name]

    def _gap(self, name: str) -> Decimal:
        if self.is_broken:
            raise ZeroDivisionError
        return self.gaps[name]

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (self.now_s + seconds, next(self._numbers), do))

    def turns(self, most: int) -> None:
        """So many turns, or until nothing is due any more."""
        for _ in range(most):
            if not self._calls:
                return
            due_s, _, do = heapq.heappop(self._calls)
            self.now_s = max(due_s, self.now_s + self.turn_s)
            do()

    def pass_s(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self._calls and self.now_s < until_s:
            self.turns(1)

    def end(self, name: str, *, helped: bool = True) -> None:
        self.cycles[name].end()
        if helped:
            self.admission.helped(name)
        self.turns(1)

    @property
    def under_way(self) -> list[str]:
        """The one that began first, first."""
        return [name for name, cycle in self.cycles.items() if not cycle.is_over]

    def all_breach(self, many: int) -> list[str]:
        """They ask in no order; returned in that in which they should have help."""
        self.gaps = {f"a{number:03}": Decimal(number) / 1000 - 1 for number in range(many)}
        for number in range(many):
            self.admission.ask(f"a{number * 37 % many:03}")
        return sorted(self.gaps, key=self.gaps.__getitem__)


def test_a_few_accounts_begin_at_once_however_slow_the_loop_is() -> None:
    loop = Loop(turn_s=1.0)

    loop.all_breach(FEW)

    assert len(loop.order) == FEW
    assert not loop.admission.names


def test_while_the_loop_keeps_up_nobody_waits_for_a_cycle_to_end() -> None:
    loop = Loop(turn_s=LATE_S / 2)  # as on a slow exchange: cycles wait for answers and use no CPU

    asked_s = loop.now_s
    ranked = loop.all_breach(MANY)
    loop.turns(MANY)

    assert len(loop.order) == MANY
    assert loop.now_s - asked_s <= MANY * LATE_S
    late = [name for name in ranked if name not in loop.order[:FEW]]
    assert loop.order[FEW:] == late, "and the most endangered begins first"


def test_while_the_loop_is_late_the_most_endangered_begins_as_another_ends() -> None:
    loop = Loop(turn_s=10 * LATE_S)

    ranked = loop.all_breach(MANY)
    loop.turns(50)
    assert len(loop.order) == FEW
    for _ in range(MANY - FEW):
        loop.end(loop.under_way[0])

    assert loop.order[FEW:] == [name for name in ranked if name not in loop.order[:FEW]]


@pytest.mark.parametrize(
    ("turns_s", "begun"),
    [
        ([0.0] * 5, FEW + 5),
        ([LATE_S] * 5, FEW + 5),
        ([LATE_S + LOOK_S] * 5, FEW),
        ([1.0] * 5, FEW),
        ([0.0, 0.0, 1.0, 0.0], FEW + 3),
        ([1.0, 0.0, 1.0, 0.0, 0.0], FEW + 3),
    ],
    ids=["idle", "just in time", "just late", "late", "a pause of the loop", "on and off"],
)
def test_a_turn_that_was_not_late_admits_one(turns_s: list[float], begun: int) -> None:
    loop = Loop()

    loop.all_breach(MANY)
    for turn_s in turns_s:
        loop.turn_s = turn_s
        loop.turns(1)

    assert len(loop.order) == begun


def test_the_line_follows_prices_of_now() -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(MANY)
    loop.now_s += RANKED_S

    waiting = sorted(loop.admission.names)
    loop.gaps[waiting[-1]] = Decimal(-5)
    loop.end(loop.order[0])

    assert loop.order[-1] == waiting[-1]


def test_nobody_waits_longer_than_that_however_late_the_loop_is_and_whoever_else_comes() -> None:
    loop = Loop(turn_s=2 * LATE_S)
    loop.all_breach(MANY)
    loop.gaps["behind"] = Decimal(1)
    loop.admission.ask("behind")
    asked_s = loop.now_s
    begun = [(loop.now_s, len(loop.order))]

    while "behind" not in loop.began_s and loop.now_s < asked_s + 1000:
        loop.turns(1)
        for name in loop.order[begun[-1][1] :]:  # looked at in vain, it asks again
            loop.cycles.pop(name)
            loop.cycles[f"another {name}"] = Cycle()
            loop.admission.ask(name)
        begun.append((loop.now_s, len(loop.order)))

    assert loop.began_s["behind"] - asked_s <= LONGEST_S + (MANY + 1) * (OVERDUE_S + 2 * LATE_S)
    assert max(number for at_s, number in begun if at_s <= asked_s + LONGEST_S) == FEW
    when_s = [after[0] for before, after in itertools.pairwise(begun) if after[1] > before[1]]
    assert len(when_s) == len(loop.order) - FEW, "never two at once"
    assert all(after_s - before_s >= OVERDUE_S for before_s, after_s in itertools.pairwise(when_s))


def test_of_those_who_have_waited_too_long_the_most_endangered_begins_first() -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(MANY)
    first, *_, last = loop.admission.names
    loop.gaps |= {first: Decimal(5), last: Decimal(-5)}

    loop.pass_s(LONGEST_S + 2)

    assert loop.order[FEW] == last


def test_too_little_cpu_is_told_once_with_how_many_wait_and_its_end_a_minute_later(
    events: list[dict[str, Any]],
) -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(FEW + 1)
    loop.turns(4)
    assert not events

    loop.turns(4)
    for name in loop.under_way[:3]:
        loop.end(name)
    loop.admission.ask("a000")
    told = [*events]
    loop.now_s += LASTS_S
    loop.admission.ask("a001")

    assert [(event["event"], event["waiting"], event["seconds"]) for event in told] == [
        ("too_little_cpu", 1, 6)
    ]
    assert [event["event"] for event in events[1:]] == ["cpu_suffices"]


def test_one_in_line_gets_on_while_the_line_moves() -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(FEW + 2)
    begins, waits = sorted(loop.admission.names, key=loop.gaps.__getitem__)

    before = loop.admission.progress(waits)
    assert loop.admission.progress(waits) == before
    loop.end(loop.under_way[0])

    assert begins in loop.under_way
    assert loop.admission.progress(waits) != before
    assert loop.admission.progress(begins) == loop.admission.progress("nobody")


def test_accounts_that_cannot_be_helped_keep_nobody_from_a_first_look() -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(3 * FEW)
    for name in loop.order:
        loop.gaps[name] = Decimal(-9)

    looks = 0
    while len(set(loop.order)) < 3 * FEW:
        name = loop.under_way[0]
        loop.end(name, helped=False)
        loop.admission.ask(name)
        looks += 1

    assert looks <= 3 * FEW, "each of them had one more look at most meanwhile"


@pytest.mark.parametrize(("helped", "is_next"), [(True, True), (False, False)])
def test_one_that_was_helped_and_needs_more_keeps_its_place(*, helped: bool, is_next: bool) -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(3 * FEW)
    loop.end(loop.order[0])
    worst = loop.order[-1]  # it had been in line

    loop.end(worst, helped=helped)
    loop.admission.ask(worst)
    loop.end(loop.order[1])

    assert (loop.order[-1] == worst) is is_next


def test_who_comes_later_comes_after_those_more_endangered_who_were_looked_at_in_vain_as_often() -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(FEW)
    names = ("first", "second", "third", "later")
    loop.gaps |= {name: Decimal(place) for place, name in enumerate(names, start=-4)}

    for name in names[:3]:
        loop.admission.ask(name)
    loop.end(loop.under_way[0])
    for name in names[:2]:
        loop.end(name, helped=False)
        loop.admission.ask(name)
    loop.end("third")
    loop.admission.ask("later")
    loop.end("first")

    assert loop.order[FEW:] == ["first", "second", "third", "first", "second"]


def test_once_nobody_is_in_line_it_is_forgotten_who_was_looked_at_in_vain() -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(FEW)
    loop.gaps |= {"worst": Decimal(-4), "other": Decimal(-3)}
    loop.admission.ask("worst")
    loop.end(loop.under_way[0])

    for name in ("worst", "other"):
        loop.cycles.pop(name, None)
        loop.cycles.setdefault("filler", Cycle())
        loop.admission.ask(name)
    loop.end(loop.under_way[0])

    assert loop.order[-1] == "worst"


def test_what_is_wanted_of_one_in_line_is_kept_for_its_look_and_it_has_one_place() -> None:
    loop = Loop(turn_s=1.0)
    ranked = loop.all_breach(FEW + 1)
    (last,) = loop.admission.names

    loop.admission.ask(last, [KEY])
    loop.admission.ask(last)
    loop.end(loop.order[0])

    assert ranked
    assert loop.order.count(last) == 1
    assert loop.keys[last] == {KEY}


def test_one_that_leaves_the_line_is_not_begun() -> None:
    loop = Loop(turn_s=1.0)
    loop.all_breach(FEW + 1)
    (last,) = loop.admission.names
    loop.admission.ask(last, [KEY])

    assert set(loop.admission.leave(last)) == {KEY}
    assert loop.admission.leave(last) == ()
    loop.end(loop.order[0])

    assert last not in loop.order


@pytest.mark.parametrize("when", ["asking", "ranking"])
def test_an_error_of_ours_leaves_all_as_if_there_were_no_line(
    when: str, events: list[dict[str, Any]]
) -> None:
    loop = Loop(turn_s=1.0)
    if when == "ranking":
        loop.all_breach(MANY)
    broken = {f"a{number:03}" for number in range(MANY)} - set(loop.order)
    loop.now_s += RANKED_S
    loop.is_broken = True

    for name in broken if when == "asking" else ():
        loop.admission.ask(name)
    loop.turns(1)
    loop.end(loop.order[0])

    assert broken <= set(loop.order)
    assert [event["event"] for event in events] == ["defect"]


@dataclass
class Guarded:
    """A guard whose cycles last until the end; `open_intents`: something of it is in flight."""

    open_intents: bool = False
    urged: list[LoanKey] = field(default_factory=list)
    alerts: AlertRepeater = field(default_factory=lambda: AlertRepeater(lambda: 0))

    @property
    def intents(self) -> Any:  # noqa: ANN401 - of an intent book this alone is asked
        return SimpleNamespace(none_is_open=lambda: not self.open_intents)

    def urge(self, keys: Collection[LoanKey]) -> None:
        self.urged += keys

    async def cycle(self) -> CycleResult:
        await asyncio.Event().wait()
        return CycleResult()

    async def drain(self) -> None:
        """Nothing is under way."""


async def nothing(*_: object) -> int:
    return 0


def daemon_of(guards: Any) -> Daemon:  # noqa: ANN401 - mappings of stand-ins
    return Daemon(
        Duties(
            guards=guards,
            poll_s=3600,
            settle_s=3600,
            shutdown_s=0.01,
            measure_clock=nothing,
            heartbeat=nothing,  # type: ignore[arg-type]
        )
    )


async def test_those_in_line_ask_nothing_yet_and_who_settles_or_is_calm_waits_for_nobody() -> None:
    guards: Any = {f"a{number}": Guarded() for number in range(FEW + 4)}
    daemon = daemon_of(guards)
    *first, behind, near, settles, calm = guards
    for name in (near, settles):
        daemon._armed.arm(name)

    for name in (*first, behind, settles):  # in one turn of the loop
        daemon._wake(name, [KEY])
    woken = [name for name, guard in guards.items() if guard.urged]
    guards[settles].open_intents = True
    for name in (near, settles, calm):
        daemon._start(name)

    assert woken == first
    assert daemon.line.names == {behind, near}
    assert set(daemon._running) == guards.keys() - {behind, near}
    assert guards[settles].urged == [KEY], "and what it was woken for is looked at first"
    await daemon._finish()


async def test_a_hundred_whose_exchange_is_slow_are_all_under_way_at_once() -> None:
    guards: Any = {f"a{number:03}": Guarded() for number in range(MANY)}
    daemon = daemon_of(guards)

    for name in guards:
        daemon._wake(name, [KEY])
    await until(lambda: all(guard.urged for guard in guards.values()))

    assert daemon._running.keys() == guards.keys(), "and none of them has ended"
    await daemon._finish()


async def test_an_account_that_leaves_the_daemon_leaves_the_line() -> None:
    guards: Any = {f"a{number}": Guarded() for number in range(FEW + 1)}
    daemon = daemon_of(guards)
    for name in guards:
        daemon._wake(name, [KEY])
    (last,) = daemon.line.names

    assert await daemon.let_go(last, guards[last])

    assert not guards[last].urged
    await daemon._finish()


async def test_once_a_daemon_ends_prices_have_nothing_read() -> None:
    guards: Any = {"main": Guarded()}
    daemon = daemon_of(guards)
    daemon._ending = True

    daemon._wake("main", [KEY])

    assert not guards["main"].urged
    assert not daemon._running


async def test_an_account_that_has_another_key_leaves_the_line_until_what_was_under_way_has_ended() -> None:
    guards: Any = {f"a{number}": Guarded() for number in range(FEW + 1)}
    daemon, others = daemon_of(guards), {name: Guarded() for name in guards}
    adopting = asyncio.create_task(daemon.adopt(replace(daemon._duties, guards=cast("Any", others))))
    for name in guards:  # before it begins
        daemon._wake(name, [KEY])
    for _ in range(20):
        await asyncio.sleep(0)

    assert not daemon.line.names
    assert not any(guard.urged for guard in others.values())
    adopting.cancel()
    await daemon._finish()


@pytest.mark.parametrize("actions", [0, 1])
def test_only_a_cycle_that_sent_something_was_not_in_vain(
    actions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon, helped = daemon_of({}), list[str]()
    monkeypatch.setattr(daemon.line, "helped", helped.append)

    daemon._heed("main", CycleResult(actions=actions))

    assert helped == ["main"] * actions
