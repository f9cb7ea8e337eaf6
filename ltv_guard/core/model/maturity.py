"""When a fixed loan ends, and what of that is to be told at a moment. Pure.

A fixed loan that is not repaid at its end pays three times the interest, and is liquidated 48 h later,
whatever its LTV (v5/crypto-loan). A contract of a pool has 24 h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.loans import Loan

GRACE_MS = 48 * 3_600_000  # from its end to its liquidation
CONTRACT_GRACE_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Maturity:
    """How far a fixed loan is from its end. Times are the exchange's, in ms.

    `left_ms` is negative once the end is past. `notice_ms` is the nearest of the operator's distances that
    has been reached; None before the first, and once the loan is overdue.
    """

    ends_at_ms: int
    left_ms: int
    notice_ms: int | None
    grace_ms: int = GRACE_MS

    @property
    def is_overdue(self) -> bool:
        """Whether its end is past."""
        return self.left_ms <= 0

    @property
    def liquidated_at_ms(self) -> int:
        """When the exchange liquidates the loan, unless it is repaid."""
        return self.ends_at_ms + self.grace_ms

    @property
    def is_forfeit(self) -> bool:
        """Whether the loan, unless it was repaid, has been liquidated for being overdue."""
        return self.left_ms <= -self.grace_ms

    def is_news_after(self, told: Maturity | None) -> bool:
        """Whether its notice is to be told, where `told` was the last one of this loan.

        Each distance is told once for the same end, and one that was passed unseen is not made up for.
        """
        if self.notice_ms is None:
            return False
        if told is None or told.notice_ms is None or told.ends_at_ms != self.ends_at_ms:
            return True
        return self.notice_ms < told.notice_ms


def maturity(loan: Loan, now_ms: int, distances_ms: Sequence[int]) -> Maturity | None:
    """How `loan` stands to its end at `now_ms`, exchange time; None for a flexible loan, and for a pool.

    `distances_ms` are those before the end at which it is to be told, in any order.
    """
    if loan.expires_at_ms is None:
        return None
    return _to(loan.expires_at_ms, now_ms, distances_ms, GRACE_MS)


def maturity_of(contract: Contract, now_ms: int, distances_ms: Sequence[int]) -> Maturity:
    """The same of a pool's contract."""
    return _to(contract.ends_at_ms, now_ms, distances_ms, CONTRACT_GRACE_MS)


def _to(ends_at_ms: int, now_ms: int, distances_ms: Sequence[int], grace_ms: int) -> Maturity:
    left_ms = ends_at_ms - now_ms
    reached = [distance for distance in distances_ms if 0 < left_ms <= distance]
    return Maturity(
        ends_at_ms=ends_at_ms, left_ms=left_ms, notice_ms=min(reached, default=None), grace_ms=grace_ms
    )
