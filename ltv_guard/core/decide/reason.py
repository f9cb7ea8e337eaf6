"""Why a decision is what it is, as a value: whoever tells it to people makes the sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.decide.constraints import Constraint
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.policy import Thresholds
from ltv_guard.core.reconcile.freshness import Doubt


class Because(StrEnum):
    """Every kind of reason."""

    NOT_PROTECTED = "not_protected"
    NONSENSE = "nonsense"
    NOT_FRESH = "not_fresh"
    NOT_BORNE_OUT = "not_borne_out"
    OPEN_INTENT = "open_intent"
    RESCUED = "rescued"
    RESCUE = "rescue"
    AT_TARGET = "at_target"
    RESTING = "resting"
    UNREAD = "unread"

    NEED = "need"
    NO_COIN = "no_coin"
    ADD = "add"
    ADD_NEVER_ENOUGH = "add_never_enough"
    COINS_COMING = "coins_coming"
    COINS_SPOKEN_FOR = "coins_spoken_for"
    TRANSFER = "transfer"
    REPAY = "repay"
    REPAY_ENOUGH = "repay_enough"
    REPAY_WITH_COLLATERAL = "repay_with_collateral"
    REPAY_FIXED = "repay_fixed"
    LOST = "lost"
    LOST_WANTS = "lost_wants"

    IN_BOUNDS = "in_bounds"
    LOW = "low"
    TOO_LITTLE = "too_little"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """`kind`, and what its sentence tells: the LTV that was decided on, thresholds, coins, amounts.

    `needed` coins would do, for a fee of `cost` USD where `collateral_coin` pays, of the fixed loan
    `contract_id`; a lost loan lacks `least` to be saved, and has `has`. `contract`: the fixed loan that is
    repaid in full. `intent` is waited for. `but` is what keeps it from being done; `once_more`: it is tried
    again before debt is repaid.
    """

    kind: Because
    ltv: Decimal
    limits: Thresholds
    emergency: bool = False
    coin: str | None = None
    amount: Decimal | None = None
    needed: Decimal | None = None
    least: Decimal | None = None
    has: Decimal | None = None
    intent: Intent | None = None
    doubt: Doubt | None = None
    words: str = ""
    collateral_coin: str | None = None
    contract_id: str | None = None
    cost: Decimal | None = None
    contract: Contract | None = None
    but: tuple[Constraint, ...] = ()
    once_more: bool = False
