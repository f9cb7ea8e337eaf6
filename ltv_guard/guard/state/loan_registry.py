"""Which loans exist, as they were last read, and when one is gone. It alone decides that."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Loan, LoanKey

GONE_AFTER = 2  # complete reads without a loan until it is believed to be gone


@dataclass(slots=True)
class LoanRegistry:
    """Mutable, owned by one guard."""

    _loans: dict[LoanKey, Loan] = field(default_factory=dict)
    _missed: dict[LoanKey, int] = field(default_factory=dict)

    @property
    def keys(self) -> AbstractSet[LoanKey]:
        """The loans that exist, as far as is known."""
        return self._loans.keys()

    def loan(self, key: LoanKey) -> Loan | None:
        """As it was last read; None where it is not known, or gone."""
        return self._loans.get(key)

    def saw(self, book: LoanBook) -> list[Loan]:
        """Notes a complete read of a product's loans. Returns those that are gone by it.

        What was set aside is there, and one without a name may be any that is missing.
        """
        there = {loan.key for loan in book.loans} | {item.key for item in book.set_aside}
        nameless = any(item.nameless for item in book.set_aside)
        gone = []
        for key in [key for key in self._loans if key.product is book.product]:
            if key in there or nameless:
                self._missed.pop(key, None)
                continue
            self._missed[key] = self._missed.get(key, 0) + 1
            if self._missed[key] >= GONE_AFTER:
                del self._missed[key]
                gone.append(self._loans.pop(key))
        self._loans |= {loan.key: loan for loan in book.loans}
        return gone

    def saw_part(self, book: LoanBook) -> None:
        """Notes a read of some of them. Of the others it tells nothing."""
        self._loans |= {loan.key: loan for loan in book.loans}
        for loan in book.loans:
            self._missed.pop(loan.key, None)
