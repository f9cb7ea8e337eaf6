"""The events of single loans: there, limited, shown as they were before, or gone. Logs only."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal

import structlog

from ltv_guard.core.model.loan_book import LoanBook, LoanEnd, SetAside
from ltv_guard.core.model.loans import Additions, Loan, LoanKey, Moment, Product
from ltv_guard.core.model.maturity import maturity
from ltv_guard.guard.loan_fields import named
from ltv_guard.log.alert_repeater import AlertRepeater

NEARLY_LIQUIDATED = Decimal("0.97")  # of the liquidation LTV: a loan that vanishes from there was liquidated

# What is told of a loan, and forgotten once it is gone.
OF_A_LOAN = (
    *("amount", "decision", "pulled_in", "short"),
    *("unanswered", "doubted", "old", "aside", "additions", "contradicted", "untold"),
)

log = structlog.stdlib.get_logger()


class LoanReporter:
    """Says what is news of the loans that were read. Remembers which were set aside."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts
        self._aside: dict[Product, tuple[SetAside, ...]] = {}

    def book(self, book: LoanBook, gone: Iterable[Loan] = ()) -> None:
        """Loans that make no sense, and limits. Of what is `gone` nothing more is told but its end."""
        for item in book.set_aside:
            self._alerts.grave(
                ("aside", item.key), item.why, "loan_set_aside", why=item.why, **named(item.key)
            )
        aside = {item.key for item in book.set_aside}
        there = {loan.key for loan in book.loans}
        before = self._aside.get(book.product, ())
        untold = {item.key for item in before if book.cut_short and item.key not in aside | there}
        for item in before:
            if item.key in untold:
                continue
            is_over = item.key not in aside and self._alerts.ended(("aside", item.key))
            if is_over and (item.nameless or item.key in there):
                log.warning("loan_readable_again", **named(item.key))
        self._aside[book.product] = (*book.set_aside, *(item for item in before if item.key in untold))
        for loan in gone:
            self._forget(loan.key)
        for loan in book.loans:
            self._additions(loan)

    def _additions(self, loan: Loan) -> None:
        """Whether the platform takes more collateral: its limits are of single coins, and this names none."""
        topic = ("additions", loan.key)
        if loan.additions is Additions.TAKEN:
            if self._alerts.ended(topic):
                log.info("collateral_taken_again", **named(loan.key))
        elif self._alerts.changed(topic, loan.additions):
            log.warning("collateral_limit", additions=loan.additions, **named(loan.key))

    def _forget(self, key: LoanKey) -> None:
        for topic in OF_A_LOAN:
            self._alerts.ended((topic, key))
        self._alerts.ended(("less", ("short", key)))

    def gone(self, loan: Loan, now: Moment, end: LoanEnd | None) -> None:
        """How it ended: in the exchange's word (`end`), or else as far as can be told."""
        inferred = _why_liquidated(loan, now)
        why = inferred if end is None else end.words
        if end.liquidated if end is not None else inferred is not None:
            log.critical(
                "loan_liquidated", why=why, read=end is not None, last_ltv=loan.ltv, **named(loan.key)
            )
            self._alerts.happened("loan_liquidated", why=why, last_ltv=loan.ltv, **named(loan.key))
        else:
            log.warning("loan_gone", why=why, last_ltv=loan.ltv, **named(loan.key))

    def shown_as_before(self, loans: Collection[Loan]) -> None:
        """The exchange shows loans as they were before an adjustment that it had shown already."""
        why = "it is shown as it was before our last adjustment, though that had been shown: it is read again"
        for loan in loans:
            topic = ("old", loan.key)
            self._alerts.once(topic, "warning", "loan_shown_as_before", why=why, **named(loan.key))


def _why_liquidated(loan: Loan, now: Moment) -> str | None:
    """What speaks for it, where a loan is gone; None: it was repaid, as far as can be told."""
    if loan.danger >= NEARLY_LIQUIDATED:
        return "its LTV was last seen within 3 % of its liquidation LTV"
    end = maturity(loan, now.exchange_ms, ())
    return "its end was 48 h ago or more" if end is not None and end.is_forfeit else None
