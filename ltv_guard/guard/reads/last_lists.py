"""The last whole lists of loans: what the next ones are held against while they are being read. Pure."""

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

    One that is older than `longest_ms` and two such reads is no ground to act on.
    """

    def __init__(self, clock: Clock, in_need: Callable[[Loan], bool], *, longest_ms: int) -> None:
        self._clock = clock
        self._in_need = in_need
        self._longest_ms = longest_ms
        self._last: dict[Product, _List] = {}

    def saw(self, book: LoanBook) -> None:
        """A whole list has been read."""
        took_ms = self._clock.now().ms_since(book.began)
        self._last[book.product] = _List(book, {loan.key: loan for loan in book.loans}, took_ms)

    def is_long(self, product: Product) -> bool:
        """Whether it took more than a page."""
        last = self._last.get(product)
        return last is not None and last.book.pages > 1

    def is_too_old(self, product: Product) -> bool:
        """Whether it says too little of the loans that no page has shown since."""
        last = self._last[product]
        return self._clock.now().ms_since(last.book.began) > self._longest_ms + 2 * last.took_ms

    def with_pages(self, product: Product, pages: Iterable[LoanBook]) -> LoanBook:
        """The last list, each loan as it was shown last by these pages of the next."""
        book = self._last[product].book
        for page in pages:
            book = book.with_part(page)
        return book

    def newly_in_need(self, part: LoanBook) -> set[LoanKey]:
        """Who is at its trigger, and was not by the last whole list; nobody where there was none."""
        last = self._last.get(part.product)
        if last is None:
            return set()
        return {loan.key for loan in part.loans if self._is_new(loan, last.loans.get(loan.key))}

    def _is_new(self, loan: Loan, before: Loan | None) -> bool:
        if loan is before or not self._in_need(loan):
            return False
        return before is None or not self._in_need(before)
