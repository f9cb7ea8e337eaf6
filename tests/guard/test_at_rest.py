"""What is kept of loans at rest changes nothing: not a decision, not a send, whatever happens to them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from core_builders import facts, loan
from exchange_model import POLICY, POOL, World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.decide.quotes import Quotes
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Loan, LoanKey, Moment
from ltv_guard.core.reconcile.plausibility import Bearing
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.appraised import Appraised, Rest
from ltv_guard.guard.at_rest import AtRest
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.facts import FactBuilder
from ltv_guard.guard.snapshot import Snapshot

LTVS = ("0.50", "0.62", "0.45", "0.70", "0.58")
HOUR_MS = 3_600_000
UNRELEASED = replace(POLICY, reduce=replace(POLICY.reduce, enabled=False))


class NeverAtRest(AtRest):
    """Each loan is decided on anew, as if nothing were kept."""

    def among(self, snapshot: Snapshot) -> Rest:
        super().among(snapshot)
        return Rest()

    def note(self, *_: Any) -> None:  # noqa: ANN401 - nothing
        """It keeps nothing."""


class Counting(AtRest):
    """Counts what was kept."""

    rested = 0

    def among(self, snapshot: Snapshot) -> Rest:
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


async def test_nothing_of_the_cycle_before_is_held_once_decisions_stand() -> None:
    world = a_world(*LTVS)
    guard = a_guard(world, MemoryJournal(), policy=UNRELEASED)
    kept = with_kept(guard, AtRest)
    for _ in range(4):
        await guard.cycle()
        world.advance(15_000)
    assert len(kept._kept) > 0
    assert len(kept._before) == 0


async def test_a_loan_that_was_adjusted_lately_does_not_rest() -> None:
    world = a_world("0.80", "0.50")
    guard = a_guard(world, MemoryJournal())
    kept = with_kept(guard, AtRest)
    for _ in range(8):
        world.advance(15_000)
        await guard.cycle()
    assert len(world.sent) == 1
    assert list(kept._kept.facts) == [key_of(2)]


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


def long_worlds(*ltvs: str, pool: str | None = None) -> list[World]:
    """Two that are the same, whose lists are of several pages and take a while."""
    worlds = [a_world(*ltvs, pool=pool) for _ in range(2)]
    for world in worlds:
        world.rows_per_page, world.page_takes_ms = 2, 100
    return worlds


@pytest.mark.parametrize(
    "seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 13))]
)
async def test_in_haste_the_same_is_sent_as_by_a_guard_that_keeps_nothing(seed: int) -> None:
    worlds = long_worlds(*LTVS, "0.66", pool="0.5")
    guards = [a_guard(world, MemoryJournal()) for world in worlds]
    kept, _ = with_kept(guards[0], Counting), with_kept(guards[1], NeverAtRest)
    chances, hurried, rested = [random.Random(seed), random.Random(seed)], 0, 0
    for _ in range(60):
        results, before = [], cast("Counting", kept).rested
        for world, guard, chance in zip(worlds, guards, chances, strict=True):
            keys = [key_of(chance.randint(1, len(LTVS) + 1)) for _ in range(2)]
            if chance.random() < 0.7:
                guard.urge(keys)
            results.append(await guard.cycle())
            happens(world, chance)
        assert results[0].in_haste == results[1].in_haste
        assert results[0].actions == results[1].actions
        hurried += results[0].in_haste
        rested += results[0].in_haste * (cast("Counting", kept).rested - before)
    assert seen(worlds[0].sent) == seen(worlds[1].sent)
    assert hurried > 0
    assert rested > 0


async def test_in_haste_only_the_loan_that_was_read_is_decided_on_also_after_an_adjustment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, _ = long_worlds("0.80", *["0.55"] * 20)
    world.move(key_of(1), Direction.ADD, Decimal("0.01"), None)  # a row that shows what an add does
    guard = a_guard(world, MemoryJournal())
    for _ in range(3):  # what landed just now has histories read, and the others decided on anew
        await guard.cycle()
        world.advance(1_000)
    looked_at, decided = list[LoanKey](), list[LoanKey]()
    look, decide = Appraisal._loan, FactBuilder._loan

    def looks(self: Appraisal, item: Loan, *args: Any) -> Appraised:  # noqa: ANN401 - as it was
        looked_at.append(item.key)
        return look(self, item, *args)

    def decides(self: FactBuilder, item: Loan, *args: Any) -> LoanFacts:  # noqa: ANN401
        decided.append(item.key)
        return decide(self, item, *args)

    monkeypatch.setattr(Appraisal, "_loan", looks)
    monkeypatch.setattr(FactBuilder, "_loan", decides)
    world.loans[key_of(9)].debt *= Decimal("1.4")
    world.advance(1_000)
    guard.urge([key_of(9)])
    result = await guard.cycle()
    assert (result.in_haste, [intent.key for intent in world.sent]) == (True, [key_of(1), key_of(9)])
    assert (set(looked_at), set(decided)) == ({key_of(1), key_of(9)}, {key_of(1), key_of(9)})
    assert len(looked_at) <= 6
    assert [item.loan.key for item in result.decisions][:1] == [key_of(9)]
    assert {item.loan.key for item in result.decisions} == set(world.loans)


async def test_what_was_adjusted_alone_is_held_against_its_adjustment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world("0.80", *["0.55"] * 10)
    guard = a_guard(world, MemoryJournal())
    await guard.cycle()
    world.loans[key_of(2)].debt *= Decimal("1.4")
    world.advance(5_000)
    held, appraise = list[LoanKey](), Appraisal.appraise

    def appraises(self: Appraisal, snapshot: Snapshot, now: Moment, *args: Any, **more: Any) -> None:  # noqa: ANN401
        held.extend(more.get("only") or ())
        appraise(self, snapshot, now, *args, **more)

    monkeypatch.setattr(Appraisal, "appraise", appraises)
    await guard.cycle()
    assert held == [key_of(1)]


def test_who_is_shown_otherwise_or_as_another_object_or_is_awake_does_not_rest() -> None:
    loans = [loan("0.55", loan_id=str(number)) for number in range(4)]
    rest = Rest(
        shown={id(item): item for item in loans},
        facts={item.key: facts(item) for item in loans},
    )
    worse = loan("0.56", loan_id="0")
    same = replace(loans[1])
    shown = [worse, same, loans[2], loans[3]]
    left = rest.among(shown, rest.awake(shown), {loans[3].key})
    assert set(left.facts) == {loans[1].key, loans[2].key}
    assert left.awake(shown) == [worse, loans[3]]
    assert rest.among(loans, rest.awake(loans), ()) is rest
    assert set(rest.among(loans, rest.awake(loans), {loans[3].key}).facts) == {item.key for item in loans[:3]}
    assert set(rest.among(loans[:2], rest.awake(loans[:2]), ()).facts) == {loans[0].key, loans[1].key}


async def test_what_prices_had_a_part_in_is_not_kept_for_a_quiet_cycle() -> None:
    world = a_world("0.80", "0.55", wallet="0")
    world.history_down = True  # a history that changes wakes all
    guard = a_guard(world, MemoryJournal())
    await guard.cycle()
    world.repay_part(key_of(1), Decimal("0.4"))
    found = []
    for _ in range(3):
        world.advance(15_000)
        result = await guard.cycle()
        (other,) = [item for item in result.decisions if item.loan.key == key_of(2)]
        found.append((result.wallet is None, other.bearing))
    assert found == [(False, Bearing.BORNE_OUT), (True, Bearing.UNKNOWN), (True, Bearing.UNKNOWN)]


async def test_in_haste_the_coins_of_loans_at_rest_keep_their_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world("0.50", *["0.55"] * 6, pool="0.5")
    world.rows_per_page, world.page_takes_ms = 2, 100
    world.move(key_of(1), Direction.ADD, Decimal("0.01"), None)
    guard = a_guard(world, MemoryJournal())
    kept = with_kept(guard, AtRest)
    await guard.cycle()
    world.advance(1_000)
    await guard.cycle()
    assert kept._kept.coins == {"BTC", "USDT"}
    assert list(kept._kept.telling) == [POOL]
    told, implied, quote = list[frozenset[str]](), list[bool](), Appraisal._quotes

    def quotes(self: Appraisal, snapshot: Snapshot, now: Moment) -> Quotes | None:
        snapshot.at_rest = replace(snapshot.at_rest, coins=snapshot.at_rest.coins | {"ETH"})
        read, snapshot.prices = snapshot.prices or {}, None
        implied.append(quote(self, snapshot, now) is not None)
        snapshot.prices = {**read, "ETH": Decimal(3_000), "XRP": Decimal(1)}
        found = quote(self, snapshot, now)
        told.append(frozenset() if found is None else frozenset(found.prices))
        return found

    monkeypatch.setattr(Appraisal, "_quotes", quotes)
    world.loans[key_of(5)].debt *= Decimal("1.4")
    world.advance(1_000)
    guard.urge([key_of(5)])
    assert (await guard.cycle()).in_haste
    assert implied
    assert all(implied)  # by the pool's own numbers
    assert all("ETH" in coins and "XRP" not in coins for coins in told)
