"""A legacy order: one loan coin, one collateral coin, an LTV of its own (v5/crypto-loan)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from ltv_guard.sandbox.market import Moment, Prices
from ltv_guard.sandbox.refusals import LEGACY
from ltv_guard.sandbox.scenario import CoinTerms

HOUR_S = 3600
DUST = Decimal("0.00000001")
INFINITE = Decimal("Infinity")


@dataclass(slots=True, kw_only=True)
class Order:
    """Amounts in coins. `debt` is unpaid principal; interest and penalty come on top."""

    user: str
    loan_id: str
    loan_coin: str
    collateral_coin: str
    debt: Decimal
    collateral: Decimal
    interest: Decimal
    penalty: Decimal
    hourly_rate: Decimal
    term: str
    expires_ms: int | None
    terms: CoinTerms
    hours: int = 0
    status: str = "open"
    peak_ltv: Decimal | None = None
    trough_ltv: Decimal | None = None
    product: str = LEGACY

    @property
    def liquidation_ltv(self) -> Decimal:
        """Its collateral coin's: a fraction."""
        return self.terms.liquidation_ltv

    @property
    def owed(self) -> Decimal:
        """Principal, interest and penalty, in the loan coin."""
        return self.debt + self.interest + self.penalty

    def coin_terms(self, _coin: str) -> CoinTerms:
        """Of its one collateral coin, whichever is asked for."""
        return self.terms

    def holdings(self) -> dict[str, Decimal]:
        """Its collateral, in coins."""
        return {self.collateral_coin: self.collateral}

    def held(self, coin: str) -> Decimal:
        """Its collateral in this coin; 0 in any other."""
        return self.collateral if coin == self.collateral_coin else Decimal(0)

    def move(self, coin: str, amount: Decimal) -> None:
        """Puts coins in, or takes them out when negative."""
        if coin != self.collateral_coin or self.collateral + amount < 0:
            raise ValueError(f"order {self.loan_id} cannot move {amount} {coin}")
        self.collateral += amount

    def debts(self) -> list[tuple[str, Decimal]]:
        """What it owes, in coins."""
        return [(self.loan_coin, self.owed)]

    def debt_usd(self, prices: Prices) -> Decimal:
        """What is owed, in USD."""
        return self.owed * prices[self.loan_coin]

    def ltv(self, prices: Prices) -> Decimal:
        """Debt over collateral value, unrounded; infinite where there is debt and no collateral."""
        worth = self.collateral * prices[self.collateral_coin]
        owed = self.debt_usd(prices)
        if worth > 0:
            return owed / worth
        return INFINITE if owed > 0 else Decimal(0)

    def maximum_release(self, coin: str, prices: Prices) -> Decimal:
        """The most that may leave so that the LTV stays at most the initial LTV, rounded down."""
        if coin != self.collateral_coin:
            return Decimal(0)
        needed = self.debt_usd(prices) / self.terms.initial_ltv / prices[coin]
        step = Decimal(1).scaleb(-self.terms.accuracy)
        return max((self.collateral - needed).quantize(step, ROUND_DOWN), Decimal(0))

    def accrue(self, moment: Moment) -> None:
        """Adds interest for every whole market hour; three times as much once the loan is overdue."""
        hours = int(moment.market_s // HOUR_S)
        if hours <= self.hours:
            return
        charge = (self.debt * self.hourly_rate * (hours - self.hours)).quantize(DUST, ROUND_UP)
        self.hours = hours
        self.interest += charge
        if self.overdue_s(moment) > 0:
            self.penalty += 2 * charge

    def overdue_s(self, moment: Moment) -> Decimal:
        """Seconds since its end; 0 before it, and where it has none."""
        if self.expires_ms is None:
            return Decimal(0)
        return max(Decimal(moment.time_ms - self.expires_ms) / 1000, Decimal(0))

    def repayable(self, coin: str) -> Decimal:
        """The most that a repayment in this coin can be."""
        return self.owed if coin == self.loan_coin else Decimal(0)

    def pay(self, coin: str, amount: Decimal) -> Decimal:
        """Pays interest first, then penalty, then principal. Returns what was used of the amount."""
        if coin != self.loan_coin:
            raise ValueError(f"order {self.loan_id} is not owed {coin}")
        left = amount
        for name in ("interest", "penalty", "debt"):
            part = min(left, getattr(self, name))
            setattr(self, name, getattr(self, name) - part)
            left -= part
        return amount - left

    def write_off(self) -> None:
        """Forgets the debt that no collateral is left for."""
        self.debt = self.interest = self.penalty = Decimal(0)
