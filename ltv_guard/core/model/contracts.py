"""The fixed loans of a pool, which the exchange calls contracts: how much, until when, what then. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

TOLD_AFTER_MS = 60_000  # so long after its end one of which nothing has become is told
SETTLES_WITHIN_MS = 3_600_000  # the exchange may take its time to repay one, or to turn it flexible


class AtEnd(StrEnum):
    """What the exchange does with a contract at its end (`repayType`). UNTOLD: its row does not say."""

    NOTHING = "nothing"
    REPAID = "repaid"
    FLEXIBLE = "flexible"
    UNTOLD = "untold"

    @property
    def takes_coins(self) -> bool:
        """Whether the Funding wallet pays at the end: by default it does, so also where the row is silent."""
        return self in {AtEnd.REPAID, AtEnd.UNTOLD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract that is not repaid. Amounts in coins; `ends_at_ms` is the exchange's time.

    `overdue`: the exchange says so. `annual_rate`, a part of 1, is for telling alone; None: not read.
    """

    loan_id: str
    coin: str
    ends_at_ms: int
    principal: Decimal
    interest: Decimal = Decimal(0)
    at_end: AtEnd = AtEnd.REPAID
    overdue: bool = False
    annual_rate: Decimal | None = field(default=None, compare=False)

    @property
    def owed(self) -> Decimal:
        """Coins: principal, interest and penalty, as its row has them."""
        return self.principal + self.interest

    def is_overdue(self, listed_ms: int) -> bool:
        """Whether it is past its end and nothing has become of it, where it was still listed at that time."""
        told_ms = 0 if self.at_end is AtEnd.NOTHING else TOLD_AFTER_MS
        return self.overdue or listed_ms - self.ends_at_ms >= told_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractList:
    """One read of the contracts in one coin, soonest end first. `whole`: every row of it was understood."""

    contracts: tuple[Contract, ...]
    whole: bool = True

    @property
    def owed(self) -> Decimal:
        """Coins that all of them owe."""
        return sum((item.owed for item in self.contracts), Decimal(0))

    def at_least_owed(self, contract: Contract, fixed: Decimal) -> Decimal:
        """Coins that one of them still owes for certain, where the pool is shown to owe `fixed` in contracts.

        The list may be of before a repayment: what they owe less by now, any of them may owe less.
        """
        return max(Decimal(0), contract.owed - max(Decimal(0), self.owed - fixed))
