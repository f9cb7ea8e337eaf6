"""The ends of contracts: repaid from the Funding wallet, turned flexible, or overdue."""

from __future__ import annotations

from decimal import Decimal

from ltv_guard.sandbox.accounts import Account, Loan
from ltv_guard.sandbox.books import Books
from ltv_guard.sandbox.contracts import (
    AUTOMATIC,
    AUTOMATICALLY,
    FLEXIBLE,
    OVERDUE,
    TURNED_FLEXIBLE,
    UNREPAID,
    ContractEnd,
    FixedLoan,
)
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.pool import Pool
from ltv_guard.sandbox.scenario import Scenario

BECAME_OVERDUE = 0


def grace_s(scenario: Scenario, loan: Loan) -> Decimal:
    """From the end of a fixed loan to its liquidation: shorter within a pool."""
    return scenario.contract_grace if isinstance(loan, Pool) else scenario.overdue_grace


def settle_contracts(books: Books, moment: Moment) -> list[ContractEnd]:
    """Ends every contract whose end has come. An automatic repayment pays all or nothing, once."""
    return [
        _end(books, account, account.pool, contract, moment)
        for account in books.accounts.values()
        if account.pool is not None and account.pool.status == "open"
        for contract in account.pool.contracts
        if contract.status == UNREPAID and contract.ends_ms <= moment.time_ms
    ]


def _end(books: Books, account: Account, pool: Pool, contract: FixedLoan, moment: Moment) -> ContractEnd:
    owed, kind = contract.owed, BECAME_OVERDUE
    if contract.repay_type == AUTOMATIC and account.balance(contract.coin) >= owed:
        account.credit(contract.coin, -owed)
        kind = AUTOMATICALLY
    elif contract.repay_type == FLEXIBLE:
        pool.flexible[contract.coin] = pool.flexible.get(contract.coin, Decimal(0)) + owed
        kind = TURNED_FLEXIBLE
    if kind == BECAME_OVERDUE:
        contract.status = OVERDUE
    else:
        contract.pay(owed)
    books.changed(account, moment)
    return ContractEnd(
        user=account.user,
        loan_id=contract.loan_id,
        coin=contract.coin,
        amount=owed,
        kind=kind,
        time_ms=moment.time_ms,
    )
