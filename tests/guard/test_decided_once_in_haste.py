"""In haste for a loan in need a closer look is taken before anything is decided: it would be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from exchange_model import POLICY, World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.loans import Loan, LoanKey, Moment
from ltv_guard.core.model.policy import LoanPolicy
from ltv_guard.guard import cycle
from ltv_guard.guard.decider import Decided, Decider
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.reads.closer_look import Wanted
from ltv_guard.guard.snapshot import CycleResult, Snapshot

MANY = 12
URGED = key_of(9)


@dataclass
class Haste:
    """A guard with a long list. `steps`: what the last cycle did; `emergencies`: as it saw them."""

    world: World
    guard: cycle.Guard
    steps: list[str] = field(default_factory=list)
    emergencies: list[LoanKey] = field(default_factory=list)

    async def cycle(self) -> CycleResult:
        self.steps.clear()
        self.emergencies.clear()
        result = await self.guard.cycle()
        self.world.advance(1_000)
        return result

    async def crosses(self, by: str = "1.4") -> CycleResult:
        """Prices put a loan at its trigger, and the exchange shows it there."""
        self.world.loans[URGED].debt *= Decimal(by)
        self.world.advance(1)
        self.guard.urge([URGED])
        return await self.cycle()


def in_haste(monkeypatch: pytest.MonkeyPatch, policy: LoanPolicy = POLICY) -> Haste:
    world = a_world(*["0.55"] * MANY)
    world.rows_per_page, world.page_takes_ms = 2, 100
    found = Haste(world, a_guard(world, MemoryJournal(), policy=policy))
    decide, wanted = Decider._decide, Needs.to_decide

    async def decides(self: Decider, snapshot: Snapshot, *more: object) -> Decided:
        found.steps.append("decides")
        return await decide(self, snapshot, *more)  # type: ignore[arg-type]

    def wants(self: Needs, snapshot: Snapshot, now: Moment, **more: Sequence[Loan]) -> Wanted:
        if "emergencies" in more:  # else it is read ahead
            found.steps.append("looks closer")
            found.emergencies.extend(loan.key for loan in more["emergencies"])
        return wanted(self, snapshot, now, **more)

    monkeypatch.setattr(Decider, "_decide", decides)
    monkeypatch.setattr(Needs, "to_decide", wants)
    return found


async def test_a_loan_in_need_is_decided_on_once_with_all_that_bears_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    haste = in_haste(monkeypatch)
    await haste.cycle()
    result = await haste.crosses()
    assert result.in_haste
    assert [intent.key for intent in haste.world.sent] == [URGED]
    assert (haste.steps[0], haste.emergencies) == ("looks closer", [])
    assert haste.world.ltv(URGED) < Decimal("0.66")


async def test_an_emergency_is_known_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    haste = in_haste(monkeypatch)
    await haste.cycle()
    await haste.crosses("1.6")
    assert [intent.key for intent in haste.world.sent] == [URGED]
    assert (haste.steps[0], haste.emergencies) == ("looks closer", [URGED])


async def at_trigger(haste: Haste) -> Snapshot:
    """As it is read in haste, where nothing is open."""
    list_read = await haste.guard._parts.reads.loans._products[URGED.product].loans()
    shown = replace(list_read.loan(URGED) or list_read.loans[0], ltv=Decimal("0.76"))
    book = list_read.with_loan(URGED, replace(list_read, loans=(shown,)))
    return Snapshot(books={URGED.product: book}, in_haste=True)


async def test_one_of_which_something_is_open_is_decided_on_first(monkeypatch: pytest.MonkeyPatch) -> None:
    haste = in_haste(monkeypatch)
    await haste.cycle()
    haste.world.answers.append("lost_answer")
    await haste.crosses()
    (intent,) = haste.guard.intents.every
    assert intent.is_open
    snapshot = await at_trigger(haste)
    assert haste.guard._parts.decider.emergencies_in_haste(snapshot) == []
    snapshot.open_intents = (intent,)
    assert haste.guard._parts.decider.emergencies_in_haste(snapshot) is None


async def test_one_that_is_not_protected_is_decided_on_first(monkeypatch: pytest.MonkeyPatch) -> None:
    haste = in_haste(monkeypatch, replace(POLICY, protect=False))
    assert haste.guard._parts.decider.emergencies_in_haste(await at_trigger(haste)) is None


async def test_an_error_of_ours_in_looking_leaves_it_to_the_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    haste = in_haste(monkeypatch)
    await haste.cycle()

    def fails(*_: object) -> bool:
        raise ArithmeticError("of ours")

    monkeypatch.setattr(haste.guard._parts.appraisal, "is_in_need", fails)
    await haste.crosses()
    assert [intent.key for intent in haste.world.sent] == [URGED]
    assert haste.steps[0] == "decides"
