"""Loans that prices or a page put at their triggers: of a long list they are read first, by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.last_lists import LastLists
from ltv_guard.guard.reads.next_list import Begun, NextList, Pages
from ltv_guard.guard.state.intent_book import IntentBook

MOST = 3  # as many reads as there is room for beside those of a sweep
CLOCKS_APART_MS = 1_000  # by so much the exchange's time may step where it is measured anew


class UrgentLoans:
    """Mutable, owned by one guard. A sweep under way is given up for them, though never twice in a row.

    The others of the list are then shown as pages of the sweep had them, or the last whole read: whoever of
    them is acted on is read by its id before. Of no loan that is what was before an adjustment of ours: each
    that has something open, or was adjusted since it was shown, is read by its id as well. `following`: lists
    begun ahead.
    """

    def __init__(
        self,
        clock: Clock,
        defects: Defects,
        intents: IntentBook,
        *,
        last: LastLists,
        following: NextList | None = None,
    ) -> None:
        self.following = following or NextList(clock)
        self.on_haste: Callable[[], None] = lambda: None  # a sweep is about to be given up
        self._clock = clock
        self._defects = defects
        self._last = last
        self._intents = intents
        self._asked_ms: dict[LoanKey, int] = {}
        self._shown: set[LoanKey] = set()
        self._sweeping: dict[Product, Pages] = {}
        self._hurried: set[Product] = set()

    def ask(self, keys: Collection[LoanKey]) -> None:
        """These are wanted now; until the next read of all."""
        self._asked_ms |= dict.fromkeys(keys, self._clock.now().monotonic_ms)
        self._tell_all()

    def begin(self) -> None:
        """All loans of all products are about to be read."""
        self._shown.clear()

    async def book(self, exchange: LoanExchange, begun: Begun | None = None) -> tuple[LoanBook, bool]:
        """All loans, and whether all were read: else only those that are urgent. Raises as `loans` does.

        `begun`: a read of all that was begun before.
        """
        product = exchange.product
        if begun is not None:
            sweeping, pages = begun.list, begun.pages
        else:
            pages = Pages()
            hear = pages.hear if self._last.is_long(product) else None
            sweeping = asyncio.ensure_future(exchange.loans(hear))
        self._sweeping[product] = pages
        try:
            with self._defects.contained("reading what is urgent"):
                if (sooner := await self._sooner(exchange, sweeping, pages)) is not None:
                    self._hurried.add(product)
                    return sooner, False
            book = await sweeping
        finally:
            sweeping.cancel()
            del self._sweeping[product]
        with self._defects.contained("noting what is urgent"):
            self._note_shown(book)
            self._last.saw(book)
        self._hurried.discard(product)
        self._asked_ms = {key: ms for key, ms in self._asked_ms.items() if key.product is not product}
        return book, True

    def unread(self, books: Mapping[Product, LoanBook]) -> list[LoanKey]:
        """Whom prices put at its trigger after its product was asked for, though not in haste."""
        return [
            key
            for key, asked_ms in self._asked_ms.items()
            if key.product in books.keys() - self._hurried
            and books[key.product].asked_at(key).monotonic_ms < asked_ms
        ][:MOST]

    def _note_shown(self, part: LoanBook) -> None:
        """A page has come, or all. What was in need before has had its turn in the cycle that saw it."""
        if found := self._last.newly_in_need(part):
            self._shown |= found
            self._tell_all()

    def _tell_all(self) -> None:
        for pages in self._sweeping.values():
            pages.news.set()

    async def _sooner(
        self, exchange: LoanExchange, sweeping: asyncio.Future[LoanBook], pages: Pages
    ) -> LoanBook | None:
        """The book so far with the urgent loans as they are now; None where the sweep is to be waited for."""
        product = exchange.product
        if not self._last.is_long(product) or product in self._hurried:
            return None
        if not await self._is_wanted_before_the_end_of(sweeping, pages) or self._last.is_too_old(product):
            return None
        book = self._last.with_pages(product, pages.parts)
        adjusted = self._adjusted_since(book)
        if len(adjusted) > MOST:
            return None
        urgent = [key for key in self._urgent() if key.product is product and key not in adjusted]
        keys = [*adjusted, *urgent[:MOST]]
        self.on_haste()
        read = await self._read(exchange, keys, sweeping)
        if read is None or any(not read[key].loans for key in adjusted):
            return None  # how what is open ended may be told by a whole list only
        book = self._last.with_pages(product, pages.parts)
        for key, one in read.items():
            book = book.with_loan(key, one)
        return book

    async def _read(
        self, exchange: LoanExchange, keys: Collection[LoanKey], sweeping: asyncio.Future[LoanBook]
    ) -> dict[LoanKey, LoanBook] | None:
        """Each by its id; None where the sweep is done sooner, or one could not be had."""
        reading = asyncio.gather(*(exchange.loan(key) for key in keys))
        either: set[asyncio.Future[Any]] = {reading, sweeping}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if sweeping.done():
                return None
            return dict(zip(keys, await reading, strict=True))
        except (ExchangeUnavailable, NeedsHuman):
            return None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _urgent(self) -> list[LoanKey]:
        """Of all products. One of which something is open waits for a whole read: that settles it."""
        if not (self._shown or self._asked_ms):
            return []
        is_open = {item.key for item in self._intents.every if item.is_open}
        return [key for key in {**dict.fromkeys(self._shown), **self._asked_ms} if key not in is_open]

    def _adjusted_since(self, book: LoanBook) -> list[LoanKey]:
        """Loans with something open, or that ended after what the book shows of them was asked for."""
        found = {
            item.key
            for item in self._intents.every
            if item.key.product is book.product
            and (item.is_open or item.updated_at_ms + CLOCKS_APART_MS >= book.asked_at(item.key).exchange_ms)
        }
        return sorted(found, key=lambda key: key.loan_id)

    async def _is_wanted_before_the_end_of(self, sweeping: asyncio.Future[LoanBook], pages: Pages) -> bool:
        looked_at = 0
        while not sweeping.done():
            pages.news.clear()
            for part in pages.parts[looked_at:]:
                self._note_shown(part)
            looked_at = len(pages.parts)
            if self._urgent():
                return True
            news = asyncio.ensure_future(pages.news.wait())
            either: set[asyncio.Future[Any]] = {sweeping, news}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
        return False
