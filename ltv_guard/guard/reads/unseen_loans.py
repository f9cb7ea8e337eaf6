"""Loans on pages of a list that could not be read: who is read by its id; for how long each was not seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import ListCutShort, LoanBook
from ltv_guard.core.model.loans import Loan, LoanKey, Product
from ltv_guard.core.ports import LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.state.loan_registry import LoanRegistry

NEAREST, A_FEW = 3, 5  # in a cycle; the rest of the few are those that were not seen for longest
BELIEVED_AFTER = 20  # reads without the pool, where nothing tells how it ended
WITHIN_S = 2.5  # the loans of the pages that were read wait for no more


class UnseenLoans:
    """Mutable, owned by one guard. `gap`: the part by which prices may fall before a loan's trigger.

    `recalled`: the gaps of a product's loans that the journal alone tells of. They count as known until a
    list is whole, or one is not listed by its id.
    """

    def __init__(
        self,
        registry: LoanRegistry,
        gap: Callable[[Loan], Decimal],
        defects: Defects,
        recalled: Callable[[Product], Mapping[LoanKey, Decimal]] = lambda _: {},
    ) -> None:
        self._registry = registry
        self._gap = gap
        self._defects = defects
        self._recalled = recalled
        self._missed: dict[LoanKey, int] = {}
        self._unlisted: set[LoanKey] = set()  # when they were read by their ids: they may be gone
        self._were_whole: set[Product] = set()
        self._without_pool = 0  # reads in a row, though nothing tells of its end

    def missed(self, product: Product) -> Mapping[LoanKey, int]:
        """Those that are known and were not seen, and for how many cycles in a row."""
        return {key: cycles for key, cycles in self._missed.items() if key.product is product}

    def knows_of(self, product: Product) -> bool:
        """Whether loans of it are known, or told of by the journal alone."""
        return any(key.product is product for key in self._registry.keys) or bool(
            self._told_by_journal(product)
        )

    def were_all_read(self, product: Product) -> bool:
        """Whether there is a whole list to tell which loans a part of one lacks."""
        return product in self._were_whole

    def all_are_read(self, product: Product) -> None:
        """A list is whole."""
        self._were_whole.add(product)
        if self._missed or self._unlisted:
            self._missed = {key: cycles for key, cycles in self._missed.items() if key.product is not product}
            self._unlisted = {key for key in self._unlisted if key.product is not product}

    def none_is_read(self, product: Product) -> None:
        """Not even the first page could be."""
        known = (key for key in self._registry.keys if key.product is product)
        self._count([*known, *self._told_by_journal(product)])

    async def hold_against(self, book: LoanBook, exchange: LoanExchange) -> None:
        """Raises ListCutShort where a loan that a whole list lacks is there: pages came back short.

        The one with most room is asked for by its id: of all these it is the least likely to have been
        liquidated. A pool has no other place to be shown: there, that nothing tells of its end says so.
        """
        lacking = self._lacking(book)
        if not lacking and book.product is Product.CRYPTO_LOAN:
            self._without_pool = 0
        if not lacking or any(item.nameless for item in book.set_aside):
            return
        key = max(lacking, key=lacking.__getitem__)
        read = (await self._by_id(exchange, [key])).get(key)
        if read is not None and read.loans:
            why = f"the list came without loan {key.loan_id}, which is there when it is asked for by its id"
        elif (loan := self._registry.loan(key)) is not None and await self._vanished(exchange, loan):
            why = "the position shows no pool, and no repayment tells how it ended"
        else:
            return
        part = replace(book, pages=book.pages + 1, cut_short=why)
        raise ListCutShort(why, book=part, without_a_word=True)

    async def _vanished(self, exchange: LoanExchange, loan: Loan) -> bool:
        """Whether a pool is not shown, and has not ended as far as is told; for so many reads only."""
        if exchange.product is not Product.CRYPTO_LOAN:
            return False
        self._without_pool += 1
        try:
            async with asyncio.timeout(WITHIN_S):
                return self._without_pool <= BELIEVED_AFTER and await exchange.end_of(loan) is None
        except (ExchangeUnavailable, NeedsHuman, TimeoutError):
            return False

    async def add_to(self, book: LoanBook, exchange: LoanExchange, first: Collection[LoanKey]) -> LoanBook:
        """The same book, with a few of those that it lacks, each read by its id: `first` of all these."""
        lacking = self._lacking(book)
        for key, read in (await self._by_id(exchange, self._wanted(lacking, first))).items():
            book = book.with_loan(key, read)
            self._unlisted.discard(key)
            if not read.loans and not read.set_aside:
                self._unlisted.add(key)
            if key not in self._unlisted or key not in self._registry.keys:
                del lacking[key]
        seen = {key for key in self._missed if key.product is book.product} - lacking.keys()
        self._missed = {key: cycles for key, cycles in self._missed.items() if key not in seen}
        self._count(lacking)
        return book

    def _count(self, keys: Iterable[LoanKey]) -> None:
        for key in keys:
            self._missed[key] = self._missed.get(key, 0) + 1

    def _lacking(self, book: LoanBook) -> dict[LoanKey, Decimal]:
        """Those that are known and not in the book, each with its gap."""
        there = {loan.key for loan in book.loans} | {item.key for item in book.set_aside}
        read = {
            key: self._gap(loan)
            for key in self._registry.keys
            if key.product is book.product and key not in there and (loan := self._registry.loan(key))
        }
        told = self._told_by_journal(book.product).items()
        return read | {key: gap for key, gap in told if key not in there}

    def _told_by_journal(self, product: Product) -> dict[LoanKey, Decimal]:
        if product in self._were_whole:
            return {}
        return {key: gap for key, gap in self._recalled(product).items() if key not in self._unlisted}

    def _wanted(self, lacking: Mapping[LoanKey, Decimal], first: Collection[LoanKey]) -> list[LoanKey]:
        nearest = sorted(lacking, key=lacking.__getitem__)
        listed = [key for key in nearest if key not in self._unlisted]
        longest = sorted(nearest, key=lambda key: self._missed.get(key, 0), reverse=True)
        crossed = [key for key in nearest if key in first]
        some = list(dict.fromkeys([*crossed, *listed]))[:NEAREST]
        return list(dict.fromkeys([*some, *longest]))[:A_FEW]

    async def _by_id(self, exchange: LoanExchange, keys: Iterable[LoanKey]) -> dict[LoanKey, LoanBook]:
        """Those that came in time."""
        reads = {key: asyncio.ensure_future(self._one(exchange, key)) for key in keys}
        try:
            if reads:
                await asyncio.wait(reads.values(), timeout=WITHIN_S)
        finally:
            for read in reads.values():
                read.cancel()
            found = await asyncio.gather(*reads.values(), return_exceptions=True)
        return {key: item for key, item in zip(reads, found, strict=True) if isinstance(item, LoanBook)}

    async def _one(self, exchange: LoanExchange, key: LoanKey) -> LoanBook | None:
        with (
            self._defects.contained("reading a loan of a page that failed"),
            contextlib.suppress(ExchangeUnavailable, NeedsHuman),
        ):
            return await exchange.loan(key)
        return None
