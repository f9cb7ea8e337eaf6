"""What the ledger writes down: adjustments, repayments, transfers, liquidations."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeVar

Direction = Literal["add", "reduce"]
SUCCESS, PROCESSING, FAILED = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """How the exchange treats one request out of the ordinary (faults)."""

    hidden_s: Decimal = Decimal(0)
    processing_s: Decimal = Decimal(0)
    fails: bool = False


ORDINARY = Handling()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked: `by` is "api", or "app" for the user's own hand.

    `signed_at` is the timestamp of the request, so that an effect can be traced to its send.
    """

    by: str = "api"
    signed_at: str = ""


BY_API, BY_HAND = Origin(), Origin(by="app")


@dataclass(slots=True, kw_only=True)
class Adjustment:
    """A change of collateral, and the history's row about it.

    `applied_s` and `applied_ms` are None until the coins have moved. `maximum` is the largest release
    that was allowed at that very moment. `by` and `signed_at` are its Origin's.
    """

    adjust_id: int
    user: str
    product: str
    loan_id: str
    coin: str
    direction: Direction
    amount: Decimal
    by: str
    signed_at: str = ""
    time_ms: int
    made_s: Decimal
    visible_from_s: Decimal
    maximum: Decimal | None = None
    ltv_before: Decimal
    ltv_after: Decimal
    status: int = SUCCESS
    applied_ms: int | None = None
    applied_s: Decimal | None = None
    settles_at_s: Decimal = Decimal(0)
    settles_as: int = SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtOf:
    """Which of a loan's debts: an order's own or a pool's flexible one, or a contract's.

    `contract` is its loan id; empty, all contracts of the coin are meant, those that end first before others.
    `whole`: all that is owed is paid, whatever the amount.
    """

    fixed: bool = False
    contract: str = ""
    whole: bool = False


FLEXIBLE_DEBT = DebtOf()


@dataclass(slots=True, kw_only=True)
class Repayment:
    """A debt paid back. Amounts in the loan's coin.

    `kind` is the page's repayType: 1 by the user, 2 by liquidation, 5 by delisting, 6 by delayed liquidation,
    7 with collateral; of a contract also 3 automatic, 4 overdue, 8 turned flexible.

    `debt` is which debt it is for, `selling` the collateral it is paid with (none: the Funding wallet).
    `asked` is what the request said, `amount` what is paid of it: at most what is owed; `details` is the part
    of each contract, by its loan id, and `sold` the collateral that went for it. `applied_s` and
    `applied_ms` are None until the coins have moved. `by` and `signed_at` are its Origin's; a liquidation has
    neither.
    """

    repay_id: int
    user: str
    product: str
    loan_id: str
    coin: str
    asked: Decimal
    amount: Decimal
    collateral_coin: str
    collateral_returned: Decimal = Decimal(0)
    term: str
    kind: int
    debt: DebtOf = FLEXIBLE_DEBT
    selling: tuple[str, ...] = ()
    details: dict[str, Decimal] = field(default_factory=dict)
    sold: dict[str, Decimal] = field(default_factory=dict)
    by: str = ""
    signed_at: str = ""
    time_ms: int
    made_s: Decimal
    visible_from_s: Decimal
    status: int = SUCCESS
    applied_ms: int | None = None
    applied_s: Decimal | None = None
    settles_at_s: Decimal = Decimal(0)
    settles_as: int = SUCCESS


@dataclass(slots=True, kw_only=True)
class Transfer:
    """A move between a user's wallets; `status` is SUCCESS, PENDING or FAILED, as on the wire.

    `transfer_id` is the client's own. `applied_s` and `applied_ms` are None until the coins have moved; `by`
    and `signed_at` are its Origin's.
    """

    transfer_id: str
    user: str
    coin: str
    amount: Decimal
    source: str
    destination: str
    by: str = "api"
    signed_at: str = ""
    time_ms: int
    made_s: Decimal
    visible_from_s: Decimal
    status: str = "PENDING"
    applied_ms: int | None = None
    applied_s: Decimal | None = None
    settles_at_s: Decimal = Decimal(0)
    settles_as: str = "SUCCESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """A loan that was sold: USD values at its prices, coins sold and returned. `cost_usd` is the fee."""

    user: str
    product: str
    loan_id: str
    time_ms: int
    market_s: Decimal
    prices: dict[str, Decimal]
    ltv: Decimal
    debt_usd: Decimal
    cost_usd: Decimal
    sold: dict[str, Decimal]
    returned: dict[str, Decimal]
    reason: str


Row = TypeVar("Row", Adjustment, Repayment, Transfer)
