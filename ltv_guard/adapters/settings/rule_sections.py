"""The sections about loans: every key of a policy, its bounds, and what must hold within a section. Pure.

What a key means stands beside it, and nowhere else: `make docs` writes it into docs/configuration.md and
config/ltv_guard.yaml.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Self, TypeVar

from pydantic import Field, field_validator, model_validator

from ltv_guard.adapters.settings.errors import Clash
from ltv_guard.adapters.settings.sections import MS, Section
from ltv_guard.adapters.settings.values import (
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
from ltv_guard.core.model.policy import LoanPolicy

T = TypeVar("T")

LEAST_GAP = Decimal("0.05")
"""Between where a release ends and where an add ends, so that one never provokes the other."""

RULES = LoanPolicy()
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

    trigger_ltv: Ltv = Field(
        RULES.add.trigger_ltv,
        description="At or above this LTV collateral is added, down to the target. Must be below "
        "`limits.emergency_ltv`.",
    )
    target_ltv: Ltv = Field(
        RULES.add.target_ltv, description="Where an add ends. Must be below `add.trigger_ltv`."
    )


class Reduce(Section):
    """LTVs between which collateral is released, and how long (seconds) it has to be quiet before."""

    enabled: bool = Field(
        RULES.reduce.enabled,
        description="Whether collateral is ever released. What was released may be missed in a fall.",
    )
    trigger_ltv: Ltv = Field(
        RULES.reduce.trigger_ltv, description="Below this LTV collateral is released, up to the target."
    )
    target_ltv: Ltv = Field(
        RULES.reduce.target_ltv,
        description="Where a release ends. Must be above `reduce.trigger_ltv`, and 0.05 or more below "
        "`add.target_ltv`, so that a release never provokes an add.",
    )
    after_s: Duration = Field(
        RULES.reduce.after_ms // MS,
        description="Seconds that the LTV must have been seen below the trigger. 0 waits for nothing.",
    )
    after_foreign_add_s: Duration = Field(
        RULES.reduce.after_foreign_add_ms // MS,
        description="Seconds without a release after you added collateral by hand: you had a reason.",
    )


class Repay(Section):
    """Whether debt is repaid where no collateral helps, and the most coins at a time."""

    enabled: bool = Field(
        RULES.repay.enabled,
        description="Whether debt is repaid from the Funding wallet where [nothing else "
        "helps](#more-ways-to-be-safe). It can't be undone: what is repaid has to be borrowed anew.",
    )
    max_repay: dict[Coin, Amount] = Field(
        default_factory=dict,
        description="The most to repay at a time, by coin that is owed, such as `{USDT: 20000}`. A rescue "
        "may take several. Holds in an emergency too.",
    )


class RepayWithCollateral(Section):
    """Whether a pool's debt is repaid with its own collateral where no coins help, and at what cost."""

    enabled: bool = Field(
        RULES.repay_with_collateral.enabled,
        description="Whether a pool's debt is repaid with its own collateral where [no coins are left that "
        "help](#more-ways-to-be-safe): what is owed flexibly first, then fixed loans, one by one. The "
        "exchange sells the collateral, for a fee: it can't be undone.",
    )
    max_repay: dict[Coin, Amount] = Field(
        default_factory=dict,
        description="The most to repay so at a time, by coin that is owed, such as `{USDT: 20000}`. A rescue "
        "may take several. Holds in an emergency too.",
    )
    max_fee: Ratio = Field(
        RULES.repay_with_collateral.max_fee,
        description="The fee that is reckoned with, as a part of what is repaid (0.01 is 1 %). No endpoint "
        "names the exchange's before. No coin is sold whose sale would not lower the LTV at this fee. "
        "`collateral_sold` says where more was taken.",
    )


class RepayFixed(Section):
    """Whether a pool's fixed loan that would become overdue is repaid, and how long (seconds) before."""

    enabled: bool = Field(
        RULES.repay_fixed.enabled,
        description="Pools: whether a [fixed loan](#fixed-loans-that-end) that nothing repays at its end, or "
        "that is overdue, is repaid in full from the Funding wallet. Emergencies go first. `wallet.reserve` "
        "does not hold it back, `wallet.max_repay_24h` does.",
    )
    before_s: Duration = Field(
        RULES.repay_fixed.before_ms // MS, description="Seconds before its end from which on it is repaid."
    )


class LimitsSection(Section):
    """What holds an adjustment back: ratios, seconds, coins, and the LTV of an emergency."""

    min_adjustment_ratio: Ratio = Field(
        RULES.limits.min_adjustment_ratio,
        description="Of the loan's collateral (0.002 is 0.2 %). Smaller changes are not worth a call.",
    )
    cooldown_s: Duration = Field(
        RULES.limits.cooldown_ms // MS,
        description="Seconds between the end of one rescue or release and the next. A release that no "
        "history shows (its answer was lost, or it was refused) holds up the next release alone.",
    )
    max_reduction_ratio: Ratio = Field(
        RULES.limits.max_reduction_ratio,
        description="Of the most that the exchange would release (1.0 is all of it).",
    )
    max_add: dict[Coin, Amount] = Field(
        default_factory=dict,
        description="The most to add in one adjustment, by coin, such as `{BTC: 0.5, USDT: 20000}`. A rescue "
        "may take several.",
    )
    emergency_ltv: Ltv = Field(
        RULES.limits.emergency_ltv,
        description="At or above this LTV cooldown, `wallet.max_add_24h` and `wallet.reserve` no longer hold "
        "back an add, nor the reserve a repayment.",
    )
    feed_lost: bool = Field(
        RULES.limits.feed_lost,
        description="Whether a loan takes coins that can't save it: with all that may be given it would "
        "still be at or above 0.999 of its liquidation LTV, and they would be liquidated with it. By default "
        "it takes nothing; `protection_short` tells what would have been needed.",
    )


class PoolTermsSection(Section):
    """The LTVs of a pool's margin call and liquidation: no endpoint tells them."""

    margin_call_ltv: Ltv = Field(
        Decimal("0.85"),
        description="Pools: the exchange's margin call, which no endpoint gives. For all, or by account; not "
        "in an override.",
    )
    liquidation_ltv: Ltv = Field(
        Decimal("0.92"), description="Pools: the exchange's liquidation LTV; as for the margin call."
    )

    @model_validator(mode="after")
    def _margin_call_comes_first(self) -> Self:
        _below("margin_call_ltv", self.margin_call_ltv, "liquidation_ltv", self.liquidation_ltv)
        return self


class Policy(Section):
    """What is done for a loan: of all accounts, of one, or of an override."""

    add: Add = Add()
    reduce: Reduce = Reduce()
    repay: Repay = Repay()
    repay_with_collateral: RepayWithCollateral = RepayWithCollateral()
    repay_fixed: RepayFixed = RepayFixed()
    limits: LimitsSection = LimitsSection()
    collateral_preference: tuple[Coin, ...] = Field(
        RULES.collateral_preference,
        description="Pools: what to add first, released in reverse. Coins that are not named are neither "
        "added nor released.",
    )
    maturity_notice_s: tuple[Notice, ...] = Field(
        tuple(notice // MS for notice in RULES.maturity_notice_ms),
        description="Seconds before the end of a fixed loan at which it is [told](#fixed-loans-that-end), "
        "once at each; `[]` is never. An overdue loan is told in any case. Orders, and a pool's fixed loans.",
    )
    due_within_s: Duration = Field(
        RULES.due_within_ms / MS,
        description="Pools: coins that a [fixed loan](#fixed-loans-that-end) takes from the Funding wallet "
        "at its end, within so many seconds, are kept there, but in an emergency. 0 keeps none.",
    )
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


class MatchSection(Section):
    """Which loans an override is for; a field that is None fits every loan."""

    account: AccountName | None = None
    product: Product | None = None
    order_id: OrderId | None = None
    collateral_coin: Coin | None = None
    loan_coin: Coin | None = None
