"""What decisions are made from: the facts of each loan, and what an account's loans share. Pure values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import InitVar, dataclass, field
from decimal import Decimal

from ltv_guard.core.decide.reason import Because, Reason
from ltv_guard.core.decide.urgency import Urgency, urgency_of
from ltv_guard.core.model.contracts import Contract, ContractList
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Collateral, Loan
from ltv_guard.core.model.policy import LoanPolicy, Thresholds, TransferRules, WalletRules, thresholds
from ltv_guard.core.reconcile.freshness import FRESH, Freshness
from ltv_guard.core.reconcile.plausibility import Bearing


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanFacts:
    """One loan, and all that bears on it. Spans are ms; None means never.

    `window_over`: the windows of its open intents were over before the loan was read, and the exchange is not
    processing them, nor is it shown without one that it had been shown with; `rescues`: those that were sent
    beside the first of them, in their order. `settling`: an adjustment of its own is under way or not shown
    yet, and has not been for long. `awaits_row`: its coins tell of an adjustment that no history has shown.
    `rested_ms`: since the end of its last episode or release; `unseen_release_ms`: since that of a release
    which no history has shown, whose row may yet come. `low_for_ms`: sighted time below the release
    trigger. `refused`, `kept`, `unpayable`: coin -> why the exchange will, for now, not take it as
    collateral, let it go, take it as a repayment, or (`unsellable`) take it to pay for one.
    `passing`: those refused as collateral that it may take at the next try. `shunned`: those refused within a
    minute. `at_least`: less was below a minimum.
    `contracts`: a pool's fixed loans by coin, as they were read last; `contracts_closed`: why none of them
    can be repaid now; `unsellable_for`: contract and coin of collateral -> why that does not pay for it.

    `bearing`: whether its own amounts and prices bear its LTV out; `lifts`: whether an emergency LTV counts
    as one, so that reserve, daily cap and cooldown no longer hold; `may_release`: whether a low one is
    believed; `changed_by_others`: what somebody else just did may not be shown yet; `may_precede_repayment`:
    the LTV may be of before one, and no prices tell; `hides_breach`: all else that is known of the loan says
    that it is above its trigger.
    `urgency` is worked out from these; `limits`: its thresholds, where they are known already.
    """

    loan: Loan
    policy: LoanPolicy
    freshness: Freshness = FRESH
    bearing: Bearing = Bearing.BORNE_OUT
    lifts: bool = True
    may_release: bool = True
    hides_breach: bool = False
    open_intents: tuple[Intent, ...] = ()
    window_over: bool = False
    rescues: tuple[Intent, ...] = ()
    settling: bool = False
    awaits_row: bool = False
    episode_open: bool = False
    rested_ms: int | None = None
    unseen_release_ms: int | None = None
    low_for_ms: int = 0
    foreign_add_ms: int | None = None
    changed_by_others: bool = False
    may_precede_repayment: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)
    shunned: Mapping[str, str] = field(default_factory=dict)
    at_least: Mapping[str, Decimal] = field(default_factory=dict)
    passing: Collection[str] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    unpayable: Mapping[str, str] = field(default_factory=dict)
    unsellable: Mapping[str, str] = field(default_factory=dict)
    contracts: Mapping[str, ContractList] = field(default_factory=dict)
    contracts_closed: str | None = None
    unsellable_for: Mapping[tuple[str, str], str] = field(default_factory=dict)

    limits: InitVar[Thresholds | None] = None
    urgency: Urgency = field(init=False)

    def __post_init__(self, limits: Thresholds | None) -> None:
        found = urgency_of(self.loan, limits or thresholds(self.policy, self.loan), lifts=self.lifts)
        object.__setattr__(self, "urgency", found)

    @property
    def is_at_emergency(self) -> bool:
        """Whether what is shown is an emergency LTV, believed or not."""
        return self.policy.protect and self.urgency.at_emergency

    @property
    def in_rescue(self) -> bool:
        """Whether it is to be brought to its target: once begun, a rescue goes on until it is there."""
        return self.episode_open or self.urgency.breach

    @property
    def is_resting(self) -> bool:
        """Whether the last rescue or release ended less than the cooldown ago."""
        return self.rested_ms is not None and self.rested_ms < self.policy.limits.cooldown_ms

    @property
    def may_have_released(self) -> bool:
        """Whether one that no history shows ended less than the cooldown ago: nothing hurries a second."""
        ended_ms = self.unseen_release_ms
        return ended_ms is not None and ended_ms < self.policy.limits.cooldown_ms

    @property
    def candidates(self) -> list[Collateral]:
        """The coins to secure it with, most wanted first."""
        return self.policy.candidates(self.loan)

    def because(self, kind: Because) -> Reason:
        """A reason that tells its LTV and thresholds."""
        return Reason(kind=kind, ltv=self.loan.ltv, limits=self.urgency.limits)

    @property
    def unreleasable(self) -> Mapping[str, str]:
        """By coin, why it can't be released now."""
        return {**self.refused, **self.kept}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """The loans of one account and what they share. `wallet`, `prices` (USD a coin) None: not read.

    `wallet_is_old`: it is that of an earlier read, less what was spent since: good enough for an emergency.
    `in_part`: there are loans that were not read; `lacks_known`: known ones among them, or pages of a list.
    `doubted_prices`: coins whose price has parted from the last one, or has nothing to be compared with.
    `due`: coins that fixed loans of a pool will soon take from the Funding wallet.
    `ending`: those of them that are to be repaid now, soonest end first; `unpayable_contracts`: by id, why
    the exchange will, for now, not have one repaid.
    `unified`: what can leave the Unified account, None where it was not read or may not be used.
    `..._unread`: coins whose balance there could not be read, though that of others could.
    `open_unseen`: what is open of loans that could not be read, and may still land.
    `on_the_way`: coin -> a transfer of it that is open, or has landed and does not show yet; `overdue`: those
    that may never end. `unmovable`: coin -> why the exchange does not move it, for now; `passing`: those that
    it may move at the next try. `..._24h`: coins in the last day, unknown ones too.
    """

    loans: tuple[LoanFacts, ...]
    wallet: Mapping[str, Decimal] | None
    wallet_is_old: bool = False
    doubted_prices: Collection[str] = ()
    unified: Mapping[str, Decimal] | None = None
    wallet_unread: Collection[str] = ()
    unified_unread: Collection[str] = ()
    prices: Mapping[str, Decimal] | None = None
    due: Mapping[str, Decimal] = field(default_factory=dict)
    in_part: bool = False
    lacks_known: bool = False
    ending: tuple[Contract, ...] = ()
    unpayable_contracts: Mapping[str, str] = field(default_factory=dict)
    wallet_rules: WalletRules = field(default_factory=WalletRules)
    transfer_rules: TransferRules = field(default_factory=TransferRules)
    open_unseen: tuple[Intent, ...] = ()
    on_the_way: Mapping[str, Intent] = field(default_factory=dict)
    overdue: Collection[str] = ()
    unmovable: Mapping[str, str] = field(default_factory=dict)
    passing: Collection[str] = ()
    added_24h: Mapping[str, Decimal] = field(default_factory=dict)
    repaid_24h: Mapping[str, Decimal] = field(default_factory=dict)
    repaid_with_collateral_24h: Mapping[str, Decimal] = field(default_factory=dict)
    transferred_24h: Mapping[str, Decimal] = field(default_factory=dict)
