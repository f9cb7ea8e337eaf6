"""The fixed loans of a pool, which the exchange calls contracts, and what becomes of them at their ends."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.orders import DUST
from ltv_guard.sandbox.scenario import ContractPlan

ZERO = Decimal(0)
HOURS_A_YEAR = 365 * 24
UNREPAID, REPAID, OVERDUE = 1, 2, 3
NOTHING, AUTOMATIC, FLEXIBLE = "0", "1", "2"  # repayType of v5/new-crypto-loan/fixed/borrow-contract
BY_USER, AUTOMATICALLY, TURNED_FLEXIBLE = 1, 3, 8  # repayType of its repayment history


@dataclass(slots=True, kw_only=True)
class FixedLoan:
    """Amounts in coins. `interest` is what is owed of it, with the penalty."""

    loan_id: str
    coin: str
    principal: Decimal
    interest: Decimal
    interest_paid: Decimal = ZERO
    annual_rate: Decimal
    term: str
    repay_type: str
    began_ms: int
    ends_ms: int
    status: int = UNREPAID

    @property
    def owed(self) -> Decimal:
        """Principal, interest and penalty."""
        return self.principal + self.interest

    def accrue(self, hours: int, moment: Moment) -> None:
        """Adds interest for whole market hours; three times as much once it is overdue."""
        charge = self.principal * self.annual_rate / HOURS_A_YEAR * hours
        self.interest += (charge * (3 if self.overdue_s(moment) > 0 else 1)).quantize(DUST, ROUND_UP)

    def overdue_s(self, moment: Moment) -> Decimal:
        """Seconds since its end; 0 before it, and where nothing is owed."""
        if self.owed == 0:
            return ZERO
        return max(Decimal(moment.time_ms - self.ends_ms) / 1000, ZERO)

    def pay(self, amount: Decimal) -> Decimal:
        """Pays interest, then principal. Returns what was used of the amount."""
        interest = min(amount, self.interest)
        principal = min(amount - interest, self.principal)
        self.interest -= interest
        self.interest_paid += interest
        self.principal -= principal
        if self.owed == 0:
            self.status = REPAID
        return interest + principal


def signed(plan: ContractPlan, time_ms: int) -> FixedLoan:
    """A contract as the scenario has it at the start."""
    ends_ms = time_ms + int(plan.ends_in * 1000)
    return FixedLoan(
        loan_id=plan.loan_id,
        coin=plan.coin,
        principal=plan.principal,
        interest=plan.interest,
        annual_rate=plan.annual_rate,
        term=plan.term,
        repay_type=plan.repay_type,
        began_ms=ends_ms - int(plan.term) * 86_400_000,
        ends_ms=ends_ms,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractEnd:
    """What became of a contract at its end: `kind` is the repayType, 0 for one that became overdue."""

    user: str
    loan_id: str
    coin: str
    amount: Decimal
    kind: int
    time_ms: int
