"""The payloads of contracts, as the exchange mixes them: some numbers as strings, some not. Pure."""

from __future__ import annotations

from ltv_guard.sandbox.contracts import FixedLoan
from ltv_guard.sandbox.payloads import Payload, plain


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
