"""The start of a storm: the first add waits for no other loan, and the second for no list."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from decimal import Decimal

import pytest
from exchange_model import ModelAccount, ModelLoans, ModelPath, World, a_guard, a_world, key_of
from one_at_a_time import TURN_MS, one_at_a_time

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Direction, LoanKey
from ltv_guard.core.ports import Hear
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.snapshot import CycleResult

FALLS = Decimal("0.985")


def a_storm(*, rows_per_page: int = 2) -> tuple[World, Guard]:
    """Several loans on their way to a trigger, and no row yet that shows what directions mean."""
    world = a_world("0.70", "0.745", "0.735", "0.50", "0.50", "0.50")
    world.rows_per_page, world.page_takes_ms = rows_per_page, 100
    streamed = lambda: {"BTC": world.price, "USDT": Decimal(1)}  # noqa: E731
    return world, a_guard(world, MemoryJournal(), streamed=streamed)


async def in_a_storm(world: World, guard: Guard, *, others: Collection[int]) -> CycleResult:
    """The first loan crosses its trigger; `others` do while it is helped. What that cycle came to."""
    await guard.cycle()
    world.advance(1_000)

    def falls() -> None:
        world.price *= FALLS
        world.advance(1)

    def others_cross() -> None:
        if others:
            guard.urge([key_of(number) for number in others])

    one_at_a_time(world, falls, sent=others_cross)
    falls()
    guard.urge([key_of(2)])
    return await guard.cycle()


def served(world: World) -> list[str]:
    return [intent.key.loan_id for intent in world.sent]


async def test_in_haste_whom_prices_put_there_meanwhile_has_the_next_turn() -> None:
    world, guard = a_storm()
    result = await in_a_storm(world, guard, others=[3])
    assert (result.in_haste, result.actions) == (True, 2)
    assert served(world) == ["2", "3"]
    assert all(result.adjusted[key_of(number)].ltv < Decimal("0.66") for number in (2, 3))
    first, second = (intent.created_at_ms for intent in world.sent)
    assert second - first <= TURN_MS + 1
    assert Decimal("0.64") < world.ltv(key_of(3)) < Decimal("0.66")


async def test_what_may_not_have_landed_is_not_taken_for_landed() -> None:
    world, guard = a_storm()
    world.answers.append("lost_answer")
    result = await in_a_storm(world, guard, others=[])
    assert (result.actions, result.adjusted) == (1, {})


async def test_in_haste_the_next_list_is_begun_after_the_first() -> None:
    world, guard = a_storm()
    assert (await in_a_storm(world, guard, others=[3])).actions
    now_ms = world.now().monotonic_ms
    assert min(asked.monotonic_ms for asked in (await guard.cycle()).asked.values()) < now_ms


async def test_where_prices_put_nobody_else_there_the_cycle_ends_with_the_first() -> None:
    world, guard = a_storm()
    result = await in_a_storm(world, guard, others=[])
    assert (result.in_haste, result.actions) == (True, 1)
    assert world.true_ms < world.sent[0].created_at_ms + TURN_MS


@pytest.mark.parametrize("why", ["late", "down", "of before"])
async def test_no_second_leaves_in_the_cycle_unless_a_history_of_after_the_first_bears_the_directions_out(
    monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    world, guard = a_storm()
    world.row_lag_ms = 3_000 if why == "late" else 0
    read, history = list[int](), ModelPath.history

    async def history_of(self: ModelPath, since_ms: int) -> History:
        read.append(len(world.sent))
        world.history_down = why == "down" and bool(world.sent)
        found = await history(self, since_ms)
        return History(rows=(), began=found.began) if why == "of before" else found

    monkeypatch.setattr(ModelPath, "history", history_of)
    assert (await in_a_storm(world, guard, others=[3])).actions == 1
    assert served(world) == ["2"]
    assert read[-1] == 1  # one was read after it


async def test_an_add_that_did_the_opposite_is_the_last() -> None:
    world, guard = a_storm()
    apply = World.apply
    try:
        World.apply = lambda self, intent: self.move(  # type: ignore[method-assign]
            intent.key, Direction.REDUCE, intent.amount, intent.intent_id
        )
        await in_a_storm(world, guard, others=[3])
        await guard.cycle()
    finally:
        World.apply = apply  # type: ignore[method-assign]
    assert served(world) == ["2"]


async def test_of_one_page_the_next_cycle_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world, guard = a_storm(rows_per_page=50)
    world.loans[key_of(3)].debt *= Decimal("1.05")
    read, history = list[int](), ModelPath.history

    async def history_of(self: ModelPath, since_ms: int) -> History:
        read.append(len(world.sent))
        return await history(self, since_ms)

    monkeypatch.setattr(ModelPath, "history", history_of)
    assert (await in_a_storm(world, guard, others=[3])).actions == 1
    assert not any(read)


async def test_what_was_read_ahead_is_kept_for_a_loan_that_comes_after_its_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, guard = a_storm()
    await guard.cycle()
    await asyncio.sleep(0.001)  # the wallet is read beside
    world.advance(1_000)
    loans, one, wallet = ModelLoans.loans, ModelLoans.loan, ModelAccount.wallet
    comes, wallets = asyncio.Event(), list[int]()

    async def list_of_before(self: ModelLoans, hear: Hear | None = None) -> LoanBook:
        guard.urge([key_of(2)])
        for _ in range(50):
            await asyncio.sleep(0)
        return await loans(self)

    async def late(self: ModelLoans, key: LoanKey) -> LoanBook:
        await comes.wait()
        return await one(self, key)

    async def counted(self: ModelAccount, coins: Collection[str]) -> Mapping[str, Decimal]:
        wallets.append(world.true_ms)
        return await wallet(self, coins)

    monkeypatch.setattr(ModelLoans, "loans", list_of_before)
    monkeypatch.setattr(ModelLoans, "loan", late)
    monkeypatch.setattr(ModelAccount, "wallet", counted)
    assert not (await guard.cycle()).actions
    monkeypatch.setattr(ModelLoans, "loans", loans)
    world.price *= FALLS
    world.advance(1)
    comes.set()
    assert (await guard.cycle()).actions == 1
    assert len(wallets) == 1


async def test_while_a_long_list_is_acted_on_no_crossing_takes_the_reads_of_the_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, guard = a_storm()
    world.page_takes_ms = 0  # no page is acted on by itself
    world.move(key_of(6), Direction.ADD, Decimal("0.05"), None)
    await guard.cycle()
    world.loans[key_of(1)].debt *= Decimal("1.2")
    world.loans[key_of(2)].debt *= Decimal("1.2")
    world.advance(1_000)
    read, one = list[str](), ModelLoans.loan

    async def noting(self: ModelLoans, key: LoanKey) -> LoanBook:
        read.append(key.loan_id)
        return await one(self, key)

    monkeypatch.setattr(ModelLoans, "loan", noting)
    turns = [0]

    def turn_comes() -> bool:
        guard.urge([key_of(5)])
        turns[0] += 1
        return True

    world.turn_comes = turn_comes
    await guard.cycle()
    assert turns[0]
    assert set(served(world)) == {"1", "2"}
    assert "5" not in read
