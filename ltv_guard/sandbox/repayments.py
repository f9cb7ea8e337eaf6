"""Repayments: what users pay back, at once or later, and the rows of what was paid for them."""

from __future__ import annotations

from decimal import Decimal

from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.books import Books, growing_ids, take_due, too_fine
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.orders import Order
from ltv_guard.sandbox.records import FAILED, PROCESSING, SUCCESS, Handling, Origin, Repayment
from ltv_guard.sandbox.refusals import Refusal, refusal

ZERO = Decimal(0)
FIRST_LEGACY_ID, FIRST_POOL_ID = 1794271131730737664, 1771
BY_USER, BY_LIQUIDATION = 1, 2


class Repayments:
    """All repayments of all users, oldest first in `rows`. Amounts in coins."""

    def __init__(self, books: Books, time_ms: int) -> None:
        self.rows: list[Repayment] = []
        self._books = books
        self._waiting: list[Repayment] = []
        self._ids = growing_ids(FIRST_LEGACY_ID, FIRST_POOL_ID, time_ms)

    def ask(
        self,
        loan: Loan,
        coin: str,
        amount: Decimal,
        moment: Moment,
        origin: Origin,
        handling: Handling,
    ) -> Repayment:
        """Pays from the Funding wallet, at most what is owed. Raises Refusal, and moves nothing.

        An order that is paid in full returns its collateral.
        """
        owed = self._check(loan, coin, amount)
        row = self._write(loan, coin, min(amount, owed), moment, BY_USER)
        row.asked, row.by, row.signed_at = amount, origin.by, origin.signed_at
        row.visible_from_s += handling.hidden_s
        row.settles_as = FAILED if handling.fails else SUCCESS
        if handling.processing_s > 0:
            row.status, row.settles_at_s = PROCESSING, moment.real_s + handling.processing_s
            self._waiting.append(row)
        else:
            self._settle(row, moment)
        return row

    def from_outside(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Lets debt shrink by a payment from outside the Funding wallet."""
        row = self._write(loan, coin, loan.pay(coin, amount), moment, BY_USER)
        row.asked, row.by = amount, "app"
        row.collateral_returned = self._freed(loan)
        self._land(row, moment)
        return row

    def by_sale(
        self, loan: Loan, coin: str, paid: Decimal, moment: Moment, kind: int = BY_LIQUIDATION
    ) -> Repayment:
        """Writes down what a sale of collateral has paid."""
        row = self._write(loan, coin, paid, moment, kind)
        self._land(row, moment)
        return row

    def settle(self, moment: Moment) -> None:
        """Carries out what is due."""
        for row in take_due(self._waiting, moment):
            self._settle(row, moment)

    def _check(self, loan: Loan, coin: str, amount: Decimal) -> Decimal:
        """What is owed in this coin. Raises Refusal where nothing is."""
        if amount <= 0:
            raise refusal("amount", loan.product, "Amount must be greater than zero")
        if too_fine(amount, self._books.scenario.terms(coin).debt_accuracy):
            raise refusal("precision", loan.product, "Amount exceeds the coin's precision")
        owed = loan.repayable(coin)
        if owed <= 0:
            raise refusal("nothing_owed", loan.product, f"Nothing to repay in {coin}")
        if amount > self._books.accounts[loan.user].balance(coin):
            raise refusal("balance", loan.product, "Insufficient balance")
        return owed

    def _settle(self, row: Repayment, moment: Moment) -> None:
        """Moves the coins now, or fails: what was checked at the start may no longer hold."""
        try:
            if row.settles_as == FAILED:
                raise refusal("balance", row.product, "failed by the scenario")
            loan = self._books.loan(row.user, row.product, row.loan_id)
            owed = self._check(loan, row.coin, row.asked)
        except Refusal:
            row.status = FAILED
            return
        row.amount = loan.pay(row.coin, min(row.asked, owed))
        self._books.accounts[row.user].credit(row.coin, -row.amount)
        row.collateral_returned = self._freed(loan)
        self._land(row, moment)

    def _freed(self, loan: Loan) -> Decimal:
        """Closes an order that owes nothing any more, and gives its collateral back."""
        if not isinstance(loan, Order) or loan.owed > 0:
            return ZERO
        freed, loan.status = loan.collateral, "repaid"
        loan.move(loan.collateral_coin, -freed)
        self._books.accounts[loan.user].credit(loan.collateral_coin, freed)
        return freed

    def _write(self, loan: Loan, coin: str, amount: Decimal, moment: Moment, kind: int) -> Repayment:
        row = Repayment(
            repay_id=next(self._ids[loan.product]),
            user=loan.user,
            product=loan.product,
            loan_id=loan.loan_id,
            coin=coin,
            asked=amount,
            amount=amount,
            collateral_coin=loan.collateral_coin if isinstance(loan, Order) else "",
            term=loan.term if isinstance(loan, Order) else "",
            kind=kind,
            time_ms=moment.time_ms,
            made_s=moment.real_s,
            visible_from_s=moment.real_s,
        )
        self.rows.append(row)
        return row

    def _land(self, row: Repayment, moment: Moment) -> None:
        row.status, row.applied_ms, row.applied_s = SUCCESS, moment.time_ms, moment.real_s
        self._books.changed(self._books.accounts[row.user], moment)
