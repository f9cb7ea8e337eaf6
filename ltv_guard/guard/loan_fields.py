"""Which loan an event is about, as the fields that all events use."""

from __future__ import annotations

from ltv_guard.core.model.loans import LoanKey


def named(key: LoanKey) -> dict[str, str]:
    """`product` and `loan_id`."""
    return {"product": key.product.value, "loan_id": key.loan_id}
