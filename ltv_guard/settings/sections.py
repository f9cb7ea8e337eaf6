"""The sections of a configuration: every key, its default, and what must hold within one section. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ltv_guard.core.model.policy import LoanPolicy, TransferRules
from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.settings.errors import Clash
from ltv_guard.settings.values import (
    AccountName,
    Amount,
    Coin,
    Count,
    Duration,
    Interval,
    Ltv,
    Marker,
    Milliseconds,
    Notice,
    OrderId,
    Product,
    Ratio,
    RestUrl,
    StreamUrl,
    is_loopback,
    upper,
)

T = TypeVar("T")

REST = {"mainnet": "https://api.bybit.com", "testnet": "https://api-testnet.bybit.com"}
STREAM = {
    "mainnet": "wss://stream.bybit.com/v5/public/spot",
    "testnet": "wss://stream-testnet.bybit.com/v5/public/spot",
}

LEAST_RECV_WINDOW_MS, MOST_RECV_WINDOW_MS = 1_000, 60_000
LEAST_IP_BUDGET, IP_LIMIT = 20, 600
LEAST_GAP = Decimal("0.05")
"""Between where a release ends and where an add ends, so that one never provokes the other."""


MS = 1000
RULES, TRANSFERS, TIMEOUTS = LoanPolicy(), TransferRules(), SettlementTimeouts()
"""Where the defaults are that the core has too: it is the one place for them."""


class Section(BaseModel):
    """A part of the configuration. An unknown key is refused, and no value is shown in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _below(key: str, value: Decimal, other_key: str, other: Decimal) -> None:
    if value >= other:
        raise Clash(key, f"({value:f}) must be below {other_key} ({other:f})")


def each_once(values: tuple[T, ...], noun: str) -> tuple[T, ...]:
    """The values as they are. Raises ValueError where there are none, or one stands there twice."""
    if not values or len(set(values)) < len(values):
        raise ValueError(f"must name at least one {noun}, and each only once")
    return values


class ExchangeSection(Section):
    """Where requests go, and for how long each is good."""

    environment: Literal["mainnet", "testnet"] = "testnet"
    base_url: Annotated[RestUrl | None, Marker.NULLABLE] = None
    stream_url: Annotated[StreamUrl | None, Marker.NULLABLE] = Field(
        default_factory=lambda given: _stream_of(given.get("environment"), given.get("base_url"))
    )
    """The public price stream; None beside a loopback `base_url`, for the real one would not fit it."""
    recv_window_ms: Milliseconds = TIMING.recv_window_ms
    request_timeout_s: Interval = TIMING.request_timeout_ms // MS
    ip_budget_per_5s: Count = 480
    """Requests of all accounts of this process. The exchange bans an address at 600."""

    @property
    def rest_url(self) -> str:
        """Where requests go, without a trailing slash."""
        return self.base_url or REST[self.environment]

    @field_validator("ip_budget_per_5s")
    @classmethod
    def _stays_below_a_ban(cls, value: int) -> int:
        if not LEAST_IP_BUDGET <= value < IP_LIMIT:
            raise ValueError(
                f"must be from {LEAST_IP_BUDGET} to {IP_LIMIT - 1} requests: the exchange bans an address at "
                f"{IP_LIMIT}"
            )
        return value

    @field_validator("recv_window_ms")
    @classmethod
    def _window_is_sane(cls, value: int) -> int:
        if not LEAST_RECV_WINDOW_MS <= value <= MOST_RECV_WINDOW_MS:
            raise ValueError(f"must be from {LEAST_RECV_WINDOW_MS} to {MOST_RECV_WINDOW_MS} milliseconds")
        return value

    @model_validator(mode="after")
    def _requests_end_within_the_window(self) -> Self:
        window = self.recv_window_ms / 1000
        if self.request_timeout_s >= window:
            raise Clash(
                "request_timeout_s",
                f"({self.request_timeout_s:g}) must be below recv_window_ms ({window:g} s)",
            )
        return self


def _stream_of(environment: str | None, base_url: str | None) -> str | None:
    return None if is_loopback(base_url) else STREAM.get(environment or "")


class Schedule(Section):
    """How often is looked (seconds), and how old what was read may be when it is acted on."""

    poll_interval_s: Interval = TIMING.poll_interval_ms // MS
    fastest_poll_s: Interval = 1
    price_stream: bool = True
    settle_interval_s: Interval = 2
    blind_after_cycles: Count = TIMING.blind_after_cycles
    max_snapshot_age_s: Interval = TIMING.max_snapshot_age_ms // MS
    shutdown_timeout_s: Interval = 8

    @field_validator("blind_after_cycles")
    @classmethod
    def _at_least_one_cycle(cls, value: int) -> int:
        if value < 1:
            raise ValueError("must be 1 or more cycles")
        return value


class Settlement(Section):
    """How late the exchange may be: to carry out a request, and to list it. Seconds."""

    processing_margin_s: Interval = TIMEOUTS.processing_margin_ms // MS
    history_lag_s: Interval = TIMEOUTS.history_lag_ms // MS


class Add(Section):
    """LTVs: at or above `trigger_ltv` collateral is added, down to `target_ltv`."""

    trigger_ltv: Ltv = RULES.add.trigger_ltv
    target_ltv: Ltv = RULES.add.target_ltv


class Reduce(Section):
    """LTVs between which collateral is released, and how long (seconds) it has to be quiet before."""

    enabled: bool = RULES.reduce.enabled
    trigger_ltv: Ltv = RULES.reduce.trigger_ltv
    target_ltv: Ltv = RULES.reduce.target_ltv
    after_s: Duration = RULES.reduce.after_ms // MS
    after_foreign_add_s: Duration = RULES.reduce.after_foreign_add_ms // MS


class Repay(Section):
    """Whether debt is repaid where no collateral helps, and the most coins at a time."""

    enabled: bool = RULES.repay.enabled
    max_repay: dict[Coin, Amount] = {}


class LimitsSection(Section):
    """What holds an adjustment back: ratios, seconds, coins, and the LTV of an emergency."""

    min_adjustment_ratio: Ratio = RULES.limits.min_adjustment_ratio
    cooldown_s: Duration = RULES.limits.cooldown_ms // MS
    max_reduction_ratio: Ratio = RULES.limits.max_reduction_ratio
    max_add: dict[Coin, Amount] = {}
    emergency_ltv: Ltv = RULES.limits.emergency_ltv
    feed_lost: bool = RULES.limits.feed_lost


class PoolTermsSection(Section):
    """The LTVs of a pool's margin call and liquidation: no endpoint tells them."""

    margin_call_ltv: Ltv = Decimal("0.85")
    liquidation_ltv: Ltv = Decimal("0.92")

    @model_validator(mode="after")
    def _margin_call_comes_first(self) -> Self:
        _below("margin_call_ltv", self.margin_call_ltv, "liquidation_ltv", self.liquidation_ltv)
        return self


class Policy(Section):
    """What is done for a loan: of all accounts, of one, or of an override."""

    add: Add = Add()
    reduce: Reduce = Reduce()
    repay: Repay = Repay()
    limits: LimitsSection = LimitsSection()
    collateral_preference: tuple[Coin, ...] = RULES.collateral_preference
    maturity_notice_s: tuple[Notice, ...] = tuple(notice // MS for notice in RULES.maturity_notice_ms)
    pool_terms: PoolTermsSection = PoolTermsSection()

    @field_validator("collateral_preference")
    @classmethod
    def _each_coin_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(value, "coin")

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> Self:
        add, reduce, emergency = self.add, self.reduce, self.limits.emergency_ltv
        _below("add.target_ltv", add.target_ltv, "add.trigger_ltv", add.trigger_ltv)
        _below("add.trigger_ltv", add.trigger_ltv, "limits.emergency_ltv", emergency)
        if not reduce.enabled:
            return self
        _below("reduce.trigger_ltv", reduce.trigger_ltv, "reduce.target_ltv", reduce.target_ltv)
        if reduce.target_ltv > add.target_ltv - LEAST_GAP:
            complaint = f"must be {LEAST_GAP} or more below add.target_ltv ({add.target_ltv:f})"
            raise Clash("reduce.target_ltv", f"({reduce.target_ltv:f}) {complaint}")
        return self


class Wallet(Section):
    """By coin, in coins: what stays in the Funding wallet, and the most that goes in 24 hours."""

    reserve: dict[Coin, Amount] = {}
    max_add_24h: dict[Coin, Amount] = {}
    max_repay_24h: dict[Coin, Amount] = {}


class UnifiedTransfer(Section):
    """Whether missing coins are moved from the Unified account, and the most of them, in coins."""

    enabled: bool = TRANSFERS.enabled
    max_transfer: dict[Coin, Amount] = {}
    max_transfer_24h: dict[Coin, Amount] = {}


class Sources(Section):
    """Where coins come from when the Funding wallet lacks them."""

    unified_transfer: UnifiedTransfer = UnifiedTransfer()


class MatchSection(Section):
    """Which loans an override is for; a field that is None fits every loan."""

    account: AccountName | None = None
    product: Product | None = None
    order_id: OrderId | None = None
    collateral_coin: Coin | None = None
    loan_coin: Coin | None = None


class Logging(Section):
    """The form and the least level of log lines."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(upper)] = (
        "INFO"
    )
