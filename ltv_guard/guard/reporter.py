"""What the guard tells its operator: the events of docs/events.md, once when they are news. Logs only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import nlargest

import structlog

from ltv_guard.core.model.errors import GuardError, NeedsHuman
from ltv_guard.core.model.loan_book import ListCutShort
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.model.withheld import Withheld
from ltv_guard.core.ports import Oddity, Pause
from ltv_guard.guard.decision_reporter import DecisionReporter
from ltv_guard.guard.key_reporter import KeyReporter
from ltv_guard.guard.loan_reporter import LoanReporter
from ltv_guard.guard.short_lists import ShortLists
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.guard.state.freshness_tracker import FreshnessTracker
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.log.utc import iso

MOST_TOLD = 10  # loans in a heartbeat, those nearest to liquidation
FOUND_AGAIN_MS = 60_000  # beyond two polls: so long after it was last found an alarm counts as over
TOLD_AFTER_S = 3.0  # a list that is late is told of: one that is a little so now and then is not
IN_PART = "the loans of the pages before are guarded, and of the others a few in each cycle, by their ids"
UNSEEN = "loans on the pages that failed are not guarded; those of the pages before are"
UNKNOWN = (
    "no list was whole since the start: of the loans on the pages that failed only those are guarded that "
    "the journal tells of, and that can be read by their ids; those of the pages before are"
)
ACCOUNT = "account"  # what is read of the key; all else that may be blind is a product

log = structlog.stdlib.get_logger()


class Reporter:
    """Turns a cycle and its reads into events; `key`, `loans` and `decisions` tell of those.

    Holds no knowledge but what was said before.
    """

    def __init__(
        self,
        blind_after: int,
        alerts: AlertRepeater,
        freshness: FreshnessTracker,
        *,
        live: bool = False,
        poll_ms: int = TIMING.poll_interval_ms,
    ) -> None:
        self._blind_after = blind_after
        self._mode = "live" if live else "dry_run"
        self._lasts_ms = 2 * poll_ms + FOUND_AGAIN_MS
        self._alerts = alerts
        self.key = KeyReporter(alerts)
        self.loans = LoanReporter(alerts)
        self.decisions = DecisionReporter(alerts, freshness)
        self._failures: dict[str, int] = {}
        self._causes: dict[str, str] = {}
        self._seen: dict[str, bool] = {}
        self._late: set[str] = set()
        self._odd: set[tuple[str, ...]] = set()
        self._short = ShortLists()

    def finished(self, outcome: CycleResult, withheld: Withheld | None, duration_ms: int) -> None:
        """The heartbeat."""
        loans = [decision.loan for decision in outcome.decisions]
        worst = max((loan.ltv for loan in loans), default=None)
        nearest = nlargest(MOST_TOLD, loans, key=lambda loan: loan.danger)
        level = log.warning if outcome.blind else log.info
        level(
            "cycle_finished",
            loans=outcome.loans,
            worst_ltv=worst,
            actions=outcome.actions,
            duration_ms=duration_ms,
            outcome=self._word_for(outcome, withheld),
            open_intents=outcome.left_open,
            mode=self._mode,
            critical=self._alerts.events(self._lasts_ms),
            ltvs={loan.key.loan_id: loan.ltv for loan in nearest},
        )

    def _word_for(self, outcome: CycleResult, withheld: Withheld | None) -> str:
        if outcome.blind:
            return "partial" if any(self._seen.values()) else "blind"
        if withheld is None:
            return "slow" if outcome.slow else "ok"
        return withheld.kind

    @property
    def why_blind(self) -> str:
        """Every read that fails now, and why; empty where none does."""
        return "; ".join(f"{what}: {why}" for what, why in self._causes.items())

    def blind(self, what: str, error: GuardError) -> None:
        """A read failed: a fault when it begins, an alarm once it lasts or a person has to mend it."""
        why, mend = str(error), error.mend or None
        self._seen[what] = False
        if isinstance(error, NeedsHuman):
            self._alerts.grave(("refused", what), why, "needs_human", why=why, mend=mend, ret_code=error.code)
        self._failures[what] = self._failures.get(what, 0) + 1
        self._causes[what] = why
        cycles = self._failures[what]
        if cycles == 1:
            log.warning("read_failed", what=what, why=why, mend=mend)
        if cycles >= self._blind_after:
            self._alerts.grave(
                ("blind", what), "blind", "guard_blind", what=what, cycles=cycles, why=why, mend=mend
            )

    def left(self, what: str, late_s: float | None) -> None:
        """The cycle goes on without a list that is still being read: told where that takes much too long."""
        self._seen[what] = False
        if what in self._failures:
            return  # that says more
        if late_s is None:
            self._causes[what] = "it is being read"
            return
        self._causes[what] = why = f"no answer within {late_s:.3g} s; all other loans are guarded as usual"
        if what not in self._late and late_s >= TOLD_AFTER_S:
            self._late.add(what)
            log.warning("read_failed", what=what, why=why)

    def in_part(
        self, what: str, error: ListCutShort, missed: Mapping[LoanKey, int], *, lacks_known: bool
    ) -> None:
        """Pages of a list failed: a fault when it begins, an alarm once a loan was not seen for so long.

        `missed`: those known loans that were not, and for how many cycles. Where it is not `lacks_known`,
        there may be others: as many cycles as the list failed.
        """
        why, mend = str(error), error.mend or None
        self._seen[what] = True
        self._failures[what] = self._failures.get(what, 0) + 1
        self._causes[what] = why
        is_news = self._failures[what] == 1
        if error.without_a_word:
            is_news = self._short.came(what) and is_news
        if is_news:
            log.warning("read_failed", what=what, why=f"{why}; {IN_PART}", mend=mend)
        cycles = max(missed.values(), default=0) if lacks_known else self._failures[what]
        if cycles >= self._blind_after:
            unseen = sorted(key.loan_id for key, times in missed.items() if times >= self._blind_after)
            self._alerts.grave(
                ("blind", what),
                "blind",
                "guard_blind",
                what=what,
                cycles=cycles,
                why=f"{why}; {UNSEEN if lacks_known else UNKNOWN}",
                mend=mend,
                loan_ids=unseen[:MOST_TOLD],
            )
        elif not cycles and self._alerts.ended(("blind", what)):
            log.warning("guard_recovered", what=what)

    def recovered(self, what: str) -> None:
        """A read went well: the end of a fault, if there was one, is told once."""
        self._seen[what] = what != ACCOUNT
        self._causes.pop(what, None)
        if self._alerts.ended(("refused", what)):
            log.warning("human_not_needed", why=f"the exchange lets {what} be read again")
        failed = self._short.whole_came(what, self._failures.pop(what, 0))
        if self._alerts.ended(("blind", what)):
            self._short.forget(what)
            log.warning("guard_recovered", what=what)
        elif failed or what in self._late:
            log.info("read_works_again", what=what, failed=failed)
        self._late.discard(what)

    def oddities(self, found: Iterable[Oddity]) -> None:
        """What the exchange answered and no reader understands: each once, and once that it is over."""
        there: set[tuple[str, ...]] = set()
        for item in found:
            topic: tuple[str, ...] = ("odd", item.endpoint, item.row, item.follows)
            there.add(topic)
            if self._alerts.changed(topic, item.follows):
                log.warning(
                    "answer_odd", endpoint=item.endpoint, row=item.row, why=item.why, follows=item.follows
                )
        for topic in self._odd - there:
            self._alerts.ended(topic)
            log.info("answer_sound_again", endpoint=topic[1], row=topic[2])
        self._odd = there

    def paused(self, pause: Pause | None) -> None:
        """That the kill switch holds, each hour, for it is easily forgotten; and once that it does not."""
        if pause is not None:
            until = iso(pause.until_ms) if pause.until_ms is not None else None
            scope = pause.account or "all"
            self._alerts.hourly(
                "pause", "warning", "guard_paused", why=pause.reason, scope=scope, until=until
            )
        elif self._alerts.ended("pause"):
            log.warning("guard_resumed")
