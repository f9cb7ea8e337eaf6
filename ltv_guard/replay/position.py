"""One loan at the exchange while it is replayed: its coins, its interest, its LTV, its liquidation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal

from ltv_guard.core.amounts.haircuts import Holding, Unit, coins_within, counted_usd
from ltv_guard.core.amounts.rounding import POOL_QUOTED_TO, QUOTED_TO
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Collateral, Debt, Loan, Totals
from ltv_guard.replay.loan_spec import LoanSpec

HOUR_MS = 3_600_000
OVERDUE_FACTOR = 3
DUST, CENT, ZERO = Decimal("1e-8"), Decimal("0.01"), Decimal(0)
Prices = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A liquidation: coins sold for debt and fee, what is left of them, and the fee in USD."""

    ltv: Decimal
    debt_usd: Decimal
    fee_usd: Decimal
    sold: Mapping[str, Decimal]
    returned: Mapping[str, Decimal]


@dataclass(slots=True, kw_only=True)
class Position:
    """Mutable. `owed` holds interest as well; `bearing` is the part of it that bears interest.

    `hours`: whole hours since `began_ms` whose interest has been charged. `takes`: coins that may secure it.
    """

    spec: LoanSpec
    began_ms: int
    takes: Collection[str] = ()
    held: dict[str, Decimal] = field(default_factory=dict)
    owed: dict[str, Decimal] = field(default_factory=dict)
    bearing: dict[str, Decimal] = field(default_factory=dict)
    hours: int = 0
    lost: bool = False

    @property
    def margin_call_ltv(self) -> Decimal:
        """As the loans file has it, or the product's: a fraction."""
        return self.spec.margin_call_ltv

    def copy(self) -> Position:
        """One that goes its own way from here."""
        return Position(
            spec=self.spec,
            began_ms=self.began_ms,
            takes=self.takes,
            held=dict(self.held),
            owed=dict(self.owed),
            bearing=dict(self.bearing),
            hours=self.hours,
            lost=self.lost,
        )

    def accrue(self, now_ms: int) -> None:
        """Charges each whole hour by itself, so that it does not matter how often it is asked for."""
        hours = (now_ms - self.began_ms) // HOUR_MS
        if not self.spec.hourly_rate:
            self.hours = hours
        while self.hours < hours:
            self.hours += 1
            times = OVERDUE_FACTOR if self.is_overdue(self.began_ms + self.hours * HOUR_MS) else 1
            for coin, base in self.bearing.items():
                charge = (base * self.spec.hourly_rate).quantize(DUST, ROUND_UP)
                self.owed[coin] += charge * times
            if self.spec.is_pool:
                self.bearing = dict(self.owed)

    def is_overdue(self, now_ms: int, grace_ms: int = 0) -> bool:
        """Whether a fixed loan's end (ms), and its grace, are behind `now_ms`."""
        return self.spec.expires_at_ms is not None and now_ms > self.spec.expires_at_ms + grace_ms

    def debt_usd(self, prices: Prices) -> Decimal:
        """All that is owed, in USD; `prices` are USD a coin and name each of its coins."""
        return sum((amount * prices[coin] for coin, amount in self.owed.items()), ZERO)

    def counted(self, coin: str, prices: Prices) -> Decimal:
        """USD that a coin counts for after its haircut."""
        amount = self.held.get(coin, ZERO)
        if not self.spec.is_pool:
            return amount * prices[coin]
        return counted_usd(self._holding(coin, prices), amount, Unit.COINS)

    def ltv(self, prices: Prices) -> Decimal:
        """Exact, as the exchange liquidates by it."""
        value = sum((self.counted(coin, prices) for coin in self.held), ZERO)
        return self.debt_usd(prices) / value

    def shown_ltv(self, prices: Prices) -> Decimal:
        """Rounded, as the exchange shows it."""
        digits = POOL_QUOTED_TO if self.spec.is_pool else QUOTED_TO
        return self.ltv(prices).quantize(digits, ROUND_HALF_EVEN)

    def shown(self, prices: Prices) -> Loan:
        """The loan as the exchange shows it."""
        pool, spec = self.spec.is_pool, self.spec
        coins = [*self.held, *(coin for coin in self.takes if pool and coin not in self.held)]
        return Loan(
            key=spec.key,
            ltv=self.shown_ltv(prices),
            collateral=tuple(self._collateral(coin, prices) for coin in coins if coin in prices),
            debts=tuple(
                Debt(coin=coin, amount=amount, accuracy=spec.accuracy_of(coin))
                for coin, amount in self.owed.items()
            ),
            margin_call_ltv=spec.margin_call_ltv,
            liquidation_ltv=spec.liquidation_ltv,
            expires_at_ms=spec.expires_at_ms,
            totals=self._totals(prices) if pool else None,
        )

    def move(self, coin: str, amount: Decimal) -> None:
        """Coins in, or out where negative."""
        self.held[coin] = self.held.get(coin, ZERO) + amount

    def pay(self, coin: str, amount: Decimal) -> None:
        """Interest is paid first."""
        self.owed[coin] -= amount
        self.bearing[coin] = min(self.bearing[coin], self.owed[coin])

    def pay_with(self, intent: Intent, prices: Prices, fee: Decimal) -> bool:
        """Repays with collateral, if there is enough of it, for a fee as a part of what is repaid."""
        coin, paid_with, amount = intent.coin, intent.collateral_coin or "", intent.amount
        sold = amount * prices[coin] * (1 + fee) / prices[paid_with]
        if sold > self.held.get(paid_with, ZERO) or amount > self.owed.get(coin, ZERO):
            return False
        self.move(paid_with, -sold)
        self.pay(coin, amount)
        return True

    def most_released(self, coin: str, prices: Prices) -> Decimal:
        """The exchange's maximum: what may leave for the LTV to stay at most the initial one."""
        value = sum((self.counted(held, prices) for held in self.held), ZERO)
        slack = value - self.debt_usd(prices) / self.spec.initial_ltv
        if slack <= 0:
            return ZERO
        step = Decimal(1).scaleb(-self.spec.accuracy_of(coin))
        return coins_within(self._holding(coin, prices), slack).quantize(step, ROUND_DOWN)

    def liquidate(self, prices: Prices, fee: Decimal) -> Sale:
        """Sells coins for debt and fee, in the order in which the loan names them."""
        ltv, debt = self.ltv(prices), self.debt_usd(prices)
        due = debt * (1 + fee)
        sold, returned = {}, {}
        for coin, amount in self.held.items():
            step = Decimal(1).scaleb(-self.spec.accuracy_of(coin))
            sold[coin] = min(amount, (due / prices[coin]).quantize(step, ROUND_UP))
            returned[coin] = amount - sold[coin]
            due = max(ZERO, due - sold[coin] * prices[coin])
        self.lost = True
        return Sale(ltv=ltv, debt_usd=debt, fee_usd=debt * fee, sold=sold, returned=returned)

    def _holding(self, coin: str, prices: Prices) -> Holding:
        tiers = self.spec.tiers_of(coin)
        return Holding(
            amount=self.held.get(coin, ZERO), price_usd=prices[coin], tiers=tiers, units=(Unit.COINS,)
        )

    def _collateral(self, coin: str, prices: Prices) -> Collateral:
        spec = self.spec
        return Collateral(
            coin=coin,
            amount=self.held.get(coin, ZERO),
            accuracy=spec.accuracy_of(coin),
            value_usd=self.counted(coin, prices).quantize(CENT) if spec.is_pool else None,
            tiers=spec.tiers_of(coin),
        )

    def _totals(self, prices: Prices) -> Totals:
        value = sum((self.counted(coin, prices) for coin in self.held), ZERO)
        return Totals(debt_usd=self.debt_usd(prices).quantize(CENT), collateral_usd=value.quantize(CENT))


def opened(spec: LoanSpec, began_ms: int, prices: Prices, takes: Collection[str] = ()) -> Position:
    """The loan at the first prices."""
    position = Position(spec=spec, began_ms=began_ms, takes=takes, held=dict(spec.collateral))
    debts = dict(spec.debts)
    if spec.start_ltv is not None:
        value = sum((position.counted(coin, prices) for coin in position.held), ZERO)
        for coin, share in spec.debt_shares.items():
            debts[coin] = (value * spec.start_ltv * share / prices[coin]).quantize(DUST, ROUND_DOWN)
    position.owed, position.bearing = debts, dict(debts)
    return position
