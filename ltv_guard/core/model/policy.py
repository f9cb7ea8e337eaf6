"""What the operator wants: thresholds, limits, and which rule applies to which loan. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.loans import Collateral, Loan, Product

BEFORE_MARGIN_CALL = Decimal("0.03")  # the trigger keeps this distance from the exchange's margin call
EMERGENCY_BEFORE_MARGIN_CALL = Decimal("0.01")
TARGET_BELOW_TRIGGER = Decimal("0.05")  # what a trigger that was pulled in leaves for its target
RELEASE_BELOW_ADD = Decimal("0.05")  # a release never leads nearer to the add target than this
NOTICE_MS = (604_800_000, 259_200_000, 86_400_000, 21_600_000)  # before the end of a fixed loan


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRule:
    """Collateral is added at or above `trigger_ltv`, down to `target_ltv`."""

    trigger_ltv: Decimal = Decimal("0.75")
    target_ltv: Decimal = Decimal("0.65")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceRule:
    """Collateral is released below `trigger_ltv`, up to `target_ltv`, once it has been quiet long enough."""

    enabled: bool = False
    trigger_ltv: Decimal = Decimal("0.40")
    target_ltv: Decimal = Decimal("0.55")
    after_ms: int = 900_000
    after_foreign_add_ms: int = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RepayRule:
    """Whether debt is repaid where no collateral helps. `max_repay`: coin -> the most coins at a time."""

    enabled: bool = False
    max_repay: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralRepayRule:
    """Whether a pool's debt is repaid with its collateral where nothing else helps.

    `max_repay`: coin that is owed -> the most coins at a time. `max_fee`: the fee that is reckoned with, as a
    part of what is repaid: the exchange takes the higher of two coins' rates, and names it nowhere before.
    """

    enabled: bool = False
    max_repay: Mapping[str, Decimal] = field(default_factory=dict)
    max_fee: Decimal = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRepayRule:
    """Whether a fixed loan of a pool that would become overdue is repaid, `before_ms` before its end."""

    enabled: bool = False
    before_ms: int = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What holds an adjustment back. Ratios are of the loan's collateral and of the exchange's maximum.

    `max_add`: coin -> the most coins of one adjustment.

    `feed_lost`: whether a loan that can't be saved with all that may be given is given it all the same.
    """

    min_adjustment_ratio: Decimal = Decimal("0.002")
    cooldown_ms: int = 60_000
    max_reduction_ratio: Decimal = Decimal("1.0")
    max_add: Mapping[str, Decimal] = field(default_factory=dict)
    emergency_ltv: Decimal = Decimal("0.80")
    feed_lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanPolicy:
    """Everything the operator said about one loan. `name` is where it stands in the configuration.

    `due_within_ms`: what a pool's contracts take from the Funding wallet within that time is kept there.
    """

    name: str = "policy"
    protect: bool = True
    add: AddRule = field(default_factory=AddRule)
    reduce: ReduceRule = field(default_factory=ReduceRule)
    repay: RepayRule = field(default_factory=RepayRule)
    repay_with_collateral: CollateralRepayRule = field(default_factory=CollateralRepayRule)
    repay_fixed: FixedRepayRule = field(default_factory=FixedRepayRule)
    limits: Limits = field(default_factory=Limits)
    collateral_preference: tuple[str, ...] = ("USDT", "USDC", "BTC", "ETH")
    maturity_notice_ms: tuple[int, ...] = NOTICE_MS
    due_within_ms: int = 86_400_000

    def candidates(self, loan: Loan) -> list[Collateral]:
        """The coins to secure `loan` with, most wanted first: an order's only one, or those preferred."""
        if not loan.is_pool:
            return list(loan.collateral[:1])
        found = (loan.collateral_in(coin) for coin in self.collateral_preference)
        return [held for held in found if held is not None and not held.unread]


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRules:
    """Per coin: what stays in the Funding wallet, and the most that is added (repaid) in any 24 hours."""

    reserve: Mapping[str, Decimal] = field(default_factory=dict)
    max_add_24h: Mapping[str, Decimal] = field(default_factory=dict)
    max_repay_24h: Mapping[str, Decimal] = field(default_factory=dict)
    max_repay_with_collateral_24h: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRules:
    """Whether missing coins are moved from the Unified account to the Funding wallet; the most, by coin."""

    enabled: bool = False
    max_transfer: Mapping[str, Decimal] = field(default_factory=dict)
    max_transfer_24h: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which loans an override is for; None matches any."""

    product: Product | None = None
    order_id: str | None = None
    collateral_coin: str | None = None
    loan_coin: str | None = None

    def fits(self, loan: Loan) -> bool:
        """Whether the override is for this loan."""
        return (
            self.product in {None, loan.key.product}
            and self.order_id in {None, loan.key.loan_id}
            and (self.collateral_coin is None or self._secures(loan))
            and (self.loan_coin is None or any(debt.coin == self.loan_coin for debt in loan.debts))
        )

    def _secures(self, loan: Loan) -> bool:
        held = loan.collateral_in(self.collateral_coin or "")
        return held is not None and (held.amount > 0 or held.unread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """An account's policy and its overrides: the first that fits a loan wins."""

    default: LoanPolicy = field(default_factory=LoanPolicy)
    overrides: tuple[tuple[Match, LoanPolicy], ...] = ()
    wallet: WalletRules = field(default_factory=WalletRules)
    transfers: TransferRules = field(default_factory=TransferRules)

    @property
    def repays(self) -> bool:
        """Whether any loan may be repaid from the Funding wallet."""
        return any(policy.repay.enabled for policy in self.policies)

    @property
    def reads_repayments(self) -> bool:
        """Whether any may be repaid, so that the lists of repayments have to be known."""
        return self.repays or any(policy.repay_with_collateral.enabled for policy in self.policies)

    @property
    def repays_contracts(self) -> bool:
        """Whether fixed loans of a pool may be repaid, so that their own list has to be known."""
        return self.repays_fixed or any(policy.repay_with_collateral.enabled for policy in self.policies)

    @property
    def repays_fixed(self) -> bool:
        """Whether any of them may be repaid in full, from the Funding wallet."""
        return any(policy.repay_fixed.enabled for policy in self.policies)

    @property
    def policies(self) -> tuple[LoanPolicy, ...]:
        """The default, and those of overrides."""
        return (self.default, *(policy for _, policy in self.overrides))

    def policy_for(self, loan: Loan) -> LoanPolicy:
        """The policy of the first override that fits, or else the default."""
        return next((policy for match, policy in self.overrides if match.fits(loan)), self.default)

    def is_in_need(self, loan: Loan) -> bool:
        """Whether a loan that is to be protected shows an LTV at or above its trigger."""
        policy = self.policy_for(loan)
        return policy.protect and loan.ltv >= thresholds(policy, loan).trigger

    def is_at_emergency(self, loan: Loan) -> bool:
        """The same of an emergency LTV, believed or not."""
        policy = self.policy_for(loan)
        return policy.protect and loan.ltv >= thresholds(policy, loan).emergency

    def gap(self, loan: Loan) -> Decimal:
        """The part by which prices may fall before its trigger; infinite where it is not to be protected."""
        policy = self.policy_for(loan)
        if not policy.protect or loan.ltv <= 0:
            return Decimal("Infinity")
        return thresholds(policy, loan).trigger / loan.ltv - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The LTVs that hold for one loan, after the exchange's own have pulled a later one in.

    Ordered: 0 < release_trigger < release_target < target < trigger < emergency < margin call.
    """

    trigger: Decimal
    target: Decimal
    emergency: Decimal
    release_trigger: Decimal
    release_target: Decimal
    pulled_in: bool


def thresholds(policy: LoanPolicy, loan: Loan) -> Thresholds:
    """The operator's thresholds, no later than the loan's margin call allows: careful, never unprotected.

    All are LTVs. A trigger too near the margin call brings its target and the release's along.
    """
    trigger = min(policy.add.trigger_ltv, _below(loan.margin_call_ltv, BEFORE_MARGIN_CALL))
    emergency = min(policy.limits.emergency_ltv, _below(loan.margin_call_ltv, EMERGENCY_BEFORE_MARGIN_CALL))
    target = policy.add.target_ltv
    if trigger < policy.add.trigger_ltv:
        target = min(target, _below(trigger, TARGET_BELOW_TRIGGER))
    release_target = min(policy.reduce.target_ltv, _below(target, RELEASE_BELOW_ADD))
    release_trigger = policy.reduce.trigger_ltv
    if release_target < policy.reduce.target_ltv or release_trigger >= release_target:
        release_trigger = min(release_trigger, _below(release_target, RELEASE_BELOW_ADD))
    return Thresholds(
        trigger=trigger,
        target=target,
        emergency=emergency,
        release_trigger=release_trigger,
        release_target=release_target,
        pulled_in=trigger < policy.add.trigger_ltv or emergency < policy.limits.emergency_ltv,
    )


def _below(ltv: Decimal, distance: Decimal) -> Decimal:
    """`ltv` less `distance`, or half of it where that is little: a threshold of nothing protects nothing."""
    return max(ltv - distance, ltv / 2)
