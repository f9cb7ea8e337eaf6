"""When the reading of a long list may be given up, and for whom; what it came to the last time. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.guard.reads.last_lists import LastLists

MOST_OF_OURS = 2  # and for those that were helped since the last list: together what a second has room for
LONG_MS = 1_500  # a list that takes less is whole as the next turn to write comes, and tells whose that is


class Haste:
    """Mutable, owned by one guard. Never twice in a row: after it a list is read to its end.

    While that one is read prices may have a loan read as well, and acted on: nothing is put off by that.
    After prices have had a list given up in vain, as where the exchange shows a crossing later than they do,
    the next one is for a breach that a page shows. `may_hurry`: nothing is open that a whole read has to
    settle; that is enough where the last list is new enough to act on. `adjusted_since`: which loans a list
    that was asked for then does not show as we left them; None: it does not tell. Where it is older, and for
    what only a page tells, they are read beside.
    """

    def __init__(
        self,
        last: LastLists,
        may_hurry: Callable[[], bool],
        adjusted_since: Callable[[Moment, Product], Collection[LoanKey] | None],
    ) -> None:
        self._last = last
        self._may_hurry = may_hurry
        self._adjusted_since = adjusted_since
        self._hurried: dict[Product, bool] = {}
        self._in_vain: set[Product] = set()  # prices put loans there, and the exchange did not

    def hurried(self, product: Product, read: Iterable[LoanBook], *, by_pages: bool) -> None:
        """A list was given up for these reads of single loans."""
        self._hurried[product] = by_pages
        if any(map(self._last.is_in_need, read)):
            self._in_vain.discard(product)
        else:
            self._in_vain.add(product)

    def all_were_read(self, product: Product) -> None:
        """A list is whole."""
        self._hurried.pop(product, None)
        self._in_vain.discard(product)

    def went_by_pages(self, product: Product) -> bool:
        """Whether the last one was given up with pages to go by alone."""
        return self._hurried.get(product, False)

    def may_give_up(self, product: Product) -> bool:
        """Whether a sweep may: of pages, and not twice in a row, but for a breach that is shown."""
        return self._last.is_long(product) and (product not in self._hurried or product in self._in_vain)

    def may_go_by_prices(self, product: Product) -> bool:
        """Whether the last list will do for the others, and was not gone by just before."""
        last = self._last
        is_long = last.is_long(product) and product not in self._hurried
        return is_long and last.is_of_now(product) and self._may_hurry()

    def may_act_beside(self, product: Product) -> bool:
        """Whether prices may have a loan acted on while the list after a hurried cycle is read on."""
        takes_long = product in self._hurried and self._last.took_ms(product) > LONG_MS
        return takes_long and self.may_go_by_pages(product)

    def may_go_by_pages(self, product: Product) -> bool:
        """Whether it will with the pages that are there, and with those read beside that we adjusted.

        Nothing is open then.
        """
        return self._last.is_the_last_but_one(product) and self.ours(product) is not None

    def ours(self, product: Product) -> Collection[LoanKey] | None:
        """Whom the last list does not show as we left them; None: those are too many, or not known."""
        ours = self._adjusted_since(self._last.book(product).began, product)
        return None if ours is None or len(ours) > MOST_OF_OURS else ours

    def may_take_long(self, product: Product) -> bool:
        """Whether the next list may: the last one did, or was given up before it was whole."""
        last = self._last
        return product in self._hurried or (last.is_long(product) and last.took_ms(product) > LONG_MS)

    def believes_prices(self, product: Product) -> bool:
        """Whether they did not put loans at their triggers in vain just now."""
        return product not in self._in_vain
