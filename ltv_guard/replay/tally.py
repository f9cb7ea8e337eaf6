"""What is counted of one loan over a replay: its worst LTV, and for how long it was above which line."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.replay.attention import AlertLine


@dataclass(slots=True, kw_only=True)
class Tally:
    """Mutable. An LTV holds until the next price, or until something is done. Spans in ms."""

    trigger: Decimal
    emergency: Decimal
    margin_call: Decimal
    worst: Decimal = Decimal(0)
    above_trigger_ms: int = 0
    above_emergency_ms: int = 0
    above_margin_call_ms: int = 0
    last: Decimal | None = None
    last_ms: int = 0

    @property
    def lines(self) -> tuple[Decimal, ...]:
        """LTVs at which something is counted."""
        return self.trigger, self.emergency, self.margin_call

    def line(self, alarm: AlertLine) -> Decimal:
        """The LTV at which this alarm goes off."""
        return self.trigger if alarm is AlertLine.TRIGGER else self.margin_call

    def saw(self, ltv: Decimal | None, now_ms: int) -> None:
        """The LTV from now on; None: the loan is gone."""
        self.passed(now_ms)
        self.last = ltv
        if ltv is not None:
            self.worst = max(self.worst, ltv)

    def passed(self, now_ms: int) -> None:
        """What was last seen held until now."""
        if self.last is not None:
            self.add(self.last, now_ms - self.last_ms)
        self.last_ms = now_ms

    def add(self, ltv: Decimal, ms: int) -> None:
        """Counts `ms` spent at this LTV."""
        self.above_trigger_ms += ms if ltv >= self.trigger else 0
        self.above_emergency_ms += ms if ltv >= self.emergency else 0
        self.above_margin_call_ms += ms if ltv >= self.margin_call else 0
