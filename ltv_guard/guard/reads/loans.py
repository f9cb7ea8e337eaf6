"""The loans: all of every product in a sweep, or one by its id."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import ListCutShort, LoanBook
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.core.ports import Clock, LoanExchange
from ltv_guard.guard.loan_news import LoanNews
from ltv_guard.guard.reads.attempts import Attempts
from ltv_guard.guard.reads.late_lists import Found, LateLists
from ltv_guard.guard.reads.next_list import Begun
from ltv_guard.guard.reads.urgent_loans import UrgentLoans
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.words import Words


class LoanReads:
    """Each product by itself, so that one which fails does not blind the other."""

    def __init__(
        self,
        products: Mapping[Product, LoanExchange],
        clock: Clock,
        attempts: Attempts,
        urgent: UrgentLoans,
        *,
        lists: LateLists,
        news: LoanNews,
        words: Words,
    ) -> None:
        self._products = products
        self._clock = clock
        self._attempts = attempts
        self.urgent = urgent
        self._lists = lists
        urgent.on_page = lists.goes_on
        self._unseen = urgent.unseen
        self._news = news
        self._report = words.report
        self._defects = words.defects
        self._acted_on: set[Product] = set()
        self._not_found: dict[LoanKey, Moment] = {}

    async def sweep(self, snapshot: Snapshot) -> None:
        """All loans of all products. A product that can't be read, or not in time, is said, and lacks."""
        reads = {product: partial(self._read, exchange) for product, exchange in self._products.items()}
        for product, (book, is_whole) in (await self._lists.come(reads)).items():
            self._take(snapshot, self._products[product], book, is_whole=is_whole)
        for product, late_s in self._lists.left.items():
            snapshot.in_part = True
            self._report.left(product, late_s)
        unread = self._products.keys() - snapshot.books.keys()
        snapshot.lacks_known |= any(map(self._unseen.knows_of, unread))

    async def _read(self, exchange: LoanExchange) -> Found:
        with self._defects.contained("reading loans"):
            return await self._book_of(exchange, self.urgent.following.take(exchange.product))
        return None, False

    async def _read_next(self, exchange: LoanExchange) -> Found:
        """The next cycle's list; until it has come that cycle may have it back."""
        begun = self.urgent.following.lend(exchange)
        try:
            await asyncio.wait({begun.list})
        except asyncio.CancelledError:
            self.urgent.following.give_back(exchange.product, begun)
            raise
        if begun.list.cancelled() or _is_refused(begun.list.exception()):
            return None, False  # the first one tells how it fails itself
        with self._defects.contained("reading the next list"):
            return await self._book_of(exchange, begun)
        return None, False

    def _take(
        self, snapshot: Snapshot, exchange: LoanExchange, book: LoanBook | None, *, is_whole: bool
    ) -> None:
        if book is None or not is_whole:
            snapshot.in_part = True
        if book is None:
            return
        snapshot.books[exchange.product] = book
        if book.cut_short:
            snapshot.lacks_known = True
            self._news.heard_in_part(book, self._clock.now())
            return
        if not is_whole:
            snapshot.in_haste = True
            snapshot.by_pages |= self.urgent.went_by_pages(exchange.product)
            return
        self._unseen.all_are_read(exchange.product)
        for key in [key for key in self._not_found if key.product is exchange.product]:
            if book.loan(key) is None:
                self._is_settled(key)
        snapshot.sweep_ms = max(snapshot.sweep_ms, self._clock.now().ms_since(book.began))
        self._news.heard(exchange, book, self._clock.now())

    @property
    def late_one_has_come(self) -> bool:
        """Whether a list that the cycle went on without is there for the next."""
        return self._lists.one_has_come

    async def late_ones_come(self) -> bool:
        """Waits a moment for lists that the cycle went on without. False: there were none."""
        return await self._lists.late_ones_come()

    async def next_comes(self, product: Product, within_s: float) -> bool:
        """Whether the next cycle's list has been read, or is within so long; begins to read it."""
        return await self.urgent.following.comes(self._products[product], within_s)

    def urge(self, keys: Collection[LoanKey], *, under_way: bool) -> None:
        """Asks for these now: of a long list by their ids, else, where a cycle is under way, for the list."""
        self.urgent.ask(keys)
        self._lists.crossed({key.product for key in keys})
        for product in {key.product for key in keys} & self._products.keys():
            if self.urgent.has_many(product):
                if product not in self._acted_on:
                    self.urgent.begin(self._products[product], keys)
            elif under_way:
                self.urgent.following.read_now(self._products[product])
                self._lists.ask_once_more(product, partial(self._read_next, self._products[product]))

    def has_come(self, snapshot: Snapshot) -> bool:
        """Whether one of those has come, and shows the breach: what prices alone say gives nothing up."""
        with self._defects.contained("looking for what prices have crossed"):
            return any(map(self.urgent.shows_crossing, snapshot.books.values()))
        return False

    async def crossed(self, snapshot: Snapshot, *, within_s: float = 0) -> bool:
        """Whether loans have come that prices put at their triggers since a long list was read.

        What is left of the cycle is about them, and what its own list asked for: it is in haste. Those that
        have not come within so long the next cycle takes.
        """
        found = False
        for product, book in tuple(snapshot.books.items()):
            with self._defects.contained("reading what prices have crossed"):
                again = await self.urgent.crossed(book, within_s)
                if again is not None:
                    snapshot.books[product] = again
                    snapshot.in_haste = found = True
        return found

    @property
    def some_are_to_come(self) -> bool:
        """Whether loans that prices put at their triggers are still being read, or not taken yet."""
        return any(map(self.urgent.at_once.not_taken, self._products))

    @contextmanager
    def acted_on(self, product: Product) -> Iterator[None]:
        """While the block lasts prices tell whose turn is next, and each turn has its reads: no more."""
        self._acted_on.add(product)
        try:
            yield
        finally:
            self._acted_on.discard(product)

    def others_crossed(self, product: Product, but: Collection[LoanKey]) -> bool:
        """Whether prices have put others at their triggers since all were read."""
        return bool(self.urgent.told_of(product) - set(but))

    async def close(self) -> None:
        """Ends the reads that no cycle will take."""
        await self._lists.close()
        await self.urgent.following.close()
        await self.urgent.at_once.close()

    async def _book_of(self, exchange: LoanExchange, begun: Begun | None) -> Found:
        """None where nothing could be read; and whether all loans were."""
        try:
            return await self.urgent.book(exchange, begun)
        except ListCutShort as cut:
            return await self._all_that_comes(exchange, cut), False
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._report.blind(exchange.product, error)
        except Exception as error:  # noqa: BLE001 - it must not blind the other product as well
            self._defects.tell(Defect(what="reading the loans", error=error))
            ours = ExchangeUnavailable(f"an error of ltv-guard's own: {error!r}")
            self._report.blind(exchange.product, ours)
        self._unseen.none_is_read(exchange.product)
        return None, False

    async def _all_that_comes(self, exchange: LoanExchange, cut: ListCutShort) -> LoanBook:
        """The loans of the pages that were read; of the others some are, by their ids."""
        book, product = cut.book, exchange.product
        with self._defects.contained("reading loans of pages that failed"):
            book = await self._unseen.add_to(book, exchange, self.urgent.told_of(product))
        self.urgent.saw({loan.key for loan in book.loans})
        lacks_known = self._unseen.were_all_read(product)
        self._report.in_part(product, cut, self._unseen.missed(product), lacks_known=lacks_known)
        return book

    async def read_all_again(self, snapshot: Snapshot, product: Product, *, wait_s: float) -> bool:
        """All loans of a product, within a cycle. False, and said, where it failed, or took longer."""
        reading = self._all_again(self._products[product])
        book = await self._attempts.read("loans again", reading, wait_s=wait_s)
        if book is not None:
            snapshot.books[product] = book
        return book is not None

    async def _all_again(self, exchange: LoanExchange) -> LoanBook:
        book = await exchange.loans()
        await self._unseen.hold_against(book, exchange)
        return book

    async def read_again(self, snapshot: Snapshot, key: LoanKey, *, wait_s: float) -> bool:
        """One loan by its id: all of many take too long. False, and said, where it failed, or took longer."""
        book = await self._attempts.read("loan", self._products[key.product].loan(key), wait_s=wait_s)
        if book is None or self._is_outweighed(key, book, snapshot.asked_at(key)):
            return False
        snapshot.books[key.product] = snapshot.books[key.product].with_loan(key, book)
        return True

    def _is_outweighed(self, key: LoanKey, book: LoanBook, listed_at: Moment) -> bool:
        """That a loan is not found outweighs a list, but not one of a later moment that shows it again."""
        if book.loan(key) is not None or book.set_aside:
            self._is_settled(key)
            return False
        missed_at = self._not_found.setdefault(key, book.began)
        if listed_at.monotonic_ms <= missed_at.monotonic_ms:
            return False
        why = f"{key.loan_id} is listed, and not found by its id: the list counts"
        self._attempts.failed(f"loan {key.loan_id}", why)
        return True

    def _is_settled(self, key: LoanKey) -> None:
        """It is found by its id, or no longer listed: the two agree."""
        if self._not_found.pop(key, None) is not None:
            self._attempts.works(f"loan {key.loan_id}")


def _is_refused(error: BaseException | None) -> bool:
    return isinstance(error, ExchangeUnavailable | NeedsHuman) and not isinstance(error, ListCutShort)
