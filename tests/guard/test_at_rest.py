"""What is kept of loans at rest changes nothing: not a decision, not a send, whatever happens to them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from exchange_model import POLICY, World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, LoanKey
from ltv_guard.guard.at_rest import AtRest, Resting
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.snapshot import Snapshot

LTVS = ("0.50", "0.62", "0.45", "0.70", "0.58")
HOUR_MS = 3_600_000
UNRELEASED = replace(POLICY, reduce=replace(POLICY.reduce, enabled=False))


class NeverAtRest(AtRest):
    """Each loan is decided on anew, as if nothing were kept."""

    def among(self, snapshot: Snapshot) -> Mapping[LoanKey, Resting]:
        super().among(snapshot)
        return {}

    def note(self, *_: Any) -> None:  # noqa: ANN401 - nothing
        """It keeps nothing."""


class Counting(AtRest):
    """Counts what was kept."""

    rested = 0

    def among(self, snapshot: Snapshot) -> Mapping[LoanKey, Resting]:
        found = super().among(snapshot)
        self.rested += len(found)
        return found


def with_kept(guard: Guard, kind: type[AtRest]) -> AtRest:
    guard._parts.decider._at_rest = kept = kind(guard._memory)
    return kept


def happens(world: World, chance: random.Random) -> None:
    """Something, or (mostly) nothing, to any of the loans."""
    key = key_of(chance.randint(1, len(LTVS)))
    match chance.randrange(14):
        case 0:
            world.price *= Decimal(chance.choice(("0.9", "0.97", "1.02", "1.2", "1.6")))
        case 1:
            world.move(key, Direction.ADD, Decimal("0.1"), None)
        case 2:
            world.repay_part(key, Decimal("0.2"))
        case 3:
            world.loans[key].gone = not world.loans[key].gone
        case 4:
            world.answers.append(chance.choice(("refused_for_now", "lost_answer", "late:2000", "refused")))
        case 5:
            world.orders_down = not world.orders_down
        case 6:
            world.history_down = not world.history_down
        case 7:
            world.stale_ms = chance.choice((0, 8_000))
        case _:
            pass
    world.advance(chance.choice((1_000, 5_000, 15_000)))


def seen(intents: Iterable[Intent]) -> list[tuple[object, ...]]:
    return [(item.key, item.direction, item.amount, item.reason) for item in intents]


@pytest.mark.parametrize(
    "seed", [4, 5, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 16))]
)
@pytest.mark.parametrize("policy", [POLICY, UNRELEASED], ids=["releases", "adds only"])
async def test_decisions_and_sends_are_those_of_a_guard_that_keeps_nothing(policy: Any, seed: int) -> None:  # noqa: ANN401
    worlds = [a_world(*LTVS, pool="0.5"), a_world(*LTVS, pool="0.5")]
    guards = [a_guard(world, MemoryJournal(), policy=policy) for world in worlds]
    kept = with_kept(guards[0], Counting)
    with_kept(guards[1], NeverAtRest)
    chances = [random.Random(seed), random.Random(seed)]
    for _ in range(40):
        results = []
        for world, guard, chance in zip(worlds, guards, chances, strict=True):
            results.append(await guard.cycle())
            happens(world, chance)
        assert results[0] == results[1]
    assert seen(worlds[0].sent) == seen(worlds[1].sent)
    assert isinstance(kept, Counting)
    assert kept.rested > 0


async def test_a_loan_that_was_adjusted_lately_does_not_rest() -> None:
    world = a_world("0.80", "0.50")
    guard = a_guard(world, MemoryJournal())
    kept = with_kept(guard, AtRest)
    for _ in range(8):
        world.advance(15_000)
        await guard.cycle()
    assert len(world.sent) == 1
    assert list(kept._known) == [key_of(2)]


async def test_a_quiet_loan_is_decided_on_once() -> None:
    world = a_world("0.60", "0.50")
    guard = a_guard(world, MemoryJournal())
    decided = []
    for _ in range(4):
        world.advance(15_000)
        decided.append((await guard.cycle()).decisions)
    assert [now is before for now, before in zip(decided[3], decided[2], strict=True)] == [True, True]


async def test_it_is_counted_how_long_a_loan_is_low_though_nothing_is_released_yet() -> None:
    world, journal = a_world("0.39"), MemoryJournal()
    guard = a_guard(world, journal, policy=UNRELEASED)
    for _ in range(5):
        world.advance(15_000)
        await guard.cycle()
    await a_guard(world, journal, policy=POLICY, after=guard).cycle()
    assert [intent.direction for intent in world.sent] == [Direction.REDUCE]


async def test_a_loan_that_rested_is_helped_in_the_cycle_that_shows_its_breach() -> None:
    world = a_world("0.60", "0.50")
    guard = a_guard(world, MemoryJournal())
    for _ in range(4):
        world.advance(15_000)
        await guard.cycle()
    world.price *= Decimal("0.79")
    world.advance(1_000)
    await guard.cycle()
    assert [intent.key for intent in world.sent] == [key_of(1)]
