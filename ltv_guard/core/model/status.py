"""What a running guard sees, as it is shown to people and to programs. Pure values.

Made on request from what the last cycles came to: a cycle does nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.leases import FleetStatus
from ltv_guard.core.model.loans import Loan
from ltv_guard.core.model.samples import ChartSample
from ltv_guard.core.model.withheld import Withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanStatus:
    """`doing` is the decision's cause, `tell_reason` says it in words; the falls are parts of the price."""

    loan: Loan
    trigger_ltv: Decimal
    target_ltv: Decimal
    fall_to_trigger: Decimal
    fall_to_margin_call: Decimal
    fall_to_liquidation: Decimal
    doing: str
    tell_reason: Callable[[], str]
    last_adjustment: Intent | None = None

    @property
    def reason(self) -> str:
        """The decision in words: put together only for those who show it."""
        return self.tell_reason()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A histogram: how many observations were at most so many seconds, their count and their sum."""

    at_most: Sequence[tuple[float, int]]
    count: int
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What has happened since the start: requests by how they ended, adjustments by direction and state.

    `breaches`: from the cycle that found one to the first help that left for it.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    adjustments: Mapping[tuple[str, str], int] = field(default_factory=dict)
    cycles: Span = Span(at_most=(), count=0, total_s=0)
    breaches: Span = Span(at_most=(), count=0, total_s=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """`outcome` is the last cycle's, in one word; None before the first. `loans`: the worst first.

    `unsighted_s`: since the loans were last read. `trouble`: why the account is not well. `set_aside`: loans
    that can't be reckoned with, and why. `contracts`: the fixed loans of its pool, the soonest end first.
    `wallet` is None where no cycle has read it yet; `reserve` is what stays in it, and `due` what those fixed
    loans will soon take. `adjustments` are those that are remembered, the oldest first; `exchange_ms` is now.
    `requests_left`: how many may leave now, by the endpoint's path.
    """

    name: str
    outcome: str | None
    withheld: Withheld | None
    unsighted_s: float
    trouble: str | None
    loans: Sequence[LoanStatus] = ()
    set_aside: Sequence[tuple[str, str, str]] = ()
    wallet: Mapping[str, Decimal] | None = None
    reserve: Mapping[str, Decimal] = field(default_factory=dict)
    due: Mapping[str, Decimal] = field(default_factory=dict)
    contracts: Sequence[Contract] = ()
    adjustments: Sequence[Intent] = ()
    exchange_ms: int = 0
    counts: Counts = Counts()
    requests_left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStatus:
    """A critical event that lasts: what it is about, since when (wall time, ms), and its details as texts.

    `acknowledged_ms`: when somebody said that he looks after it; None: nobody, or it holds no more.
    `has_happened`: it is over, at `since_ms`, and waits for somebody to take note.
    """

    event: str
    since_ms: int
    account: str | None = None
    product: str | None = None
    loan_id: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    acknowledged_ms: int | None = None
    has_happened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`troubles`: by account, or `journal`: why it is not well. `unseen`: accounts without a cycle so far."""

    troubles: Mapping[str, str]
    unseen: Sequence[str] = ()

    @property
    def is_well(self) -> bool:
        """Whether every account has had a cycle, and nothing is wrong."""
        return not (self.troubles or self.unseen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Of the whole daemon, at `at_ms` (wall time). `exchange`: its URL.

    `banned_s`, `held_s`: until requests may leave again. `requests_left`: of this machine's address, now.
    `prices`: USD per coin, of the stream; None where it is lost, or not used. `notices_waiting`: for each
    target. `samples`: each account's last day, for a page. `fleet`: None where accounts are not shared.
    """

    at_ms: int
    version: str
    mode: str
    environment: str
    exchange: str
    health: Health
    accounts: Sequence[AccountStatus]
    alerts: Sequence[AlertStatus] = ()
    clock_offset_ms: int = 0
    banned_s: float = 0
    held_s: float = 0
    requests_left: int = 0
    uses_stream: bool = False
    prices: Mapping[str, Decimal] | None = None
    notices_waiting: Mapping[str, int] = field(default_factory=dict)
    samples: Mapping[str, Sequence[ChartSample]] = field(default_factory=dict)
    fleet: FleetStatus | None = None
