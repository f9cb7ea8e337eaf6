"""What a complete read of a product's loans tells: which are odd, which are gone and how they ended."""

from __future__ import annotations

import asyncio

import structlog

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import LoanBook, LoanEnd
from ltv_guard.core.model.loans import Loan, Moment
from ltv_guard.core.ports import LoanExchange
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.loan_watch import LoanWatch
from ltv_guard.guard.reporter import Reporter
from ltv_guard.guard.state.loan_registry import LoanRegistry

END_WITHIN_S = 2.0  # a loan that is gone is told of after this at the latest, with what is known then

log = structlog.stdlib.get_logger()


class LoanNews:
    """Notes which loans there are, and has the news told. Never fails."""

    def __init__(self, registry: LoanRegistry, watch: LoanWatch, report: Reporter, defects: Defects) -> None:
        self._registry = registry
        self._watch = watch
        self._report = report
        self._defects = defects
        self._ends: set[asyncio.Task[None]] = set()

    def heard(self, exchange: LoanExchange, book: LoanBook, now: Moment) -> None:
        """A complete read of the product's loans has come."""
        with self._defects.contained("reporting the loans"):
            self._report.recovered(exchange.product)
            gone = self._registry.saw(book)
            for loan in gone:
                self._ask_for_the_end(exchange, loan, book.began)
            self._report.loans.book(book, gone)
        with self._defects.contained("ends and terms of the loans"):
            self._watch.look(book, now)

    def heard_in_part(self, book: LoanBook, now: Moment) -> None:
        """Only the first pages of a list have, and loans by their ids: that tells of none that it is gone."""
        with self._defects.contained("reporting the loans"):
            self._registry.saw_part(book)
            self._report.loans.book(book)
        with self._defects.contained("ends and terms of the loans"):
            self._watch.look(book, now)

    async def close(self) -> None:
        """Waits for the ends that are still asked for."""
        await asyncio.gather(*self._ends, return_exceptions=True)

    def _ask_for_the_end(self, exchange: LoanExchange, loan: Loan, now: Moment) -> None:
        """How a loan ended is told once the exchange has said it, or soon: no cycle waits for it."""
        task = asyncio.create_task(self._tell_the_end(exchange, loan, now))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _tell_the_end(self, exchange: LoanExchange, loan: Loan, now: Moment) -> None:
        end: LoanEnd | None = None
        try:
            async with asyncio.timeout(END_WITHIN_S):
                end = await exchange.end_of(loan)
        except (ExchangeUnavailable, NeedsHuman, TimeoutError) as error:
            log.debug("end_not_read", why=str(error))
        self._report.decisions.left(loan.key)
        self._report.loans.gone(loan, now, end)
