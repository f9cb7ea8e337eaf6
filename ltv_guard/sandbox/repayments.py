"""Repayments: what users pay back, and the rows of what was paid for them."""

from decimal import Decimal

from .accounts import Loan
from .books import Books, growing_ids
from .market import Moment
from .orders import Order
from .records import Repayment
from .refusals import refusal

ZERO = Decimal(0)
FIRST_LEGACY_ID, FIRST_POOL_ID = 1794271131730737664, 1771
BY_USER, BY_LIQUIDATION = 1, 2


class Repayments:
    """All repayments of all users, oldest first in `rows`. Amounts in coins."""

    def __init__(self, books: Books, time_ms: int) -> None:
        self.rows: list[Repayment] = []
        self._books = books
        self._ids = growing_ids(FIRST_LEGACY_ID, FIRST_POOL_ID, time_ms)

    def ask(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Pay from the Funding wallet, at most what is owed; an order paid in full returns its collateral."""
        account = self._books.accounts[loan.user]
        if isinstance(loan, Order) and coin != loan.loan_coin:
            raise refusal("no_loan", loan.product, "Not the loan's coin")
        if amount <= 0:
            raise refusal("amount", loan.product, "Amount must be greater than zero")
        if amount > account.balance(coin):
            raise refusal("balance", loan.product, "Insufficient balance")
        used = loan.pay(
            coin, amount if isinstance(loan, Order) else min(amount, loan.flexible.get(coin, ZERO))
        )
        if not used:
            raise refusal("no_loan", loan.product, "No flexible debt in this coin")
        account.credit(coin, -used)
        return self.book(loan, coin, used, moment, kind=BY_USER, returned=self._freed(loan))

    def from_outside(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Let debt shrink by a payment from outside the Funding wallet."""
        used = loan.pay(coin, amount)
        return self.book(loan, coin, used, moment, kind=BY_USER, returned=self._freed(loan))

    def _freed(self, loan: Loan) -> Decimal:
        """Close an order that owes nothing any more, and give its collateral back."""
        if not isinstance(loan, Order) or loan.owed > 0:
            return ZERO
        freed, loan.status = loan.collateral, "repaid"
        loan.move(loan.collateral_coin, -freed)
        self._books.accounts[loan.user].credit(loan.collateral_coin, freed)
        return freed

    def book(
        self, loan: Loan, coin: str, paid: Decimal, moment: Moment, *, kind: int, returned: Decimal = ZERO
    ) -> Repayment:
        """Write down what was paid."""
        row = Repayment(
            repay_id=next(self._ids[loan.product]),
            user=loan.user,
            product=loan.product,
            loan_id=loan.loan_id,
            coin=coin,
            amount=paid,
            collateral_coin=loan.collateral_coin if isinstance(loan, Order) else "",
            collateral_returned=returned,
            term=loan.term if isinstance(loan, Order) else "",
            kind=kind,
            time_ms=moment.time_ms,
        )
        self.rows.append(row)
        self._books.changed(self._books.accounts[loan.user], moment)
        return row
