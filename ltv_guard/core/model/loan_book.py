"""One read of a product's loans: those that are understood, and those that are not. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.loans import Loan, LoanKey, Moment, Product


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A loan whose data makes no sense: not acted on, said loudly, the others go on.

    `nameless`: it does not say which it is, so it may be any that is not listed.
    """

    key: LoanKey
    why: str
    nameless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanBook:
    """One complete read of a product's loans. `began` is the instant before the first request left.

    `asked`: the instant before the request of a loan's own page left, where that is another one. `pages`: how
    many requests it took. `cut_short`: why there are pages that could not be read; "": it is whole.
    """

    product: Product
    loans: tuple[Loan, ...]
    set_aside: tuple[SetAside, ...] = ()
    began: Moment
    pages: int = 1
    asked: Mapping[LoanKey, Moment] = field(default_factory=dict)
    cut_short: str = ""

    def loan(self, key: LoanKey) -> Loan | None:
        """The loan; None where it is not listed, or was set aside."""
        return next((loan for loan in self.loans if loan.key == key), None)

    def tells_of(self, key: LoanKey) -> bool:
        """Whether that the loan is not listed would tell anything."""
        return not self.cut_short or self.loan(key) is not None

    def asked_at(self, key: LoanKey) -> Moment:
        """What is shown of the loan is not older than this."""
        return self.asked.get(key, self.began)

    def with_loan(self, key: LoanKey, read: LoanBook) -> LoanBook:
        """The same book, but for one loan: as it was `read` by itself."""
        others = [loan for loan in self.loans if loan.key.loan_id != key.loan_id or loan.key != key]
        aside = tuple(item for item in self.set_aside if item.key != key)
        return replace(
            self,
            loans=(*others, *read.loans),
            set_aside=aside + read.set_aside,
            asked={**self.asked, key: read.began},
        )

    def with_part(self, part: LoanBook) -> LoanBook:
        """The same book, but for the loans that a part of a later read has shown."""
        read = {loan.key for loan in part.loans}
        others = tuple(loan for loan in self.loans if loan.key not in read)
        aside = tuple(item for item in self.set_aside if item.key not in read)
        asked = {**self.asked, **{key: part.asked_at(key) for key in read}}
        return replace(self, loans=others + part.loans, set_aside=aside, asked=asked)


class ListCutShort(ExchangeUnavailable):
    """A later page of a list could not be read. `book`: the loans of those before it, which prove nothing.

    `without_a_word`: it looked whole, and lacks a loan that is there.
    """

    def __init__(self, message: str, *, book: LoanBook, mend: str = "", without_a_word: bool = False) -> None:
        super().__init__(message, mend=mend)
        self.book = book
        self.without_a_word = without_a_word


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanEnd:
    """How a loan that is no longer listed ended, in the exchange's own word."""

    liquidated: bool
    words: str
