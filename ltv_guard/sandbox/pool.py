"""An account's pool: many debts, many collateral coins, one LTV after haircuts (v5/crypto-loan-common)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from ltv_guard.sandbox.contracts import FixedLoan
from ltv_guard.sandbox.market import Moment, Prices
from ltv_guard.sandbox.orders import DUST, HOUR_S, INFINITE
from ltv_guard.sandbox.refusals import POOL
from ltv_guard.sandbox.scenario import CoinTerms, PoolTerms

ZERO = Decimal(0)


def counted_value(terms: CoinTerms, amount: Decimal, price: Decimal) -> Decimal:
    """The USD value that counts as collateral: each tier's share times its own ratio."""
    total = ZERO
    size = amount * price if terms.tier_unit == "usd" else amount
    unit = Decimal(1) if terms.tier_unit == "usd" else price
    for tier in terms.tiers:
        top = size if tier.max is None else min(size, tier.max)
        total += max(top - tier.min, ZERO) * unit * tier.ratio
    return total


def releasable(terms: CoinTerms, amount: Decimal, price: Decimal, slack_usd: Decimal) -> Decimal:
    """The coins that can leave without lowering the counted value by more than `slack_usd`."""
    if counted_value(terms, amount, price) <= slack_usd:
        return amount
    gone = ZERO
    unit = price if terms.tier_unit == "usd" else Decimal(1)
    size = amount * unit
    top_of_all = max((tier.max or INFINITE) for tier in terms.tiers)
    if size > top_of_all:  # beyond the last tier coins count nothing
        gone += size - top_of_all
        size = top_of_all
    for tier in sorted(terms.tiers, key=lambda tier: tier.min, reverse=True):
        share = max(size - tier.min, ZERO)
        worth = share * tier.ratio * (price / unit)
        if worth > slack_usd:
            return (gone + slack_usd / tier.ratio / (price / unit)) / unit
        slack_usd -= worth
        gone += share
        size = min(size, tier.min)
    return gone / unit


@dataclass(slots=True, kw_only=True)
class Pool:
    """Debts and collateral in coins."""

    user: str
    flexible: dict[str, Decimal]
    fixed: dict[str, Decimal]
    collateral: dict[str, Decimal]
    supply: dict[str, Decimal]
    hourly_rate: Decimal
    pool_terms: PoolTerms
    terms: dict[str, CoinTerms]
    contracts: list[FixedLoan] = field(default_factory=list)
    loan_id: str = "pool"
    hours: int = 0
    status: str = "open"
    peak_ltv: Decimal | None = None
    trough_ltv: Decimal | None = None
    product: str = field(default=POOL)

    @property
    def liquidation_ltv(self) -> Decimal:
        """A fraction of 1: from it on the pool is sold."""
        return self.pool_terms.liquidation_ltv

    def coin_terms(self, coin: str) -> CoinTerms:
        """What the scenario says of a coin; the defaults where it says nothing."""
        return self.terms.get(coin) or CoinTerms()

    def holdings(self) -> dict[str, Decimal]:
        """Coins of collateral; a copy."""
        return dict(self.collateral)

    def held(self, coin: str) -> Decimal:
        """So many coins secure it."""
        return self.collateral.get(coin, ZERO)

    def move(self, coin: str, amount: Decimal) -> None:
        """Puts coins in, or takes them out when negative."""
        if self.held(coin) + amount < 0:
            raise ValueError(f"the pool cannot move {amount} {coin}")
        self.collateral[coin] = self.held(coin) + amount
        if self.collateral[coin] == 0:
            del self.collateral[coin]

    def debts(self) -> list[tuple[str, Decimal]]:
        """Coins owed, flexible ones first. A coin that is owed in both ways comes twice."""
        return [*self.flexible.items(), *self.fixed_debts().items()]

    def debts_without_contracts(self) -> list[tuple[str, Decimal]]:
        """What is owed in flexible loans, and in fixed ones that no contract is listed for."""
        return [*self.flexible.items(), *self.fixed.items()]

    def fixed_debts(self) -> dict[str, Decimal]:
        """What is owed in fixed loans, by coin."""
        found = dict(self.fixed)
        for contract in self.contracts:
            if contract.owed > 0:
                found[contract.coin] = found.get(contract.coin, ZERO) + contract.owed
        return found

    def debt_usd(self, prices: Prices) -> Decimal:
        """What is owed in all coins, in USD."""
        return sum((amount * prices[coin] for coin, amount in self.debts()), ZERO)

    def counted_usd(self, coin: str, prices: Prices) -> Decimal:
        """What one coin counts for after its haircut, in USD."""
        return counted_value(self.coin_terms(coin), self.held(coin), prices[coin])

    def collateral_usd(self, prices: Prices) -> Decimal:
        """What all coins count for after their haircuts, in USD."""
        return sum((self.counted_usd(coin, prices) for coin in self.collateral), ZERO)

    def ltv(self, prices: Prices) -> Decimal:
        """Debt over counted collateral, unrounded; infinite where there is debt and no collateral."""
        owed, worth = self.debt_usd(prices), self.collateral_usd(prices)
        if worth > 0:
            return owed / worth
        return INFINITE if owed > 0 else ZERO

    def maximum_release(self, coin: str, prices: Prices) -> Decimal:
        """The most of one coin that may leave at these prices, rounded down."""
        terms = self.coin_terms(coin)
        slack = self.collateral_usd(prices) - self.debt_usd(prices) / self.pool_terms.initial_ltv
        if slack <= 0 or coin not in prices:
            return ZERO
        free = releasable(terms, self.held(coin), prices[coin], slack)
        return max(free.quantize(Decimal(1).scaleb(-terms.accuracy), ROUND_DOWN), ZERO)

    def accrue(self, moment: Moment) -> None:
        """Adds interest for every whole market hour."""
        hours = int(moment.market_s // HOUR_S)
        if hours > self.hours:
            for coin, owed in self.flexible.items():
                self.flexible[coin] = owed + (owed * self.hourly_rate * (hours - self.hours)).quantize(
                    DUST, ROUND_UP
                )
            for contract in self.contracts:
                contract.accrue(hours - self.hours, moment)
            self.hours = hours

    def overdue_s(self, moment: Moment) -> Decimal:
        """Seconds for which the contract that ended first has been overdue; 0 where none is."""
        return max((contract.overdue_s(moment) for contract in self.contracts), default=ZERO)

    def repayable(self, coin: str) -> Decimal:
        """The most that a repayment in this coin can be: fixed debt has a way of its own."""
        return self.flexible.get(coin, ZERO)

    def contracts_of(self, coin: str, loan_id: str = "") -> list[FixedLoan]:
        """The contracts of a coin that owe something, or one of them; those that end first come first."""
        asked = (one for one in self.contracts if one.coin == coin and loan_id in ("", one.loan_id))
        return sorted((one for one in asked if one.owed > 0), key=lambda one: one.ends_ms)

    def pay_contracts(self, coin: str, amount: Decimal, loan_id: str) -> dict[str, Decimal]:
        """Pays contracts. Returns what each of them took."""
        paid: dict[str, Decimal] = {}
        for contract in self.contracts_of(coin, loan_id):
            part = contract.pay(amount - sum(paid.values(), ZERO))
            if part:
                paid[contract.loan_id] = part
        return paid

    def pay(self, coin: str, amount: Decimal) -> Decimal:
        """Pays flexible debt first, then fixed. Returns what was used of the amount."""
        left = amount
        for debts in (self.flexible, self.fixed):
            part = min(left, debts.get(coin, ZERO))
            left -= part
            if part:
                debts[coin] -= part
            if debts.get(coin) == 0:
                del debts[coin]
        for contract in self.contracts:
            if contract.coin == coin:
                left -= contract.pay(left)
        return amount - left

    def write_off(self) -> None:
        """Forgets the debt that no collateral is left for."""
        self.flexible.clear()
        self.fixed.clear()
        for contract in self.contracts:
            contract.pay(contract.owed)
