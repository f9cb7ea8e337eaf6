"""Scenarios: what the sandbox simulates, as validated data."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, Self

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ltv_guard.sandbox.faults import Fault

STABLE = frozenset({"USDT", "USDC"})
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: object) -> object:
    """Reads `90`, `"36h"`, `"1d12h"` or `"-2h"` as seconds."""
    text = str(value).strip()
    if not re.fullmatch(r"-?(\d+(\.\d+)?[smhd])+", text):
        return value
    seconds = sum(Decimal(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
    return -seconds if text.startswith("-") else seconds


Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[Decimal, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Coins = dict[str, Amount]


class Part(BaseModel):
    """A part of a scenario. An unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PricePath(Part):
    """USD prices at market times; straight lines between the points, the last price is held."""

    tick: Positive = Decimal("0.01")
    path: list[tuple[Seconds, Positive]] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [at for at, _ in self.path]
        if times != sorted(set(times)):
            raise ValueError("the points of a price path must follow one another in time")
        return self


class MarketPlan(Part):
    """Prices, and how many seconds of market pass in one real second."""

    speed_up: Positive = Decimal(1)
    start: Literal["immediately", "first_request"] = "immediately"
    coins: dict[str, PricePath]


class Tier(Part):
    """What part of a pool's collateral counts, between two bounds; `max: null` is open."""

    ratio: Annotated[Decimal, Field(gt=0, le=1)]
    min: Amount = Decimal(0)
    max: Positive | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.max is not None and self.max <= self.min:
            raise ValueError("a tier's max must be above its min")
        return self


class CoinTerms(Part):
    """A coin as collateral. Legacy orders use the LTVs, pools the tiers.

    `borrowing_accuracy`: the decimals of a debt in it, where they are others than those of collateral;
    `conversion_fee`: the share that repaying with collateral costs, the higher of the two coins' counts.
    """

    accuracy: Annotated[int, Field(ge=0, le=18)] = 8
    borrowing_accuracy: Annotated[int, Field(ge=0, le=18)] | None = None
    initial_ltv: Positive = Decimal("0.8")
    margin_call_ltv: Positive = Decimal("0.87")
    liquidation_ltv: Positive = Decimal("0.95")
    max_limit: Amount = Decimal(32000)
    tiers: list[Tier] = Field(default_factory=lambda: [Tier(ratio=Decimal("0.9"))])
    tier_unit: Literal["usd", "coins"] = "usd"
    liquidation_order: int = 1
    conversion_fee: Amount = Decimal("0.005")

    @property
    def debt_accuracy(self) -> int:
        """Decimals that a repayment of the coin may have."""
        return self.accuracy if self.borrowing_accuracy is None else self.borrowing_accuracy


class PoolTerms(Part):
    """The LTV that a release may lead to at most, and that of liquidation."""

    initial_ltv: Positive = Decimal("0.8")
    liquidation_ltv: Positive = Decimal("0.95")


class ApiKey(Part):
    """An API key. `ips: []` binds it to no address; `rsa_public_key` (PEM) replaces the secret.

    It ends after `deadline_days` (negative: never), or after `expires_in` of real time. `user_id` is what the
    exchange calls the user; None: as the scenario does.
    """

    key: str
    secret: str | None = None
    rsa_public_key: str | None = None
    user: str
    user_id: str | None = None
    read_only: bool = False
    permissions: dict[str, list[str]] = Field(
        default_factory=lambda: {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"]}
    )
    ips: list[str] = Field(default_factory=list)
    vip_level: str = "VIP0"
    deadline_days: int = 90
    expires_in: Annotated[Decimal, BeforeValidator(_seconds)] | None = None

    @model_validator(mode="after")
    def _can_sign(self) -> Self:
        if (self.secret is None) == (self.rsa_public_key is None):
            raise ValueError(f"key {self.key}: give either secret or rsa_public_key")
        if self.rsa_public_key is not None:
            load_pem_public_key(self.rsa_public_key.encode())
        return self


class OrderPlan(Part):
    """A legacy loan. Amounts in coins; `hourly_rate` runs in market time.

    `expires_in` is real time; negative, the loan is overdue from the start.
    """

    order_id: str
    loan_coin: str
    debt: Positive
    collateral_coin: str
    collateral: Positive
    interest: Amount = Decimal(0)
    penalty: Amount = Decimal(0)
    hourly_rate: Amount = Decimal(0)
    term: str = ""
    expires_in: Annotated[Decimal, BeforeValidator(_seconds)] | None = None


class ContractPlan(Part):
    """A fixed loan of a pool; `repay_type`: 0 none, 1 repaid, 2 turned flexible; `ends_in`: real time."""

    loan_id: str
    coin: str
    principal: Positive
    interest: Amount = Decimal(0)
    annual_rate: Amount = Decimal(0)
    term: str = "30"
    repay_type: Literal["0", "1", "2"] = "1"
    ends_in: Annotated[Decimal, BeforeValidator(_seconds)]


class PoolPlan(Part):
    """An account's pool: debts and collateral in coins. `fixed`: debts that no contract is listed for."""

    flexible: Coins = Field(default_factory=dict)
    fixed: Coins = Field(default_factory=dict)
    contracts: list[ContractPlan] = Field(default_factory=list)
    collateral: Coins = Field(default_factory=dict)
    supply: Coins = Field(default_factory=dict)
    hourly_rate: Amount = Decimal(0)


class UserPlan(Part):
    """What a user has at the start: coins by wallet, orders, and a pool. Amounts in coins."""

    member_id: str | None = None
    funding: Coins = Field(default_factory=dict)
    unified: Coins = Field(default_factory=dict)
    orders: list[OrderPlan] = Field(default_factory=list)
    pool: PoolPlan | None = None


class LimitPlan(Part):
    """Requests a second for each user id and endpoint, and requests in a window for each address."""

    writes_per_s: int = 1
    reads_per_s: int = 5
    ip_requests: int = 600
    ip_window_s: Positive = Decimal(5)
    ban_s: Amount = Decimal(600)


class Scenario(Part):
    """Everything the sandbox needs to know; see config/scenarios for commented examples.

    `col_res` is what a pool shows, `coin_col_res` what single coins in it show; neither refuses anything.
    `closed_collateral` are the coins that the platform takes no more of. `directions_reversed`: "0" takes
    collateral out and "1" puts it in, as one tool of the exchange's own has it. `ids`: orders and users are
    called as written, or anew at each start, as a file's are. `sale_limit_usd`: of one sale for a repayment.
    """

    name: str
    about: str = ""
    market: MarketPlan
    coins: dict[str, CoinTerms] = Field(default_factory=dict)
    pool_terms: PoolTerms = PoolTerms()
    keys: list[ApiKey]
    users: dict[str, UserPlan]
    limits: LimitPlan = LimitPlan()
    faults: list[Fault] = Field(default_factory=list)
    clock_offset_ms: int = 0
    seed: int = 1
    liquidation_fee: Amount = Decimal("0.02")
    sale_limit_usd: Positive = Decimal(300000)
    overdue_grace: Seconds = Decimal(172800)
    contract_grace: Seconds = Decimal(86400)
    col_res: Literal["-1", "0", "1", "2"] = "0"
    coin_col_res: dict[str, Literal["-1", "0", "1", "2"]] = Field(default_factory=dict)
    ids: Literal["fixed", "new"] = "fixed"
    closed_collateral: list[str] = Field(default_factory=list)
    directions_reversed: bool = False

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        priced = STABLE | self.market.coins.keys()
        for user, plan in self.users.items():
            pool = plan.pool or PoolPlan()
            used = {*pool.flexible, *pool.fixed, *pool.collateral}
            used |= {contract.coin for contract in pool.contracts}
            used |= {coin for order in plan.orders for coin in (order.loan_coin, order.collateral_coin)}
            if used - priced:
                raise ValueError(f"user {user}: no price for {', '.join(sorted(used - priced))}")
        if strangers := {key.user for key in self.keys} - self.users.keys():
            raise ValueError(f"keys name unknown users: {', '.join(sorted(strangers))}")
        if len(ids := [one.order_id for plan in self.users.values() for one in plan.orders]) != len(set(ids)):
            raise ValueError("two orders have the same order_id")
        return self

    def terms(self, coin: str) -> CoinTerms:
        """The terms of a coin, also of one that the scenario says nothing of."""
        return self.coins.get(coin, CoinTerms())

    def all_terms(self) -> dict[str, CoinTerms]:
        """The terms of every coin that has a price."""
        return {coin: self.terms(coin) for coin in sorted(STABLE | self.market.coins.keys())}
