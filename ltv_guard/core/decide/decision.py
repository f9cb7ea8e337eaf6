"""What is decided about one loan. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.decide.constraints import UNLIMITED, Constraint, Limit
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.decide.options import Option
from ltv_guard.core.decide.reason import Reason
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.loans import Direction, Kind, Loan
from ltv_guard.core.model.policy import LoanPolicy, Thresholds
from ltv_guard.core.reconcile.plausibility import Bearing


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
    REPAY_WITH_COLLATERAL = "repay_with_collateral"
    REPAY_FIXED = "repay_fixed"
    SHORT = "short"
    LOST = "lost"
    AT_TARGET = "at_target"
    LOW = "low"
    RELEASE_WAITS = "release_waits"


WAITING_FOR_FACTS = frozenset({Cause.WALLET_UNREAD, Cause.NOT_FRESH, Cause.NOT_BORNE_OUT})


class EpisodeChange(StrEnum):
    """What a decision does to the loan's episode."""

    OPENS = "opens"
    CLOSES = "closes"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldContract:
    """A fixed loan that is to be repaid now, and what keeps it from being."""

    contract: Contract
    why: Constraint


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about one loan: `direction` None is nothing. `limits` are the thresholds that hold for it.

    `coin` is a collateral coin, or (repay) what is owed. `amount` is before the fingerprint, and `ceiling`
    what it may not exceed with it. `held_back` names what kept it smaller or from being made;
    `reachable_ltv` is where the funds at hand can bring the loan. `missing` coins are needed beyond them.
    `collateral_coin`: what a repayment is paid with, if not from the wallet; its fee is `cost` USD.
    `contract_id`: the fixed loan of a pool that is repaid. `defects` are errors of ours on the way to it.
    `held_contracts`: fixed loans that go overdue, or are, while something keeps them from being repaid.
    """

    loan: Loan
    policy: LoanPolicy
    limits: Thresholds
    cause: Cause
    reason: Reason
    direction: Direction | None = None
    coin: str | None = None
    amount: Decimal = Decimal(0)
    ceiling: Decimal = UNLIMITED
    breach: bool = False
    emergency: bool = False
    held_back: tuple[Constraint, ...] = ()
    reachable_ltv: Decimal | None = None
    missing: Decimal = Decimal(0)
    rescue_of: str | None = None
    episode: EpisodeChange | None = None
    bearing: Bearing = Bearing.BORNE_OUT
    defects: tuple[Defect, ...] = ()
    collateral_coin: str | None = None
    cost: Decimal = Decimal(0)
    contract_id: str | None = None
    held_contracts: tuple[HeldContract, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether anything is to be sent."""
        return self.direction is not None

    @property
    def kind(self) -> Kind | None:
        """The kind of write; None where nothing is to be sent."""
        if self.direction is Direction.REPAY and self.contract_id is not None:
            return Kind.FIXED_REPAYMENT
        return None if self.direction is None else self.direction.kind

    @property
    def needs_a_closer_look(self) -> bool:
        """Whether wallet, prices and history are worth reading: a quiet cycle does without."""
        waits = any(item.why.kind is Limit.WALLET_UNREAD for item in self.held_contracts)
        waits = waits or self.cause in WAITING_FOR_FACTS
        return self.acts or self.breach or self.episode is not None or waits

    def acting(self, cause: Cause, direction: Direction, option: Option) -> Decision:
        """The same, but that what the option gives is given."""
        return replace(
            self,
            cause=cause,
            direction=direction,
            coin=option.coin,
            amount=option.amount,
            ceiling=option.ceiling,
            collateral_coin=option.collateral_coin,
            cost=option.cost,
            contract_id=option.contract_id,
        )

    def noting(self, *notes: Constraint) -> Decision:
        """The same, with what else holds it back."""
        return replace(self, held_back=(*self.held_back, *notes))


def hold(
    facts: LoanFacts,
    cause: Cause,
    reason: Reason,
    *,
    breach: bool = False,
    emergency: bool = False,
    episode: EpisodeChange | None = None,
) -> Decision:
    """The decision to do nothing about the loan for now. Every decision begins as one."""
    return Decision(
        loan=facts.loan,
        policy=facts.policy,
        limits=facts.urgency.limits,
        cause=cause,
        reason=reason,
        breach=breach,
        emergency=emergency,
        episode=episode,
        bearing=facts.bearing,
    )
