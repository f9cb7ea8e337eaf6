"""Orders as they were read last: a row that shows the same is the same loan, not parsed again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from ltv_guard.adapters.bybit.fields import Row
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.order_wire import OWED, order_key, parse_keyed, parse_order
from ltv_guard.adapters.bybit.terms import Terms
from ltv_guard.core.model.loan_book import SetAside
from ltv_guard.core.model.loans import Loan, LoanKey

# Every field that goes into a loan. A flexible one may lack its end: such a row is parsed each time.
_fields = itemgetter(
    "orderId", "currentLTV", "collateralCurrency", "collateralAmount", "loanCurrency", *OWED, "expirationTime"
)
APART = "\n"  # stands in no text that goes into a loan


@dataclass(frozen=True, slots=True)
class _KnownOrder:
    """A loan, and all that it was made from: the texts of its row, and the terms of its two coins."""

    shown: str
    terms: tuple[Terms | None, Terms | None]
    loan: Loan


class KnownOrders:
    """Mutable, owned by one reader. A row with anything odd in it is never known: it is told each time."""

    def __init__(self) -> None:
        self._known: dict[str, _KnownOrder] = {}

    def key_of(self, item: object) -> LoanKey:
        """Whose row it is, as `order_key` has it."""
        name = item.get("orderId") if type(item) is dict else None
        known = self._known.get(name) if type(name) is str else None
        return order_key(item) if known is None else known.loan.key

    def parse(
        self, items: Iterable[tuple[LoanKey, object]], terms: Mapping[str, Terms], reading: Reading
    ) -> tuple[tuple[Loan, ...], tuple[SetAside, ...]]:
        """A whole read, as `parse_keyed` has it. What it does not show is forgotten."""
        before, self._known = self._known, {}
        return parse_keyed(items, terms, reading, partial(self._loan, before))

    def parse_part(
        self, items: Iterable[tuple[LoanKey, object]], terms: Mapping[str, Terms], reading: Reading
    ) -> tuple[tuple[Loan, ...], tuple[SetAside, ...]]:
        """The same of a part of the list: nothing is forgotten."""
        return parse_keyed(items, terms, reading, partial(self._loan, self._known))

    def _loan(
        self,
        before: Mapping[str, _KnownOrder],
        row: Row,
        key: LoanKey,
        terms: Mapping[str, Terms],
        reading: Reading,
    ) -> Loan:
        shown, known = _shown(row), before.get(key.loan_id)
        if known is None or known.shown != shown or known.terms != _terms_of(known.loan, terms):
            odd = len(reading.found)
            loan = parse_order(row, key, terms, reading)
            if shown is None or len(reading.found) > odd:
                return loan
            known = _KnownOrder(shown, _terms_of(loan, terms), loan)
        self._known[key.loan_id] = known
        return known.loan


def _shown(row: Row) -> str | None:
    """What it shows, as it is written; None where that is not all text: 1 and true would be the same."""
    try:
        return APART.join(_fields(row))
    except (KeyError, TypeError):
        return None


def _terms_of(loan: Loan, terms: Mapping[str, Terms]) -> tuple[Terms | None, Terms | None]:
    return terms.get(loan.collateral[0].coin), terms.get(loan.debts[0].coin)
