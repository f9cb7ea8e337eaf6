"""What `check` and `plan` found, before it is printed. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.amounts.drift import Drift
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.outlook import Prospect
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.withheld import Withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `check`: what was looked at, what was found, and what to mend if it is not good.

    `missing`: of a fall of prices, which coins the wallet lacks for it, and how many; None: it is of no fall.
    """

    what: str
    good: bool
    found: str
    mend: str = ""
    missing: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An event that the daemon would log, about a loan or (without one) about the account."""

    level: str
    event: str
    why: str
    product: str | None = None
    loan_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlan:
    """What `plan` found for one account. `withheld`: why nothing would be sent, if so.

    `contracts`: the fixed loans of its pool. `prospects`: of a loan in trouble, what each help would do;
    `drifts`: where interest alone leads.
    """

    account: str
    decisions: tuple[Decision, ...]
    set_aside: tuple[tuple[str, str, str], ...] = ()
    blind: bool = False
    why_blind: str = ""
    withheld: Withheld | None = None
    says: tuple[Said, ...] = ()
    contracts: tuple[Contract, ...] = ()
    drifts: Mapping[LoanKey, Drift] = field(default_factory=dict)
    prospects: Mapping[LoanKey, tuple[Prospect, ...]] = field(default_factory=dict)
