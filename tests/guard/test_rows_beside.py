"""While a list that takes long is read, only what its own row proves is settled: no loan is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from core_builders import REPAY, intent
from exchange_model import a_world

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Kind, Product
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.haste import MOST_OF_OURS
from ltv_guard.guard.rows_beside import RowsBeside
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.log.alert_repeater import AlertRepeater

ACCEPTED = intent(State.ACCEPTED, adjust_id="27511")
UNKNOWN = intent(State.UNKNOWN, intent_id="i2", loan_id="1002")
REPAID = intent(
    State.ACCEPTED, direction=REPAY, coin="USDT", intent_id="i3", loan_id="1003", adjust_id="repay-1"
)
SOLD = replace(REPAID, intent_id="i4", collateral_coin="BTC", adjust_id=None)


@dataclass
class Exchange:
    """What is asked of it beside a list that takes as long as `list_comes` does."""

    may_take_long: bool = True
    asked: list[set[Channel]] = field(default_factory=list)
    settled: list[Sequence[Intent]] = field(default_factory=list)
    journal_fails: bool = False
    list_comes: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, _found: Snapshot, wanted: dict[Channel, int]) -> None:
        self.asked.append(set(wanted))

    async def settle(self, sent: Sequence[Intent], _found: Snapshot) -> None:
        self.settled.append(sent)
        await asyncio.sleep(0)
        self.list_comes.set()
        if self.journal_fails:
            raise JournalUnavailable("the disk is full")

    async def loans(self) -> None:
        async with asyncio.timeout(0.01 if self.may_take_long else None):
            await self.list_comes.wait()

    def to_settle(self, *_: Any, **__: Any) -> dict[Channel, int]:  # noqa: ANN401
        return {Channel(Product.LEGACY, kind): 0 for kind in Kind}

    def beside(self, *sent: Intent) -> RowsBeside:
        book = IntentBook(MemoryJournal())
        book.remember(sent)
        urgent = SimpleNamespace(may_take_long=lambda _: self.may_take_long, look_again=lambda: None)
        reads: Any = SimpleNamespace(loans=SimpleNamespace(urgent=urgent), histories=self)
        this: Any = self
        return RowsBeside(reads, this, this, book, a_world("0.50"), Defects(AlertRepeater(lambda: 0)))


async def test_what_will_show_in_its_own_row_is_settled_and_its_history_alone_is_read() -> None:
    exchange = Exchange()
    await exchange.beside(ACCEPTED).during(exchange.loans())
    assert exchange.settled == [[ACCEPTED]]
    assert exchange.asked == [{ACCEPTED.channel}]


@pytest.mark.parametrize("sent", [(UNKNOWN,), (REPAID,), (SOLD,), (ACCEPTED, UNKNOWN), ()])
async def test_nothing_is_where_there_is_anything_else(sent: tuple[Intent, ...]) -> None:
    """Without its loan an unknown would be taken for absent by its history alone."""
    exchange = Exchange()
    with pytest.raises(TimeoutError):
        await exchange.beside(*sent).during(exchange.loans())
    assert exchange.asked == []


async def test_nor_where_more_were_sent_than_a_crossing_is_acted_on_after() -> None:
    """In a storm the row of each add is read as the list ends: a second read would use up that second's."""
    exchange = Exchange()
    exchange.list_comes.set()
    sent = [
        replace(ACCEPTED, intent_id=f"i{number}", adjust_id=str(number)) for number in range(MOST_OF_OURS + 1)
    ]
    await exchange.beside(*sent).during(exchange.loans())
    assert exchange.asked == []


async def test_nor_beside_a_list_that_takes_no_time() -> None:
    exchange = Exchange(may_take_long=False)
    exchange.list_comes.set()
    await exchange.beside(ACCEPTED).during(exchange.loans())
    assert exchange.asked == []


async def test_where_the_journal_fails_the_list_is_given_up() -> None:
    exchange, ended = Exchange(journal_fails=True), list[bool]()

    async def reading() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(JournalUnavailable):
        await exchange.beside(ACCEPTED).during(reading())
    await asyncio.sleep(0)
    assert ended == [True]
