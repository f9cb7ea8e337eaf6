"""Loans, their collateral, and what was seen of them when. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.model.tiers import FLAT, Tier

IMPLAUSIBLE_LTV = Decimal(5)


class Product(StrEnum):
    """The two loan products of the exchange. The Funding wallet is none: it is what transfers fill."""

    CRYPTO_LOAN = "crypto_loan"
    LEGACY = "crypto_loan_legacy"
    FUNDING = "funding"


class Kind(StrEnum):
    """Kinds of writes: each has an endpoint of its own, and a list in which the exchange shows its end."""

    ADJUSTMENT = "adjustment"
    REPAYMENT = "repayment"
    FIXED_REPAYMENT = "fixed_repayment"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """One kind of write to one product."""

    product: Product
    kind: Kind


class Direction(StrEnum):
    """What a write does: to a loan's collateral, to its debt, or to the Funding wallet."""

    ADD = "add"
    REDUCE = "reduce"
    REPAY = "repay"
    TRANSFER = "transfer"

    @property
    def sign(self) -> int:
        """+1 where what it acts on (collateral, debt, wallet) grows, -1 where it shrinks."""
        return 1 if self in {Direction.ADD, Direction.TRANSFER} else -1

    @property
    def kind(self) -> Kind:
        """The kind of write that does it."""
        return KINDS[self]


KINDS = {
    Direction.ADD: Kind.ADJUSTMENT,
    Direction.REDUCE: Kind.ADJUSTMENT,
    Direction.REPAY: Kind.REPAYMENT,
    Direction.TRANSFER: Kind.TRANSFER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant on two clocks: the exchange's (ms since 1970) and this machine's monotonic one (ms)."""

    exchange_ms: int
    monotonic_ms: int

    def ms_since(self, earlier: Moment) -> int:
        """Milliseconds since `earlier` that both clocks agree have passed: the smaller of the two spans."""
        return min(self.exchange_ms - earlier.exchange_ms, self.monotonic_ms - earlier.monotonic_ms)


@dataclass(frozen=True, slots=True, order=True)
class LoanKey:
    """Names a loan within an exchange user: an order id, or `pool`."""

    product: Product
    loan_id: str

    @property
    def short_name(self) -> str:
        """As `short_name` has it."""
        return short_name(self.product, self.loan_id)


def short_name(product: str, loan_id: str) -> str:
    """What a loan is called where room is scarce: `pool`, or `order` and its id."""
    return f"order {loan_id}" if product == Product.LEGACY else loan_id


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Who holds a loan: never an account's name, which may change."""

    environment: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """One coin that secures a loan, or could. `accuracy` is the number of decimals the exchange takes.

    In a pool it counts for `value_usd` after the haircut that its `tiers` make. `unread`: it is there, but
    how much of it could not be read, so nothing of it is added or released; `amount` is 0 then. `closed`: its
    own row says that the platform takes no more of it.
    """

    coin: str
    amount: Decimal
    accuracy: int
    value_usd: Decimal | None = None
    tiers: tuple[Tier, ...] = FLAT
    unread: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        if not self.amount.is_finite() or self.amount < 0:
            raise ValueError(f"a collateral of {self.amount:f} {self.coin} is not plausible")

    @property
    def step(self) -> Decimal:
        """The smallest amount of this coin that the exchange takes."""
        return Decimal(1).scaleb(-self.accuracy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What is owed in one coin: principal, interest and penalty.

    `fixed` is the part of it that can't be repaid a little at a time: a pool's fixed loans. `unread`: the
    whole could not be read, so nothing of it is repaid; `amount` is the part that could. For telling alone:
    `hourly_rate` is the interest on all but `fixed`, a part of 1, and `value_usd` what the exchange reckons.
    """

    coin: str
    amount: Decimal
    fixed: Decimal = Decimal(0)
    accuracy: int = 8
    unread: bool = False
    hourly_rate: Decimal | None = field(default=None, compare=False)
    value_usd: Decimal | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.amount.is_finite() or self.amount < 0:
            raise ValueError(f"a debt of {self.amount:f} {self.coin} is not plausible")

    def part(self, *, fixed: bool) -> Decimal:
        """Coins of it that fixed loans owe, or those that can be repaid a little at a time, as shown."""
        return self.fixed if fixed else max(Decimal(0), self.amount - self.fixed)

    @property
    def repayable(self) -> Decimal:
        """Coins that can be repaid a little at a time; 0 where what is owed could not be read."""
        return Decimal(0) if self.unread else self.part(fixed=False)


class Additions(StrEnum):
    """Whether the platform takes more collateral (`colRes`): a warning, its limits are of single coins."""

    TAKEN = "taken"
    NEARLY_FULL = "nearly full"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a pool's LTV is made of: USD of debt, and of collateral after haircuts."""

    debt_usd: Decimal
    collateral_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """What has an LTV of its own. Values that no real loan can have do not construct (ValueError).

    A legacy order has one collateral coin and no `totals`. A pool has many; those of amount 0 could be added.
    """

    key: LoanKey
    ltv: Decimal
    collateral: tuple[Collateral, ...]
    debts: tuple[Debt, ...]
    margin_call_ltv: Decimal
    liquidation_ltv: Decimal
    expires_at_ms: int | None = None
    totals: Totals | None = None
    additions: Additions = Additions.TAKEN

    def __post_init__(self) -> None:
        if not self.ltv.is_finite() or not 0 <= self.ltv < IMPLAUSIBLE_LTV:
            raise ValueError(f"an LTV of {self.ltv:f} is not plausible")
        if not any(item.amount > 0 or item.unread for item in self.collateral):
            raise ValueError("it shows no collateral")
        terms = (self.margin_call_ltv, self.liquidation_ltv)
        if not all(term.is_finite() for term in terms) or self.liquidation_ltv >= IMPLAUSIBLE_LTV:
            raise ValueError(
                f"a margin call at {terms[0]:f} and liquidation at {terms[1]:f} are not plausible"
            )
        if not 0 < self.margin_call_ltv <= self.liquidation_ltv:
            raise ValueError(
                f"its margin call at {self.margin_call_ltv:f} and liquidation at {self.liquidation_ltv:f} "
                "are out of order"
            )

    @property
    def is_pool(self) -> bool:
        """Whether it takes more coins than one. What its LTV is made of: `amounts/composition.py`."""
        return self.totals is not None

    @property
    def danger(self) -> Decimal:
        """LTV as a share of the liquidation LTV: 1 is liquidated. The order of urgency."""
        return self.ltv / self.liquidation_ltv

    def collateral_in(self, coin: str) -> Collateral | None:
        """The collateral in this coin, also where none of it secures the loan yet; None: it can't."""
        return next((item for item in self.collateral if item.coin == coin), None)

    def debt_in(self, coin: str) -> Debt | None:
        """What is owed in this coin; None: nothing."""
        return next((item for item in self.debts if item.coin == coin), None)
