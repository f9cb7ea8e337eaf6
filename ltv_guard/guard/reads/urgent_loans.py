"""Loans that prices or a page put at their triggers: of a long list they are read first, by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.haste import Haste
from ltv_guard.guard.reads.heard_list import HeardList
from ltv_guard.guard.reads.last_lists import LastLists
from ltv_guard.guard.reads.loans_at_once import MOST, LoansAtOnce, first_in_need
from ltv_guard.guard.reads.next_list import Begun, NextList
from ltv_guard.guard.reads.unseen_loans import UnseenLoans
from ltv_guard.guard.state.loan_registry import LoanRegistry


class UrgentLoans:
    """Mutable, owned by one guard. A list under way is given up for them, where `haste` allows that.

    The others of the list are shown as the last whole one had them, or a page since. `following`: lists
    begun ahead; `at_once`: loans asked for as prices put them there, before any cycle takes them;
    `unseen`: those on pages that failed.
    """

    def __init__(
        self,
        clock: Clock,
        defects: Defects,
        *,
        last: LastLists,
        haste: Haste,
        following: NextList | None = None,
        at_once: LoansAtOnce | None = None,
        unseen: UnseenLoans | None = None,
    ) -> None:
        self.at_once = at_once or LoansAtOnce(clock, lambda _: True)
        self.following = following or NextList(clock)
        self.unseen = unseen or UnseenLoans(LoanRegistry(), lambda _: Decimal(0), defects)
        self.on_hurry: Callable[[], None] = lambda: None  # single loans are read now, to be acted on
        self.on_page: Callable[[Product], None] = lambda _: None  # a list that is being read goes on
        self._defects = defects
        self._last = last
        self._haste = haste
        self._keys: dict[LoanKey, None] = {}  # who was told of first comes first
        self._tried: set[LoanKey] = set()  # in this sweep, since prices or a page told of them: not in need
        self._read_in_haste: set[LoanKey] = set()  # since all were, and not told of anew
        self._news = asyncio.Event()

    def ask(self, keys: Collection[LoanKey]) -> None:
        """These are wanted now; until the next read of all."""
        self._keys |= dict.fromkeys(keys)
        self._tried -= set(keys)
        self._read_in_haste -= set(keys)
        self._news.set()

    def begin(self, exchange: LoanExchange, keys: Collection[LoanKey]) -> None:
        """Asks for them in this moment, where a cycle may act on what comes before a list is whole."""
        if self._haste.may_go_by_prices(exchange.product):
            self.at_once.begin(exchange, [key for key in keys if key.product is exchange.product])

    def shows_crossing(self, book: LoanBook) -> bool:
        """Whether a loan has come since the book was read that shows what prices say of it."""
        if not self._haste.may_go_by_prices(book.product):
            return False
        newer = _newer(self.at_once.there(book.product), book)
        return any(map(self._last.is_in_need, newer.values()))

    async def crossed(self, book: LoanBook, within_s: float) -> LoanBook | None:
        """The book that was read, with what prices put at its trigger since; None: nothing that has come."""
        if not self._haste.may_go_by_prices(book.product):
            return None
        read = await self.at_once.come(book.product, within_s)
        self.saw(read)
        newer = _newer(read, book)
        for key, one in newer.items():
            book = book.with_loan(key, one)
        return book if newer else None

    def may_take_long(self, product: Product) -> bool:
        """Whether the next list may: the last one did, or was given up before it was whole."""
        return self._haste.may_take_long(product)

    def saw(self, keys: Iterable[LoanKey]) -> None:
        """These have been read, by their ids or with a list."""
        for key in keys:
            self._keys.pop(key, None)

    def look_again(self) -> None:
        """What kept those from being read that prices put there may be over."""
        self._news.set()

    def went_by_pages(self, product: Product) -> bool:
        """Whether the last sweep was given up with pages to go by alone."""
        return self._haste.went_by_pages(product)

    async def book(self, exchange: LoanExchange, begun: Begun | None = None) -> tuple[LoanBook, bool]:
        """All loans, and whether all were read: else only those that are urgent. Raises as `loans` does.

        `begun`: a read of all that was begun before, of which no page is heard.
        """
        product = exchange.product
        sweep = self._begin(exchange) if begun is None else HeardList(begun)
        try:
            with self._defects.contained("reading what is urgent"):
                if (book := await self._sooner(exchange, sweep)) is not None:
                    return book, False
            book = await sweep.whole
        finally:
            if not sweep.is_kept:
                sweep.whole.cancel()
        await self.unseen.hold_against(book, exchange)
        with self._defects.contained("noting a whole list"):
            self._last.saw(book)
        self._haste.all_were_read(product)
        self._read_in_haste = {key for key in self._read_in_haste if key.product is not product}
        still_read = self.at_once.not_taken(product)  # since its page of the list was
        self.saw([key for key in self._keys if key.product is product and key not in still_read])
        return book, True

    def told_of(self, product: Product) -> set[LoanKey]:
        """Whom prices put at their triggers since all were read."""
        return set(self._urged(product))

    def has_many(self, product: Product) -> bool:
        """Whether the product's loans were more than one page, when all were read last."""
        return self._last.is_long(product)

    def _begin(self, exchange: LoanExchange) -> HeardList:
        self._tried = {key for key in self._tried if key.product is not exchange.product}
        pages: list[LoanBook] = []

        listens = self._haste.may_give_up(exchange.product)

        def hear(page: LoanBook) -> None:
            self.on_page(page.product)
            if listens:
                pages.append(page)
                self._news.set()

        reading = asyncio.ensure_future(exchange.loans(hear))
        return HeardList(self.following.of_now(reading), pages)

    async def _sooner(self, exchange: LoanExchange, sweep: HeardList) -> LoanBook | None:
        """The last book with the urgent loans as they are now; None where the sweep is to be waited for."""
        product = exchange.product
        if not self._last.is_long(product):
            return None
        gives_up = self._haste.may_give_up(product)
        while not sweep.whole.done():
            self._news.clear()
            self._tried -= sweep.look(self._last)
            if keys := self._told_by_prices(product):
                self.on_hurry()  # as they were told of, something may have been open
                return await self._hurry(exchange, keys, sweep, by_pages=False)
            shown = self._shown_by_pages(product, sweep) if gives_up else []
            if keys := shown or self._crossed_beside(product, sweep):
                self.on_hurry()
                self._tried.update(keys)
                book = await self._hurry(exchange, keys, sweep, by_pages=True)
                if book is not None and not shown:
                    sweep.is_kept = True
                    self.following.keep(product, sweep.begun)
                if book is not None or sweep.whole.done():
                    return book  # else an old page, or prices, cried wolf: the sweep goes on
            else:
                await sweep.end_or(self._news)
        return None

    async def _hurry(
        self, exchange: LoanExchange, keys: Collection[LoanKey], sweep: HeardList, *, by_pages: bool
    ) -> LoanBook | None:
        """What is acted on; None where there is nothing. A page alone is not believed."""
        ours = self._haste.ours(exchange.product) if by_pages else ()
        wanted = dict.fromkeys([*keys, *(ours or ())])
        read = await self._read(exchange, wanted, sweep, every=by_pages)
        if read is None or (by_pages and not any(self._last.is_in_need(read[key]) for key in keys)):
            return None
        book = self._last.with_pages(exchange.product, sweep.pages if by_pages else ())
        for key, one in read.items():
            book = book.with_loan(key, one)
        self._haste.hurried(exchange.product, read.values(), by_pages=by_pages)
        self._read_in_haste |= read.keys()
        return book

    async def _read(
        self, exchange: LoanExchange, keys: Collection[LoanKey], sweep: HeardList, *, every: bool
    ) -> dict[LoanKey, LoanBook] | None:
        """Each by its id; None where the sweep is done sooner, or one could not be had.

        But for `every` those that come with the first in need are enough: another may have to wait for a
        second's reads, and its turn to be helped comes later as well.
        """
        readings = {key: self.at_once.reading(exchange, key) for key in keys}
        in_need = self._last.is_in_need
        enough = asyncio.ensure_future(first_in_need(readings.values(), None if every else in_need))
        either: set[asyncio.Future[Any]] = {enough, sweep.whole}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            enough.cancel()
        if sweep.whole.done():  # its page may be of before: what comes is taken once the list was decided on
            return None
        if enough.result():
            readings = {key: reading for key, reading in readings.items() if reading.done()}
        self.at_once.taken(keys)
        found = await asyncio.gather(*readings.values(), return_exceptions=True)
        for error in (item for item in found if isinstance(item, Exception)):
            if not isinstance(error, ExchangeUnavailable | NeedsHuman):
                raise error
        read = {key: item for key, item in zip(readings, found, strict=True) if isinstance(item, LoanBook)}
        return read if len(read) == len(readings) else None

    def _told_by_prices(self, product: Product) -> list[LoanKey]:
        return self._urged(product)[:MOST] if self._haste.may_go_by_prices(product) else []

    def _urged(self, product: Product) -> list[LoanKey]:
        """Whom prices put there; nobody where they just did so in vain."""
        keys = [key for key in self._keys if key.product is product]
        return keys if self._haste.believes_prices(product) else []

    def _crossed_beside(self, product: Product, sweep: HeardList) -> list[LoanKey]:
        """Whom prices put there since; nobody where they are many, for the list tells whose turn it is.

        Prices that were wrong just before may be right now: what is read in vain puts off nothing here.
        """
        had = self._tried | self._read_in_haste
        keys = [key for key in self._keys if key.product is product and key not in had]
        if len(keys) > MOST or not self.following.may_keep(sweep.begun):
            return []
        return keys if self._haste.may_act_beside(product) else []

    def _shown_by_pages(self, product: Product, sweep: HeardList) -> list[LoanKey]:
        """The worst first; and whom prices put there, where the last list is too old to go by them alone."""
        keys = dict.fromkeys([*sweep.in_need(), *self._urged(product)])
        wanted = [key for key in keys if key not in self._tried][:MOST]
        return wanted if wanted and self._haste.may_go_by_pages(product) else []


def _newer(read: Mapping[LoanKey, LoanBook], book: LoanBook) -> dict[LoanKey, LoanBook]:
    """Those that were asked for after what the book shows of them."""
    return {key: one for key, one in read.items() if one.began.monotonic_ms > book.asked_at(key).monotonic_ms}
