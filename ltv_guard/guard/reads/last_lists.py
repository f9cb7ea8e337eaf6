"""The last whole lists of loans: what the pages of the next ones are held against as they come. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Loan, LoanKey, Product
from ltv_guard.core.ports import Clock


@dataclass(frozen=True, slots=True)
class _List:
    """A whole list, its loans by their keys, and how long it took (ms)."""

    book: LoanBook
    loans: Mapping[LoanKey, Loan]
    took_ms: int


class LastLists:
    """Mutable, owned by one guard. `in_need`: whether a loan shows an LTV at its trigger.

    `longest_ms`: how old what is acted on may be; `apart_ms`: the calm pace of lists.
    """

    def __init__(
        self, clock: Clock, in_need: Callable[[Loan], bool], *, longest_ms: int, apart_ms: int = 0
    ) -> None:
        self._clock = clock
        self._in_need = in_need
        self._longest_ms = longest_ms
        self._apart_ms = apart_ms
        self._last: dict[Product, _List] = {}

    def saw(self, book: LoanBook) -> None:
        """A whole list has been read."""
        took_ms = self._clock.now().ms_since(book.began)
        self._last[book.product] = _List(book, {loan.key: loan for loan in book.loans}, took_ms)

    def is_long(self, product: Product) -> bool:
        """Whether it took more than a page."""
        last = self._last.get(product)
        return last is not None and last.book.pages > 1

    def took_ms(self, product: Product) -> int:
        """How long it took. There was one."""
        return self._last[product].took_ms

    def book(self, product: Product) -> LoanBook:
        """The last one. There was one."""
        return self._last[product].book

    def is_of_now(self, product: Product) -> bool:
        """Whether even the first loan of it may be acted on still."""
        return self._age_ms(product) <= self._longest_ms

    def is_the_last_but_one(self, product: Product) -> bool:
        """Whether it is as old as a list may be while the next is being read, at the calm pace."""
        took_ms = self._last[product].took_ms
        return self._age_ms(product) <= self._longest_ms + 2 * (self._apart_ms + took_ms)

    def _age_ms(self, product: Product) -> int:
        return self._clock.now().ms_since(self._last[product].book.began)

    def with_pages(self, product: Product, pages: Iterable[LoanBook]) -> LoanBook:
        """The last list, each loan as it was shown last by these pages of the next."""
        book = self._last[product].book
        for page in pages:
            book = book.with_part(page)
        return book

    def newly_in_need(self, part: LoanBook) -> list[Loan]:
        """Who is at its trigger, and was not by the last whole list."""
        last = self._last[part.product].loans
        return [loan for loan in part.loans if self._is_new(loan, last.get(loan.key))]

    def is_in_need(self, read: LoanBook) -> bool:
        """Whether a loan that was read by its id is at its trigger."""
        return any(self._in_need(loan) for loan in read.loans)

    def _is_new(self, loan: Loan, before: Loan | None) -> bool:
        if loan is before or not self._in_need(loan):
            return False
        return before is None or not self._in_need(before)
