"""The sections about loans: every key of a policy, its bounds, and what must hold within a section. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Self, TypeVar

from pydantic import Field, field_validator, model_validator

from ltv_guard.core.model.policy import LoanPolicy, TransferRules
from ltv_guard.settings.errors import Clash
from ltv_guard.settings.sections import MS, Section
from ltv_guard.settings.values import (
    AccountName,
    Amount,
    Coin,
    Duration,
    Ltv,
    Notice,
    OrderId,
    Product,
    Ratio,
)

T = TypeVar("T")

LEAST_GAP = Decimal("0.05")
"""Between where a release ends and where an add ends, so that one never provokes the other."""

RULES, TRANSFERS = LoanPolicy(), TransferRules()
"""Where the defaults are: the core is the one place for them."""


def _below(key: str, value: Decimal, other_key: str, other: Decimal) -> None:
    if value >= other:
        raise Clash(key, f"({value:f}) must be below {other_key} ({other:f})")


def each_once(values: tuple[T, ...], noun: str) -> tuple[T, ...]:
    """The values as they are. Raises ValueError where there are none, or one stands there twice."""
    if not values or len(set(values)) < len(values):
        raise ValueError(f"must name at least one {noun}, and each only once")
    return values


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
    max_repay: dict[Coin, Amount] = Field(default_factory=dict)


class LimitsSection(Section):
    """What holds an adjustment back: ratios, seconds, coins, and the LTV of an emergency."""

    min_adjustment_ratio: Ratio = RULES.limits.min_adjustment_ratio
    cooldown_s: Duration = RULES.limits.cooldown_ms // MS
    max_reduction_ratio: Ratio = RULES.limits.max_reduction_ratio
    max_add: dict[Coin, Amount] = Field(default_factory=dict)
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

    reserve: dict[Coin, Amount] = Field(default_factory=dict)
    max_add_24h: dict[Coin, Amount] = Field(default_factory=dict)
    max_repay_24h: dict[Coin, Amount] = Field(default_factory=dict)


class UnifiedTransfer(Section):
    """Whether missing coins are moved from the Unified account, and the most of them, in coins."""

    enabled: bool = TRANSFERS.enabled
    max_transfer: dict[Coin, Amount] = Field(default_factory=dict)
    max_transfer_24h: dict[Coin, Amount] = Field(default_factory=dict)


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
