"""How a guard speaks: what is said once or again, errors of ours, events, contradictions. Logs only."""

from __future__ import annotations

from dataclasses import dataclass

from ltv_guard.guard.contradictions import Contradictions
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reporter import Reporter
from ltv_guard.log.alert_repeater import AlertRepeater


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Of one guard. All share its alerts."""

    alerts: AlertRepeater
    defects: Defects
    report: Reporter
    contradictions: Contradictions
