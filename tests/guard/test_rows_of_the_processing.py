"""A pool's adjustment takes its time: what row, coins and LTV may show of it until it has ended."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import HELD, POLICY, POOL, a_guard, a_world
from exchange_world import View, WalletView, World
from transfers_and_repayments import ADD, cycles, landed, sent, states

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import History, HistoryRow
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.policy import AddRule


def a_pool_in(kind: type[World], ltv: str) -> World:
    """A pool at that LTV, in a world of that kind."""
    world = a_world(pool=ltv)
    return kind(loans=world.loans, wallet=world.wallet, unified=world.unified, accuracy=world.accuracy)


def falls_to(world: World, ltv: str) -> None:
    world.price = world.price * world.ltv(POOL) / Decimal(ltv)
    world.note()


class LtvsComeLater(World):
    """A row says that it succeeded three seconds before it tells another LTV than that of before."""

    def as_read(self, history: History) -> History:
        now_ms = self.true_ms
        young = {row.shown.adjust_id for row in self.rows if now_ms - (row.landed_ms or 0) < 3_000}
        rows = (
            replace(row, ltv_after=row.ltv_before) if row.adjust_id in young else row for row in history.rows
        )
        return replace(history, rows=tuple(rows))


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_row_that_succeeded_and_tells_one_ltv_twice_makes_no_old_ltv_new(*, restarts: bool) -> None:
    world, journal = a_pool_in(LtvsComeLater, "0.78"), MemoryJournal()
    guard = a_guard(world, journal)
    before_ms = world.true_ms
    world.advance(500)
    for _ in range(4):
        await guard.cycle()
        if restarts:
            guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
        world.advance(500)
        world.old_ltv_ms = world.true_ms - before_ms
    assert landed(world) == [ADD]


class LtvOfTheRequest(World):
    """A row tells the LTV of when it was asked for, and that of when it ended: prices move in between."""

    def _list(self, shown: HistoryRow, intent_id: str | None) -> None:
        index = self._listed(intent_id)
        if index is not None:
            shown = replace(shown, ltv_before=self.rows[index].shown.ltv_before)
        super()._list(shown, intent_id)


async def test_nor_does_a_row_whose_two_ltvs_are_of_two_prices() -> None:
    """An add of 2 %, while prices fall by as much: it seems to have moved nothing."""
    world = a_pool_in(LtvOfTheRequest, "0.76")
    rule = AddRule(trigger_ltv=Decimal("0.75"), target_ltv=Decimal("0.745"))
    guard = a_guard(world, MemoryJournal(), policy=replace(POLICY, add=rule))
    world.answers = ["pending:5000"]
    await cycles(guard, world, 1, ms=4_500)
    falls_to(world, "0.775")
    before_ms = world.true_ms
    world.advance(1_000)
    for _ in range(6):
        world.old_ltv_ms = min(world.true_ms - before_ms, 3_000)
        await guard.cycle()
        world.advance(1_000)
    assert world.ltv(POOL) > Decimal("0.74")


@pytest.mark.parametrize("answer", ["pending:20000", "unheard:20000"])
async def test_an_add_that_is_being_processed_is_not_helped_out_whether_or_not_its_answer_came(
    answer: str,
) -> None:
    world = a_world(pool="0.83")
    guard = a_guard(world, MemoryJournal())
    world.answers = [answer]
    await cycles(guard, world, 9)
    assert sent(world) == [ADD]
    await cycles(guard, world, 9)
    assert landed(world) == [ADD]


@pytest.mark.parametrize("answer", ["pending:600000", "unheard:600000"])
async def test_nor_is_it_waited_for_longer_than_half_a_minute(answer: str) -> None:
    world = a_world(pool="0.83")
    guard = a_guard(world, MemoryJournal())
    world.answers = [answer]
    await cycles(guard, world, 20)
    assert sent(world) == [ADD, ADD]


class TimesOfTheEnd(World):
    """The time of a row is that of the request while it is being processed, and then that of its end."""

    def _list(self, shown: HistoryRow, intent_id: str | None) -> None:
        super()._list(shown, intent_id)
        index = self._listed(intent_id)
        if index is not None and (row := self.rows[index]).landed_ms is not None:
            self.rows[index] = replace(row, shown=replace(row.shown, at_ms=row.landed_ms))


@pytest.mark.parametrize("took_s", [9, 12])
@pytest.mark.parametrize("old_ltv_ms", [0, 9_000])
async def test_a_row_that_was_its_own_while_it_was_processed_is_so_whatever_its_time_is_then(
    took_s: int, old_ltv_ms: int
) -> None:
    world, journal = a_pool_in(TimesOfTheEnd, "0.78"), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = [f"unheard:{took_s * 1000}"]
    for _ in range(30):
        await cycles(guard, world, 1, ms=1_000)
        world.old_ltv_ms = old_ltv_ms
    assert landed(world) == [ADD]
    assert states(journal, ADD) == [State.CONFIRMED]


class ShowsCoinsAtOnce(World):
    """Until it has ended, what is to be added is shown in the loan, and not in the wallet."""

    def view(self, key: object) -> View:
        view = super().view(key)
        return replace(view, collateral=view.collateral + self._coming())

    def shown_wallet(self) -> WalletView:
        shown = super().shown_wallet()
        return replace(shown, funding={**shown.funding, HELD: shown.funding[HELD] - self._coming()})

    def _coming(self) -> Decimal:
        return sum((item.intent.amount for item in self.pending), Decimal(0))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("ltv", ["0.78", "0.83"])
async def test_an_add_whose_coins_are_shown_while_it_is_processed_is_not_made_again(
    ltv: str, *, restarts: bool
) -> None:
    """Nor in an emergency, where an old LTV is believed sooner: the exchange says why it has not moved."""
    world, journal = a_pool_in(ShowsCoinsAtOnce, ltv), MemoryJournal()
    guard = a_guard(world, journal)
    world.answers = ["pending:15000"]
    for _ in range(15):
        await cycles(guard, world, 1)
        if restarts:
            guard = a_guard(world, MemoryJournal.restored(journal.snapshot()))
    assert landed(world) == [ADD]


async def test_nor_is_that_waited_for_longer_than_half_a_minute() -> None:
    world = a_pool_in(ShowsCoinsAtOnce, "0.83")
    guard = a_guard(world, MemoryJournal())
    world.answers = ["pending:600000"]
    await cycles(guard, world, 14)
    assert sent(world) == [ADD]
    await cycles(guard, world, 6)
    assert sent(world) == [ADD, ADD]


async def test_once_it_has_ended_an_emergency_ltv_that_does_not_follow_is_believed_after_a_while() -> None:
    world = a_world(pool="0.83")
    guard = a_guard(world, MemoryJournal())
    before_ms = world.true_ms
    world.advance(500)
    for _ in range(18):
        await cycles(guard, world, 1, ms=1_000)
        world.old_ltv_ms = world.true_ms - before_ms
    assert landed(world) == [ADD, ADD]


async def test_one_that_fails_after_its_coins_were_shown_is_made_again() -> None:
    world = a_pool_in(ShowsCoinsAtOnce, "0.78")
    guard = a_guard(world, MemoryJournal())
    world.answers = ["failing:4000"]
    await cycles(guard, world, 60)
    assert landed(world) == [ADD]
