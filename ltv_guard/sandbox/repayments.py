"""Repayments: what users pay back, at once or later, and the rows of what was paid for them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.books import Books, growing_ids, take_due, too_fine
from ltv_guard.sandbox.collateral_sales import sale_for
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.orders import Order
from ltv_guard.sandbox.pool import Pool
from ltv_guard.sandbox.records import (
    FAILED,
    FLEXIBLE_DEBT,
    PROCESSING,
    SUCCESS,
    DebtOf,
    Handling,
    Origin,
    Repayment,
)
from ltv_guard.sandbox.refusals import Refusal, refusal

ZERO = Decimal(0)
FIRST_LEGACY_ID, FIRST_POOL_ID = 1794271131730737664, 1771
BY_USER, BY_LIQUIDATION, BY_OVERDUE, WITH_COLLATERAL = 1, 2, 4, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class RepaymentAsked:
    """What a user asks to repay: coins of the debt; `selling`: the collateral to pay with, if any."""

    loan: Loan
    coin: str
    amount: Decimal
    debt: DebtOf = FLEXIBLE_DEBT
    selling: tuple[str, ...] = ()

    @property
    def kind(self) -> int:
        """The repayType that the history will show."""
        return WITH_COLLATERAL if self.selling else BY_USER


def _owed(loan: Loan, coin: str, debt: DebtOf) -> Decimal:
    """What is owed of that debt, in its coin."""
    if not debt.fixed or not isinstance(loan, Pool):
        return loan.repayable(coin)
    return sum((contract.owed for contract in loan.contracts_of(coin, debt.contract)), ZERO)


class Repayments:
    """All repayments of all users, oldest first in `rows`. Amounts in coins."""

    def __init__(self, books: Books, time_ms: int) -> None:
        self.rows: list[Repayment] = []
        self._books = books
        self._waiting: list[Repayment] = []
        self._ids = growing_ids(FIRST_LEGACY_ID, FIRST_POOL_ID, time_ms)

    def ask(self, wanted: RepaymentAsked, moment: Moment, origin: Origin, handling: Handling) -> Repayment:
        """Pays from the Funding wallet or with collateral, at most what is owed.

        Raises Refusal, and moves nothing. An order that is paid in full returns its collateral.
        """
        row = self._row(wanted.loan, wanted.coin, wanted.amount, moment, wanted.kind)
        row.debt, row.selling = wanted.debt, wanted.selling
        row.asked, row.by, row.signed_at = wanted.amount, origin.by, origin.signed_at
        row.amount, _ = self._check(row, wanted.loan, moment)
        row.visible_from_s += handling.hidden_s
        row.settles_as = FAILED if handling.fails else SUCCESS
        self.rows.append(row)
        if handling.processing_s > 0:
            row.status, row.settles_at_s = PROCESSING, moment.real_s + handling.processing_s
            self._waiting.append(row)
        else:
            self._settle(row, moment)
        return row

    def from_outside(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Lets debt shrink by a payment from outside the Funding wallet."""
        row = self._row(loan, coin, loan.pay(coin, amount), moment, BY_USER)
        self.rows.append(row)
        row.asked, row.by = amount, "app"
        row.collateral_returned = self._freed(loan)
        self._land(row, moment)
        return row

    def by_sale(
        self, loan: Loan, coin: str, paid: Decimal, moment: Moment, kind: int = BY_LIQUIDATION
    ) -> Repayment:
        """Writes down what a sale of collateral has paid."""
        row = self._row(loan, coin, paid, moment, kind)
        self.rows.append(row)
        self._land(row, moment)
        return row

    def by_liquidation(self, loan: Loan, moment: Moment, *, overdue: bool) -> None:
        """Ends a loan whose collateral has been sold, and writes down what of each debt that has paid."""
        contracts = list(loan.contracts) if isinstance(loan, Pool) else []
        debts = loan.debts_without_contracts() if isinstance(loan, Pool) else loan.debts()
        owed = {one.loan_id: (one.coin, one.owed) for one in contracts if one.owed > 0}
        loan.write_off()
        loan.status = "liquidated"
        for coin, amount in debts:
            self.by_sale(loan, coin, amount, moment)
        for loan_id, (coin, amount) in owed.items():
            kind = BY_OVERDUE if overdue else BY_LIQUIDATION
            self.by_contract(loan, coin, {loan_id: amount}, moment, kind)

    def settle(self, moment: Moment) -> None:
        """Carries out what is due."""
        for row in take_due(self._waiting, moment):
            self._settle(row, moment)

    def by_contract(self, pool: Loan, coin: str, paid: dict[str, Decimal], moment: Moment, kind: int) -> None:
        """Writes down what became of a contract, in the history of fixed loans."""
        row = self._row(pool, coin, sum(paid.values(), ZERO), moment, kind)
        row.debt, row.details = DebtOf(fixed=True), paid
        self.rows.append(row)
        self._land(row, moment)

    def _check(self, row: Repayment, loan: Loan, moment: Moment) -> tuple[Decimal, dict[str, Decimal]]:
        """What would be paid, and the collateral that would be sold for it.

        Raises Refusal where nothing is owed, or where it can't be paid.
        """
        owed, amount = _owed(loan, row.coin, row.debt), row.asked
        if row.debt.whole:
            amount = owed
        elif amount <= 0:
            raise refusal("amount", loan.product, "Amount must be greater than zero")
        elif too_fine(amount, self._books.scenario.terms(row.coin).debt_accuracy):
            raise refusal("precision", loan.product, "Amount exceeds the coin's precision")
        if owed <= 0:
            raise refusal("nothing_owed", loan.product, f"Nothing to repay in {row.coin}")
        paid = min(amount, owed)
        if row.selling:
            scenario = self._books.scenario
            return paid, sale_for(loan, row.coin, paid, row.selling, moment.prices, scenario)
        if amount > self._books.accounts[loan.user].balance(row.coin):
            raise refusal("balance", loan.product, "Insufficient balance")
        return paid, {}

    def _settle(self, row: Repayment, moment: Moment) -> None:
        """Moves the coins now, or fails: what was checked at the start may no longer hold."""
        try:
            if row.settles_as == FAILED:
                raise refusal("balance", row.product, "failed by the scenario")
            loan = self._books.loan(row.user, row.product, row.loan_id)
            row.amount, row.sold = self._check(row, loan, moment)
        except Refusal:
            row.status = FAILED
            return
        self._pay(row, loan)
        row.collateral_returned = self._freed(loan)
        self._land(row, moment)

    def _pay(self, row: Repayment, loan: Loan) -> None:
        if row.selling:
            for coin, amount in row.sold.items():
                loan.move(coin, -amount)
        else:
            self._books.accounts[row.user].credit(row.coin, -row.amount)
        if row.debt.fixed and isinstance(loan, Pool):
            row.details = loan.pay_contracts(row.coin, row.amount, row.debt.contract)
        else:
            loan.pay(row.coin, row.amount)

    def _freed(self, loan: Loan) -> Decimal:
        """Closes an order that owes nothing any more, and gives its collateral back."""
        if not isinstance(loan, Order) or loan.owed > 0:
            return ZERO
        freed, loan.status = loan.collateral, "repaid"
        loan.move(loan.collateral_coin, -freed)
        self._books.accounts[loan.user].credit(loan.collateral_coin, freed)
        return freed

    def _row(self, loan: Loan, coin: str, amount: Decimal, moment: Moment, kind: int) -> Repayment:
        return Repayment(
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

    def _land(self, row: Repayment, moment: Moment) -> None:
        row.status, row.applied_ms, row.applied_s = SUCCESS, moment.time_ms, moment.real_s
        self._books.changed(self._books.accounts[row.user], moment)
