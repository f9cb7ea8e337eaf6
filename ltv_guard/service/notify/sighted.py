"""How everything stands at one look: asked for once, where anything asks at all, and found by its key."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from ltv_guard.core.model.notices import Alarm
from ltv_guard.core.model.status import AlertStatus, LoanStatus, Status


class Sighted:
    """`ask` takes long with many loans, and runs on the loop."""

    def __init__(self, ask: Callable[[], Status]) -> None:
        self._ask = ask

    @cached_property
    def status(self) -> Status:
        """Of everything."""
        return self._ask()

    def loan_of(self, of: AlertStatus | Alarm) -> LoanStatus | None:
        """The loan that it is about, as it was last seen."""
        return self._loans.get((of.account, of.product, of.loan_id)) if of.loan_id else None

    @cached_property
    def _loans(self) -> dict[tuple[str | None, str | None, str | None], LoanStatus]:
        return {
            (account.name, item.loan.key.product.value, item.loan.key.loan_id): item
            for account in self.status.accounts
            for item in account.loans
        }
