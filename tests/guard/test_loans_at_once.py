"""A loan that prices put at its trigger is asked for in that moment, and the cycle under way acts on it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import pytest
from core_builders import key, loan
from exchange_model import ModelAccount, ModelLoans, ModelPath, World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Product
from ltv_guard.core.model.steps import Steps
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.decider import TURNS, Decider
from ltv_guard.guard.facts import FactBuilder
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.reads.closer_look import Wanted
from ltv_guard.guard.reads.loans_at_once import MOST, USE_WITHIN_MS, LoansAtOnce

MANY_TURNS = 10


@dataclass
class Shown:
    """An exchange of single loans, which may fail; its clock; and whether something was sent."""

    product: Product = Product.LEGACY
    now_ms: int = 1_000
    read: list[str] = field(default_factory=list)
    error: Exception | None = None
    was_sent: bool = False
    has_no_room: bool = False

    def now(self) -> Moment:
        return Moment(exchange_ms=self.now_ms, monotonic_ms=self.now_ms)

    async def loan(self, wanted: LoanKey) -> LoanBook:
        self.read.append(wanted.loan_id)
        if self.has_no_room:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        found = (loan("0.76", loan_id=wanted.loan_id),)
        return LoanBook(product=self.product, loans=found, began=self.now())


def at_once(shown: Shown) -> LoansAtOnce:
    return LoansAtOnce(cast("Clock", shown), lambda _: not shown.was_sent)


async def begun(shown: Shown, *ids: str) -> LoansAtOnce:
    found = at_once(shown)
    found.begin(cast("LoanExchange", shown), [key(name) for name in ids])
    await asyncio.sleep(0)
    return found


async def test_what_is_asked_for_is_asked_for_once_and_taken_once() -> None:
    shown = Shown()
    loans = await begun(shown, "1")
    loans.begin(cast("LoanExchange", shown), [key("1")])
    assert (await loans.reading(cast("LoanExchange", shown), key("1"))).loans[0].key == key("1")
    assert shown.read == ["1"]
    assert list(await loans.come(Product.LEGACY, 0)) == [key("1")]
    await loans.reading(cast("LoanExchange", shown), key("1"))
    assert shown.read == ["1", "1"]


async def test_no_more_are_asked_for_than_there_is_room_for() -> None:
    shown = Shown()
    loans = await begun(shown, "1", "2", "3", "4")
    loans.begin(cast("LoanExchange", shown), [key("5")])
    assert shown.read == ["1", "2", "3"][:MOST]
    assert set(await loans.come(Product.LEGACY, 0)) == {key("1"), key("2"), key("3")}
    assert not await loans.come(Product.LEGACY, 0)


async def test_the_first_that_comes_waits_for_none_that_has_no_room_yet() -> None:
    shown = Shown()
    loans = await begun(shown, "1")
    shown.has_no_room = True
    loans.begin(cast("LoanExchange", shown), [key("2")])
    async with asyncio.timeout(5):
        assert set(await loans.come(Product.LEGACY, 60)) == {key("1")}
    assert loans.begun(Product.LEGACY) == [key("2")]
    await loans.close()


@pytest.mark.parametrize("why", ["sent", "old", "failed"])
async def test_what_was_read_before_something_was_sent_or_long_ago_or_failed_is_read_anew(why: str) -> None:
    shown = Shown(error=ExchangeUnavailable("down") if why == "failed" else None)
    loans = await begun(shown, "1")
    shown.was_sent, shown.error = why == "sent", None
    shown.now_ms += USE_WITHIN_MS + 1 if why == "old" else 0
    assert not await loans.come(Product.LEGACY, 0)
    shown.was_sent = False
    if why == "sent":
        loans._nothing_sent_since = lambda moment: moment.exchange_ms > 1_000
        shown.now_ms += 1
    assert (await loans.reading(cast("LoanExchange", shown), key("1"))).loans
    assert shown.read == ["1", "1"]
    await loans.close()


def a_long_list() -> tuple[World, Guard]:
    """A list of several pages that takes a while, and a history that has shown what directions mean."""
    world = a_world("0.50", "0.55", "0.55", "0.55", "0.55", "0.50")
    world.rows_per_page, world.page_takes_ms = 2, 100
    world.move(key_of(6), Direction.ADD, Decimal("0.05"), None)
    world.advance(1_000)
    return world, a_guard(world, MemoryJournal())


def crosses(world: World, guard: Guard, number: int) -> None:
    world.loans[key_of(number)].debt *= Decimal("1.4")
    world.advance(1)
    guard.urge([key_of(number)])


async def test_a_crossing_while_a_long_list_is_decided_on_is_acted_on_by_that_cycle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, guard = a_long_list()
    world.page_takes_ms = 0  # no page is acted on by itself
    await guard.cycle()
    await asyncio.sleep(0.001)  # the wallet is read beside
    world.loans[key_of(1)].debt *= Decimal("1.6")
    world.advance(5_000)
    wallet, decide, decided, crossings = ModelAccount.wallet, Decider._decide, list[int](), [3]

    async def meanwhile(self: ModelAccount, coins: Collection[str]) -> Mapping[str, Decimal]:
        if crossings:
            crosses(world, guard, crossings.pop())
            for _ in range(MANY_TURNS):
                await asyncio.sleep(0)
        return await wallet(self, coins)

    async def counts(self: Decider, *args: object) -> object:
        found = await decide(self, *args)  # type: ignore[arg-type]
        decided.append(len(found[1]))
        return found

    monkeypatch.setattr(ModelAccount, "wallet", meanwhile)
    monkeypatch.setattr(Decider, "_decide", counts)
    result = await guard.cycle()
    assert {intent.key for intent in world.sent} == {key_of(1), key_of(3)}
    assert result.in_haste  # all are read again at once
    assert {item.loan.key for item in result.decisions} == set(world.loans)
    assert decided[0] < len(world.loans)  # whoever is as before was decided on then


async def test_a_crossing_has_the_loan_itself_asked_for_first_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, guard = a_long_list()
    await guard.cycle()
    await asyncio.sleep(0.001)  # the wallet is read beside
    world.advance(1_000)
    asked, one, wallet, history = list[str](), ModelLoans.loan, ModelAccount.wallet, ModelPath.history

    async def loan_of(self: ModelLoans, wanted: LoanKey) -> LoanBook:
        asked.append(f"loan {wanted.loan_id}")
        return await one(self, wanted)

    async def wallet_of(self: ModelAccount, coins: Collection[str]) -> Mapping[str, Decimal]:
        asked.append("wallet")
        return await wallet(self, coins)

    async def history_of(self: ModelPath, since_ms: int) -> History:
        asked.append("history")
        return await history(self, since_ms)

    monkeypatch.setattr(ModelLoans, "loan", loan_of)
    monkeypatch.setattr(ModelAccount, "wallet", wallet_of)
    monkeypatch.setattr(ModelPath, "history", history_of)
    to_decide = Needs.to_decide

    def wants(self: Needs, *args: Any, **more: Any) -> Wanted:  # noqa: ANN401 - as it was
        asked.append("what else is wanted")
        return to_decide(self, *args, **more)

    monkeypatch.setattr(Needs, "to_decide", wants)
    crosses(world, guard, 3)
    result = await guard.cycle()
    assert result.in_haste
    assert [intent.key for intent in world.sent] == [key_of(3)]
    assert asked[:2] == ["loan 3", "what else is wanted"]
    assert [item for item in asked if item.startswith("loan")] == ["loan 3"]


async def test_beside_what_is_open_no_crossing_is_asked_for_by_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, guard = a_long_list()
    world.loans[key_of(1)].debt *= Decimal("1.6")
    world.answers.append("late:20000")
    world.advance(1_000)
    await guard.cycle()
    assert not guard.intents.none_is_open()
    read = list[LoanKey]()

    async def one(_self: ModelLoans, wanted: LoanKey) -> LoanBook:
        read.append(wanted)
        raise ExchangeUnavailable("not asked for")

    monkeypatch.setattr(ModelLoans, "loan", one)
    guard.urge([key_of(3)])
    await asyncio.sleep(0)
    assert not read
    await guard.drain()


@pytest.mark.parametrize(("rows_per_page", "is_heard"), [(2, True), (50, False)])
async def test_between_the_steps_of_deciding_on_a_long_list_a_price_is_heard_and_its_loan_asked_for(
    monkeypatch: pytest.MonkeyPatch, *, rows_per_page: int, is_heard: bool
) -> None:
    """Of a short one it is the next list: there it would only come later."""
    world, guard = a_long_list()
    world.rows_per_page = rows_per_page
    turns, at = [0], list[int]()

    async def turn() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    gather, look = FactBuilder.gathering, Appraisal.appraising

    def gathers(self: FactBuilder, *args: Any) -> Steps[AccountFacts]:  # noqa: ANN401 - as it was
        at.append(turns[0])
        return gather(self, *args)

    def looks(self: Appraisal, *args: Any, **more: Any) -> Steps[None]:  # noqa: ANN401 - as it was
        at.append(turns[0])
        return look(self, *args, **more)

    monkeypatch.setattr(FactBuilder, "gathering", gathers)
    monkeypatch.setattr(Appraisal, "appraising", looks)
    turning = asyncio.create_task(turn())
    await guard.cycle()
    turning.cancel()
    assert (at[1] - at[0] >= TURNS) is is_heard
