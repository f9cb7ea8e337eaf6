"""The payloads of contracts, as the exchange mixes them: some numbers as strings, some not. Pure."""

from __future__ import annotations

from ltv_guard.sandbox.contracts import FixedLoan
from ltv_guard.sandbox.payloads import Payload, plain
from ltv_guard.sandbox.records import Repayment


def contract_row(contract: FixedLoan) -> Payload:
    """A row of v5/crypto-loan-fixed/borrow-contract-info: strings, but for its status."""
    return {
        "annualRate": plain(contract.annual_rate),
        "borrowCurrency": contract.coin,
        "borrowTime": str(contract.began_ms),
        "interestPaid": plain(contract.interest_paid),
        "loanId": contract.loan_id,
        "orderId": f"1{contract.loan_id}",
        "repaymentTime": str(contract.ends_ms),
        "repayType": contract.repay_type,
        "residualPenaltyInterest": plain(contract.interest),
        "residualPrincipal": plain(contract.principal),
        "status": contract.status,
        "term": contract.term,
    }


def fixed_repayment_row(row: Repayment) -> Payload:
    """A row of v5/crypto-loan-fixed/repayment-history: numbers for its id, states and times."""
    return {
        "details": [{"loanId": loan_id, "repayAmount": plain(paid)} for loan_id, paid in row.details.items()],
        "loanCurrency": row.coin,
        "repayAmount": plain(row.amount),
        "repayId": row.repay_id,
        "repayStatus": row.status,
        "repayTime": row.time_ms,
        "repayType": row.kind,
    }
