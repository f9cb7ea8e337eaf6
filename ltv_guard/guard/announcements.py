"""What is said of decisions before they are acted on. Words only: no error in them costs a loan its help."""

from __future__ import annotations

from collections.abc import Sequence

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.defects import Defect, attempt
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
        for decision in self._news_of(snapshot, decisions):
            for defect in decision.defects:
                self._defects.tell(defect)
            self.tell_one(snapshot, decision)
            with self._defects.contained("reporting a contradiction"):
                self._contradictions.contradiction(decision, snapshot.newest_prices)
        with self._defects.contained("reporting doubts"):
            self._report.doubts(decisions, self._clock.now(), self._freshness.misfit_ms)

    def _news_of(self, snapshot: Snapshot, decisions: Sequence[Decision]) -> Sequence[Decision]:
        """All but what is as it was told: of a thousand quiet loans nothing is put into words again."""
        found = attempt("finding what is news", lambda: self._not_told(snapshot, decisions))
        if isinstance(found, Defect):
            self._defects.tell(found)
            return decisions
        return found

    def _not_told(self, snapshot: Snapshot, decisions: Sequence[Decision]) -> list[Decision]:
        withheld = {
            product: snapshot.withheld or self._directions.why_not(product) for product in snapshot.books
        }
        return [
            item
            for item in decisions
            if item.defects
            or not self._report.is_as_told(item, withheld[item.loan.key.product])
            or not self._contradictions.is_as_told(item)
        ]

    def tell_one(self, snapshot: Snapshot, decision: Decision) -> None:
        """The decision on one loan, once its turn has come."""
        with self._defects.contained("reporting a decision"):
            stopped = self._directions.why_not(decision.loan.key.product)
            self._report.tell([decision], snapshot.withheld or stopped, snapshot.account)
