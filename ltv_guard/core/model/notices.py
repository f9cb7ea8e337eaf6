"""What people are told beside the log: notices on their way to a target, alarms that last. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

WORSE = Decimal("0.02")  # of LTV: an acknowledgement ends when a loan gets worse by so much
ACKNOWLEDGED_MS = 3_600_000  # or after so long

LEVELS = ("info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Waits for one target until it is delivered. `made_at_ms` is wall time."""

    notice_id: str
    target: str
    level: str
    title: str
    body: str
    made_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A critical event that lasts. `told_at_ms`: when it was told last; times are wall time.

    `acknowledged_ltv`: what its loan's LTV was when the acknowledgement was noticed.
    """

    alarm_id: str
    event: str
    account: str
    product: str
    loan_id: str
    since_ms: int
    told_at_ms: int
    acknowledged_at_ms: int | None = None
    acknowledged_ltv: Decimal | None = None

    @property
    def where(self) -> str:
        """As `where` has it."""
        return where(self.account, self.product, self.loan_id)

    def holds_acknowledgement(self, now_ms: int, ltv: Decimal | None) -> bool:
        """Whether somebody looks after it, and it is no worse than when he said so.

        `now_ms` is wall time; `ltv` its loan's now, None where it has none.
        """
        if self.acknowledged_at_ms is None or now_ms - self.acknowledged_at_ms >= ACKNOWLEDGED_MS:
            return False
        return ltv is None or self.acknowledged_ltv is None or ltv < self.acknowledged_ltv + WORSE

    def is_due(self, now_ms: int, repeat_ms: int, ltv: Decimal | None) -> bool:
        """Whether it is to be told again, `repeat_ms` after the last time, unless that holds."""
        if self.acknowledged_at_ms is not None:
            return not self.holds_acknowledgement(now_ms, ltv)
        return now_ms - self.told_at_ms >= repeat_ms


def where(*names: str | None) -> str:
    """What something is about, of account, product and loan id as far as it has them: for people."""
    return " ".join(filter(None, names))


def reaches(level: str, least: str) -> bool:
    """Whether something of `level` is for a target that hears of `least` and graver."""
    return LEVELS.index(level) >= LEVELS.index(least)
