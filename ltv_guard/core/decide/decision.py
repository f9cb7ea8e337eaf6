"""What a decision is made from, and what it says: facts in, a Decision out. Pure values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Kind, Loan
from ltv_guard.core.model.policy import LoanPolicy, TransferRules, WalletRules
from ltv_guard.core.reconcile.freshness import FRESH, Freshness
from ltv_guard.core.reconcile.plausibility import Bearing

UNLIMITED = Decimal("Infinity")


class Cause(StrEnum):
    """Why a decision is what it is; a decision is news when this changes."""

    IN_BOUNDS = "in_bounds"
    NOT_PROTECTED = "not_protected"
    NONSENSE = "nonsense"
    BREACH = "breach"
    RESCUE = "rescue"
    OPEN_INTENT = "open_intent"
    RESCUED = "rescued"
    NOT_FRESH = "not_fresh"
    NOT_BORNE_OUT = "not_borne_out"
    COOLDOWN = "cooldown"
    WALLET_UNREAD = "wallet_unread"
    TRANSFER = "transfer"
    REPAY = "repay"
    SHORT = "short"
    LOST = "lost"
    AT_TARGET = "at_target"
    LOW = "low"
    RELEASE_WAITS = "release_waits"


class EpisodeChange(StrEnum):
    """What a decision does to the loan's episode."""

    OPENS = "opens"
    CLOSES = "closes"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanFacts:
    """One loan, and all that bears on it. Spans are ms; None means never.

    `window_over`: the windows of its open intents were over before the loan was read, and the exchange is not
    processing them; `rescued`: the one rescue that they allow was sent. `settling`: an adjustment of its own
    is under way or not shown yet, and has not been for long. `awaits_row`: an add is in it that no
    history has shown yet.
    `rested_ms`: since the end of its last episode or release. `low_for_ms`: sighted time below the release
    trigger. `refused`, `kept`, `unpayable`: coin -> why the exchange will, for now, not take it as
    collateral, let it go, or take it as a repayment. `passing`: those refused as collateral that it may take
    at the next try. `shunned`: those refused within a minute. `at_least`: less was below a minimum.

    `bearing`: whether its own amounts and prices bear its LTV out; `lifts`: whether an emergency LTV counts
    as one, so that reserve, daily cap and cooldown no longer hold; `may_release`: whether a low one is
    believed; `hides_breach`: all else that is known of the loan says that it is above its trigger.
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
    rescued: bool = False
    settling: bool = False
    awaits_row: bool = False
    episode_open: bool = False
    rested_ms: int | None = None
    low_for_ms: int = 0
    foreign_add_ms: int | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    shunned: Mapping[str, str] = field(default_factory=dict)
    at_least: Mapping[str, Decimal] = field(default_factory=dict)
    passing: Collection[str] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    unpayable: Mapping[str, str] = field(default_factory=dict)

    @property
    def unreleasable(self) -> Mapping[str, str]:
        return {**self.refused, **self.kept}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """The loans of one account and what they share. `wallet`, `prices` (USD a coin) None: not read.

    `wallet_is_old`: it is that of an earlier read, less what was spent since: good enough for an emergency.
    `doubted_prices`: coins whose price has parted from the last one, or has nothing to be compared with.
    `unified`: what can leave the Unified account, None where it was not read or may not be used.
    `..._unread`: coins whose balance there could not be read, though that of others could.
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
    wallet_rules: WalletRules = field(default_factory=WalletRules)
    transfer_rules: TransferRules = field(default_factory=TransferRules)
    on_the_way: Mapping[str, Intent] = field(default_factory=dict)
    overdue: Collection[str] = ()
    unmovable: Mapping[str, str] = field(default_factory=dict)
    passing: Collection[str] = ()
    added_24h: Mapping[str, Decimal] = field(default_factory=dict)
    repaid_24h: Mapping[str, Decimal] = field(default_factory=dict)
    transferred_24h: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about one loan: `direction` None is nothing. `reason` is a sentence for people.

    `coin` is a collateral coin, or (repay) what is owed. `amount` is before the fingerprint, and `ceiling`
    what it may not exceed with it. `held_back` names what kept it smaller or from being made;
    `reachable_ltv` is where the funds at hand can bring the loan. `missing` coins are needed beyond them.
    `defects` are errors of ours on the way to it.
    """

    loan: Loan
    policy: LoanPolicy
    cause: Cause
    reason: str
    direction: Direction | None = None
    coin: str | None = None
    amount: Decimal = Decimal(0)
    ceiling: Decimal = UNLIMITED
    breach: bool = False
    emergency: bool = False
    held_back: tuple[str, ...] = ()
    reachable_ltv: Decimal | None = None
    missing: Decimal = Decimal(0)
    rescue_of: str | None = None
    episode: EpisodeChange | None = None
    bearing: Bearing = Bearing.BORNE_OUT
    defects: tuple[Defect, ...] = ()

    @property
    def acts(self) -> bool:
        return self.direction is not None

    @property
    def kind(self) -> Kind | None:
        return None if self.direction is None else self.direction.kind

    @property
    def needs_a_closer_look(self) -> bool:
        """Whether wallet, prices and history are worth reading: a quiet cycle does without."""
        waits_for_facts = self.cause in {Cause.WALLET_UNREAD, Cause.NOT_FRESH, Cause.NOT_BORNE_OUT}
        return self.acts or self.breach or waits_for_facts or self.episode is not None


def hold(
    facts: LoanFacts,
    cause: Cause,
    reason: str,
    *,
    breach: bool = False,
    emergency: bool = False,
    episode: EpisodeChange | None = None,
    defects: tuple[Defect, ...] = (),
) -> Decision:
    """The decision to do nothing about the loan for now."""
    return Decision(
        loan=facts.loan,
        policy=facts.policy,
        cause=cause,
        reason=reason,
        breach=breach,
        emergency=emergency,
        episode=episode,
        defects=defects,
    )
