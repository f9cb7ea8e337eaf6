"""Of a loan that is as it was told nothing is put into words again; what is news is told."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import structlog
from core_builders import decide_one, facts, loan

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.core.reconcile.plausibility import Bearing
from ltv_guard.guard.contradictions import AGREED_AFTER, Contradictions
from ltv_guard.guard.decision_reporter import DecisionReporter
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater


class TestADecisionReporter:
    def setup_method(self) -> None:
        self.alerts = AlertRepeater(lambda: 0)
        self.reporter = DecisionReporter(self.alerts, Memory(MemoryJournal()).freshness)

    def told_of(self, *decisions: Decision, withheld: Withheld | None = None) -> list[str]:
        with structlog.testing.capture_logs() as told:
            self.reporter.tell(decisions, withheld)
        return [line["event"] for line in told if line["log_level"] != "debug"]

    def test_a_quiet_loan_is_told_once(self) -> None:
        quiet = at("0.60")
        assert not self.reporter.is_as_told(quiet, None)
        assert self.told_of(quiet) == ["decision_made"]
        assert self.reporter.is_as_told(at("0.61"), None)

    def test_a_breach_is_news_and_so_is_its_end(self) -> None:
        self.told_of(at("0.60"))
        breach = at("0.79")
        assert not self.reporter.is_as_told(breach, None)
        assert "decision_made" in self.told_of(breach)
        assert not self.reporter.is_as_told(at("0.60"), None)

    def test_what_is_withheld_is_news(self) -> None:
        self.told_of(at("0.60"))
        assert not self.reporter.is_as_told(at("0.60"), Withheld(kind=Why.PAUSED, detail="look"))

    def test_where_something_lasts_it_is_looked_at_each_time(self) -> None:
        breach = at("0.79")
        paused = Withheld(kind=Why.PAUSED, detail="look")
        assert "breach_unanswered" in self.told_of(breach, withheld=paused)
        assert not self.reporter.is_as_told(breach, paused)

    def test_thresholds_that_the_exchange_pulls_in_are_news_and_so_is_their_end(self) -> None:
        pulled_in = replace(at("0.60"), limits=replace(at("0.60").limits, pulled_in=True))
        self.told_of(at("0.60"))
        assert not self.reporter.is_as_told(pulled_in, None)
        assert self.told_of(pulled_in) == ["threshold_pulled_in"]
        assert not self.reporter.is_as_told(at("0.60"), None)
        assert self.told_of(at("0.60")) == []
        assert self.reporter.is_as_told(at("0.60"), None)

    def test_a_loan_that_was_gone_is_told_again(self) -> None:
        quiet = at("0.60")
        self.told_of(quiet)
        self.alerts.ended(("decision", quiet.loan.key))
        assert not self.reporter.is_as_told(quiet, None)

    def test_at_debug_each_look_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        self.told_of(at("0.60"))
        with caplog.at_level(logging.DEBUG, logger="ltv_guard.guard.decision_reporter"):
            assert not self.reporter.is_as_told(at("0.60"), None)


def at(ltv: str) -> Decision:
    return decide_one(facts(loan(ltv)))


def test_numbers_that_contradict_each_other_by_turns_are_told_once_and_their_end_once() -> None:
    contradictions = Contradictions(AlertRepeater(lambda: 0))
    odd = replace(decide_one(facts()), bearing=Bearing.CONTRADICTED)
    sound = replace(odd, bearing=Bearing.BORNE_OUT)
    with structlog.testing.capture_logs() as logs:
        for decision in [odd, *[sound] * (AGREED_AFTER - 1)] * 3 + [sound] * 3:
            contradictions.contradiction(decision, None)
    assert [item["event"] for item in logs] == ["loan_contradicts_itself", "loan_agrees_again"]
