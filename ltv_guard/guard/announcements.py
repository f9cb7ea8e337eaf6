"""What is said of decisions before they are acted on. Words only: no error in them costs a loan its help."""

from __future__ import annotations

from collections.abc import Sequence

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.ports import Clock
from ltv_guard.guard.directions import Directions
from ltv_guard.guard.freshness_judge import FreshnessJudge
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.words import Words


class Announcements:
    """Hands what is news to those who say it."""

    def __init__(
        self,
        words: Words,
        directions: Directions,
        freshness: FreshnessJudge,
        clock: Clock,
    ) -> None:
        self._report = words.report.decisions
        self._contradictions = words.contradictions
        self._defects = words.defects
        self._directions = directions
        self._freshness = freshness
        self._clock = clock

    def tell(self, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        """A cycle's decisions, with what is odd and what is doubted."""
        for decision in decisions:
            for defect in decision.defects:
                self._defects.tell(defect)
            self.tell_one(snapshot, decision)
            with self._defects.contained("reporting a contradiction"):
                self._contradictions.contradiction(decision, snapshot.newest_prices)
        with self._defects.contained("reporting doubts"):
            self._report.doubts(decisions, self._clock.now(), self._freshness.misfit_ms)

    def tell_one(self, snapshot: Snapshot, decision: Decision) -> None:
        """The decision on one loan, once its turn has come."""
        with self._defects.contained("reporting a decision"):
            stopped = self._directions.why_not(decision.loan.key.product)
            self._report.tell([decision], snapshot.withheld or stopped)
