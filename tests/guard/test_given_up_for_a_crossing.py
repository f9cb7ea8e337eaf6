"""Deciding on a long list is left for a loan that has come since and shows a breach; never twice in a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

import pytest
from exchange_model import World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.model.loans import Direction, Loan, LoanKey
from ltv_guard.guard import decider
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.facts import FactBuilder
from ltv_guard.guard.snapshot import CycleResult

MANY = 12
ADJUSTED, SHOWN, URGED = key_of(1), key_of(2), key_of(9)


def helped(world: World) -> list[LoanKey]:
    return [intent.key for intent in world.sent]


@dataclass
class Deciding:
    """A guard with a long list, each of whose loans is a piece of work; what happens at the third of them.

    `gathered`: whose facts were, in the last cycle.
    """

    world: World
    guard: Guard
    at_third: Callable[[], None] = lambda: None
    gathered: list[LoanKey] = field(default_factory=list)

    async def adjusts(self) -> None:
        """One loan: for ten minutes after that histories are read, and all are decided on anew."""
        for _ in range(3):
            await self.cycle()
            self.world.advance(1_000)
        assert (helped(self.world), len(set(self.gathered))) == ([ADJUSTED], MANY)
        self.world.sent.clear()

    async def cycle(self) -> CycleResult:
        self.gathered.clear()
        return await self.guard.cycle()

    def crosses(self, key: LoanKey, by: str = "1.4") -> None:
        """Prices say so, and the exchange shows it from now on."""
        self.world.loans[key].debt *= Decimal(by)
        self.world.advance(1)
        self.guard.urge([key])

    def only_prices_say_so(self) -> None:
        self.world.advance(1)
        self.guard.urge([URGED])


@pytest.fixture
def deciding(monkeypatch: pytest.MonkeyPatch) -> Deciding:
    monkeypatch.setattr(decider, "PIECE", 1)
    world = a_world("0.80", *["0.55"] * (MANY - 1))
    world.rows_per_page = 2
    world.move(key_of(1), Direction.ADD, Decimal("0.01"), None)  # a row that shows what an add does
    world.advance(1_000)
    found = Deciding(world, a_guard(world, MemoryJournal()))
    gather = FactBuilder._loan

    def gathers(self: FactBuilder, loan: Loan, *args: object) -> LoanFacts:
        found.gathered.append(loan.key)
        if len(found.gathered) == 3:
            found.at_third()
        return gather(self, loan, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(FactBuilder, "_loan", gathers)
    return found


async def test_once_a_crossing_is_shown_the_loan_is_helped_before_all_others_are_decided_on(
    deciding: Deciding,
) -> None:
    await deciding.adjusts()
    deciding.at_third = lambda: deciding.crosses(URGED)
    result = await deciding.cycle()
    assert helped(deciding.world) == [URGED]
    assert len(set(deciding.gathered)) < MANY / 2  # the three, and those that are not as they were
    assert result.in_haste  # all are read again at once
    assert {item.loan.key for item in result.decisions} == set(deciding.world.loans)


async def test_what_prices_say_and_the_exchange_does_not_show_leaves_the_others_their_turn(
    deciding: Deciding,
) -> None:
    await deciding.adjusts()
    deciding.at_third = deciding.only_prices_say_so
    await deciding.cycle()
    assert (helped(deciding.world), len(set(deciding.gathered))) == ([], MANY)


async def test_whom_the_list_newly_shows_in_need_is_helped_as_well_though_it_was_left(
    deciding: Deciding,
) -> None:
    await deciding.adjusts()
    deciding.world.loans[SHOWN].debt *= Decimal("1.5")
    deciding.world.advance(1_000)
    deciding.at_third = lambda: deciding.crosses(URGED)
    await deciding.cycle()
    assert sorted(helped(deciding.world)) == [SHOWN, URGED]


async def test_deciding_is_never_left_twice_in_a_row(deciding: Deciding) -> None:
    await deciding.adjusts()
    for number, key in enumerate([URGED, key_of(7), key_of(5)]):
        deciding.world.advance(20_000)
        deciding.at_third = partial(deciding.crosses, key)
        await deciding.cycle()
        assert (len(set(deciding.gathered)) == MANY) is (number == 1)
        deciding.at_third = lambda: None
        if number == 1:
            await deciding.cycle()
    assert helped(deciding.world) == [URGED, key_of(7), key_of(5)]


async def test_an_order_at_a_time_or_all_at_once_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for piece in (1, 5, 100):
        monkeypatch.setattr(decider, "PIECE", piece)
        world = a_world("0.80", *["0.55"] * MANY, "0.76", pool="0.78")
        world.rows_per_page = 2
        guard = a_guard(world, MemoryJournal())
        results = []
        for _ in range(4):
            results.append(await guard.cycle())
            world.advance(5_000)
        told = [[(item.loan.key, item.cause, item.amount) for item in result.decisions] for result in results]
        found.append((told, [(intent.key, intent.amount) for intent in world.sent]))
    assert found[0] == found[1] == found[2]
    assert found[0][1]
