"""For a loan in need a closer look is taken before anything is decided: any decision would ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
import structlog
from exchange_model import POLICY, World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.loans import Loan, LoanKey, Moment
from ltv_guard.core.model.policy import LoanPolicy, Rulebook
from ltv_guard.guard import cycle
from ltv_guard.guard.decider import Decided, Decider
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.reads.closer_look import Wanted
from ltv_guard.guard.snapshot import CycleResult, Snapshot

MANY = 12
URGED = key_of(9)


@dataclass
class Pressing:
    """A guard with many loans. `steps`: what the last cycle did; `emergencies`: as it saw them.

    `ahead`: how often what a closer look wants was read before one was taken.
    """

    world: World
    guard: cycle.Guard
    steps: list[str] = field(default_factory=list)
    ahead: int = 0
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


def pressing(
    monkeypatch: pytest.MonkeyPatch, policy: LoanPolicy = POLICY, *, pages: int = 6, wallet: str = "100"
) -> Pressing:
    world = a_world(*["0.55"] * MANY, wallet=wallet)
    world.rows_per_page, world.page_takes_ms = MANY // pages, 100 if pages > 1 else 0
    found = Pressing(world, a_guard(world, MemoryJournal(), policy=policy))
    decide, wanted = Decider._decide, Needs.to_decide

    async def decides(self: Decider, snapshot: Snapshot, *more: object) -> Decided:
        found.steps.append("decides")
        return await decide(self, snapshot, *more)  # type: ignore[arg-type]

    def wants(self: Needs, snapshot: Snapshot, now: Moment, **more: Sequence[Loan]) -> Wanted:
        if "emergencies" not in more:
            found.ahead += 1
        else:
            found.steps.append("looks closer")
            found.emergencies.extend(loan.key for loan in more["emergencies"])
        return wanted(self, snapshot, now, **more)

    monkeypatch.setattr(Decider, "_decide", decides)
    monkeypatch.setattr(Needs, "to_decide", wants)
    return found


async def test_a_loan_in_need_is_decided_on_once_with_all_that_bears_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded = pressing(monkeypatch)
    await guarded.cycle()
    result = await guarded.crosses()
    assert result.in_haste
    assert [intent.key for intent in guarded.world.sent] == [URGED]
    assert (guarded.steps[0], guarded.emergencies) == ("looks closer", [])
    assert guarded.world.ltv(URGED) < Decimal("0.66")


async def test_so_it_is_where_a_list_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = pressing(monkeypatch, pages=1)
    await guarded.cycle()
    result = await guarded.crosses("1.6")
    assert not result.in_haste
    assert [intent.key for intent in guarded.world.sent] == [URGED]
    assert (guarded.steps[0], guarded.emergencies) == ("looks closer", [URGED])
    assert {item.loan.key for item in result.decisions} == set(guarded.world.loans)


async def test_what_the_next_cycle_will_want_is_read_beside_its_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded = pressing(monkeypatch, pages=1, wallet="0")  # so that it stays in need
    await guarded.cycle()
    guarded.world.loans[URGED].debt *= Decimal("1.4")
    guarded.world.advance(1)
    await guarded.cycle()
    assert (guarded.steps[0], guarded.ahead) == ("looks closer", 0)
    await guarded.cycle()
    assert guarded.ahead == 1


async def test_a_quiet_cycle_looks_no_closer(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = pressing(monkeypatch)
    await guarded.cycle()
    assert guarded.steps == ["decides"]


async def test_an_emergency_is_known_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = pressing(monkeypatch)
    await guarded.cycle()
    await guarded.crosses("1.6")
    assert [intent.key for intent in guarded.world.sent] == [URGED]
    assert (guarded.steps[0], guarded.emergencies) == ("looks closer", [URGED])


async def at_trigger(guarded: Pressing) -> Snapshot:
    """As it is read in haste, where nothing is open."""
    list_read = await guarded.guard._parts.reads.loans._products[URGED.product].loans()
    shown = replace(list_read.loan(URGED) or list_read.loans[0], ltv=Decimal("0.76"))
    book = list_read.with_loan(URGED, replace(list_read, loans=(shown,)))
    return Snapshot(books={URGED.product: book}, in_haste=True)


async def test_one_of_which_something_is_open_is_decided_on_first(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = pressing(monkeypatch)
    await guarded.cycle()
    guarded.world.answers.append("lost_answer")
    await guarded.crosses()
    (intent,) = guarded.guard.intents.every
    assert intent.is_open
    snapshot = await at_trigger(guarded)
    assert guarded.guard._parts.decider.emergencies_if_pressing(snapshot, guarded.guard._rulebook) == []
    snapshot.open_intents = (intent,)
    assert guarded.guard._parts.decider.emergencies_if_pressing(snapshot, guarded.guard._rulebook) is None


async def test_one_that_is_not_protected_is_decided_on_first(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = pressing(monkeypatch, replace(POLICY, protect=False))
    assert (
        guarded.guard._parts.decider.emergencies_if_pressing(
            await at_trigger(guarded), guarded.guard._rulebook
        )
        is None
    )


async def test_an_error_of_ours_in_looking_leaves_it_to_the_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = pressing(monkeypatch)
    await guarded.cycle()

    def fails(*_: object) -> bool:
        raise ArithmeticError("of ours")

    monkeypatch.setattr(Rulebook, "is_in_need", fails)
    with structlog.testing.capture_logs():
        await guarded.crosses()
    assert [intent.key for intent in guarded.world.sent] == [URGED]
    assert guarded.steps[0] == "decides"
