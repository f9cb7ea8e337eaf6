"""What happened in a replay: one event a thing that a borrower would have seen. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class Happening(StrEnum):
    """`SHORT`: the wallet could not bring the loan to its target; `LOST`: nothing could save it any more.

    `REFUSED`: the platform takes no more of the coin; `ABSENT`: it never arrived, and its answer neither.
    """

    ADD = "add"
    RELEASE = "release"
    REPAY = "repay"
    FAILED = "failed"
    REFUSED = "refused"
    ABSENT = "absent"
    SHORT = "short"
    LOST = "lost"
    LIQUIDATED = "liquidated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayEvent:
    """`at_ms`: when it took effect; `decided_ms`: when it was decided on. `amount` is in `coin`."""

    at_ms: int
    loan_id: str
    what: Happening
    ltv_before: Decimal
    ltv_after: Decimal | None = None
    coin: str | None = None
    amount: Decimal | None = None
    decided_ms: int | None = None
    details: Mapping[str, Decimal] = field(default_factory=dict)
