"""What the exchange asks of the loans beside their LTV: ends that come near, terms that change. Logs only."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import structlog

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Loan, LoanKey, Moment, Product
from ltv_guard.core.model.maturity import Maturity, maturity
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.guard.end_teller import Ending, EndTeller
from ltv_guard.guard.state.loan_registry import LoanRegistry
from ltv_guard.log.alert_repeater import AlertRepeater

Terms = tuple[Decimal, Decimal]  # margin-call LTV, liquidation LTV

ONCE_IT_ENDS = (
    "repay it in the exchange's app: from its end on three times the interest runs, and 48 h after it the "
    "loan is liquidated, whatever its collateral"
)
SINCE_IT_ENDED = (
    "three times the interest runs, and 48 h after its end the loan is liquidated; no collateral saves it, "
    "only repaying does: repay it in the exchange's app"
)

log = structlog.stdlib.get_logger()


class LoanWatch:
    """Looks at each complete read of a product's loans. What it said is remembered until a restart."""

    def __init__(self, rulebook: Rulebook, loans: LoanRegistry, alerts: AlertRepeater) -> None:
        self._rulebook = rulebook
        self._loans = loans
        self._ends = EndTeller(alerts)
        self._terms: dict[tuple[Product, str | None], Terms] = {}

    def look(self, book: LoanBook, now: Moment) -> None:
        """Tells of ends that are near or past, and of terms that changed."""
        self._compare(book.loans)
        for loan in book.loans:
            if loan.expires_at_ms is None:
                continue
            found = maturity(loan, now.exchange_ms, self._rulebook.policy_for(loan).maturity_notice_ms)
            if found is not None:
                self._announce(loan, found)
        self._forget_gone(book.product)

    # Ends: also of loans that are not protected, for nobody else tells of them.

    def _announce(self, loan: Loan, found: Maturity) -> None:
        ending = Ending(
            name=loan.key,
            key=loan.key,
            found=found,
            owed=_owed(loan),
            what_follows=SINCE_IT_ENDED if found.is_overdue else ONCE_IT_ENDS,
        )
        if found.is_overdue:
            self._ends.tell_overdue(ending)
        else:
            self._ends.tell_near(ending)

    def _forget_gone(self, product: Product) -> None:
        """Loans that are believed to be gone. One read without a loan does not make it so."""
        known = self._loans.keys
        told = [name for name in self._ends.told if isinstance(name, LoanKey) and name.product is product]
        for key in told:
            if key not in known:
                self._ends.forget(key)

    # Terms: the same for all orders with one collateral coin, and so told once for them.

    def _compare(self, loans: Sequence[Loan]) -> None:
        secured: dict[tuple[Product, str | None], list[Loan]] = {}
        for loan in loans:
            coin = None if loan.is_pool else loan.collateral[0].coin
            secured.setdefault((loan.key.product, coin), []).append(loan)
        for (product, coin), alike in secured.items():
            found = (alike[0].margin_call_ltv, alike[0].liquidation_ltv)
            before = self._terms.get((product, coin), found)
            self._terms[product, coin] = found
            if found != before:
                log.warning(
                    "terms_changed",
                    product=product.value,
                    coin=coin,
                    loans=len(alike),
                    margin_call_ltv=found[0],
                    margin_call_ltv_before=before[0],
                    liquidation_ltv=found[1],
                    liquidation_ltv_before=before[1],
                )


def _owed(loan: Loan) -> dict[str, str]:
    return {debt.coin: format(debt.amount, "f") for debt in loan.debts}
