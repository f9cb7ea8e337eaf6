"""A guard's parts, put together: each is made of others when it is first asked for. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ltv_guard.core.model.policy import Rulebook
from ltv_guard.guard.adjuster import Adjuster
from ltv_guard.guard.announcements import Announcements
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.at_rest import AtRest
from ltv_guard.guard.conclusion import Conclusion
from ltv_guard.guard.contract_watch import ContractWatch
from ltv_guard.guard.contracts import Contracts
from ltv_guard.guard.contradictions import Contradictions
from ltv_guard.guard.decider import Decider
from ltv_guard.guard.decision_of_now import DecisionOfNow
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.directions import Directions
from ltv_guard.guard.episodes import Episodes
from ltv_guard.guard.facts import FactBuilder
from ltv_guard.guard.freshness_judge import FreshnessJudge
from ltv_guard.guard.journal_trust import JournalTrust
from ltv_guard.guard.key_access import KeyAccess
from ltv_guard.guard.lag_watch import Measurer
from ltv_guard.guard.lanes import Lanes
from ltv_guard.guard.left_open import LeftOpen
from ltv_guard.guard.loan_news import LoanNews
from ltv_guard.guard.loan_watch import LoanWatch
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.permission import Gate, Permission
from ltv_guard.guard.planner import Planner
from ltv_guard.guard.pressing import Pressing
from ltv_guard.guard.proof import Proof
from ltv_guard.guard.reads.read_ahead import ReadAhead
from ltv_guard.guard.reads.reads import Reads, urgent_loans
from ltv_guard.guard.reconciler import Reconciler
from ltv_guard.guard.refusals import Refusals
from ltv_guard.guard.reporter import Reporter
from ltv_guard.guard.rereads import Rereads
from ltv_guard.guard.rows_beside import RowsBeside
from ltv_guard.guard.sender import Sender
from ltv_guard.guard.settings_match import Matcher
from ltv_guard.guard.settlement_reporter import SettlementReporter
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.surroundings import AccountPorts, Surroundings
from ltv_guard.guard.unhurried import Unhurried
from ltv_guard.guard.words import Words
from ltv_guard.log.alert_repeater import AlertRepeater


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Of one guard. `memory` and `trust` may be those of the guard that it follows."""

    options: GuardOptions
    exchange: AccountPorts
    around: Surroundings
    rulebook: Rulebook
    memory: Memory
    trust: JournalTrust
    matcher: Matcher | None

    # Words.

    @cached_property
    def words(self) -> Words:
        alerts = AlertRepeater(lambda: self.around.clock.now().monotonic_ms)
        return Words(
            alerts=alerts,
            defects=Defects(alerts),
            report=Reporter(
                self.options.blind_after_cycles,
                alerts,
                self.memory.freshness,
                live=self.options.live,
                poll_ms=self.options.poll_interval_ms,
            ),
            contradictions=Contradictions(alerts),
        )

    @cached_property
    def announcements(self) -> Announcements:
        return Announcements(self.words, self.directions, self.freshness, self.around.clock)

    # Reads.

    @cached_property
    def reads(self) -> Reads:
        words, memory, around, trust = self.words, self.memory, self.around, self.trust
        watch = LoanWatch(self.rulebook, memory.loans, words.alerts)
        news = LoanNews(memory.loans, watch, words.report, words.defects)
        urgent = urgent_loans(self.options, around, memory, self.rulebook, trust, words.defects)
        reads = Reads(self.options, self.exchange, around.clock, memory, news, words, urgent=urgent)
        reads.histories.go_by_trust(lambda: trust.holds)
        return reads

    @cached_property
    def rereads(self) -> Rereads:
        return Rereads(self.reads, self.appraisal, self.around.clock, self.words, self.options)

    @cached_property
    def needs(self) -> Needs:
        channels, products = list(self.exchange.paths), list(self.exchange.by_product)
        return Needs(self.rulebook, self.memory, channels=channels, products=products)

    @cached_property
    def read_ahead(self) -> ReadAhead:
        clock, needs, intents = self.around.clock, self.needs, self.memory.intents
        look, defects, has_room = self.reads.closer_look, self.words.defects, self.around.has_room
        return ReadAhead(
            look, lambda seen: needs.to_decide(seen, clock.now()), intents, clock, defects, has_room=has_room
        )

    @cached_property
    def contracts(self) -> Contracts:
        shelf = self.memory.contracts
        watch = ContractWatch(shelf, self.words.alerts)
        return Contracts(self.reads.contracts, watch, shelf, self.rulebook, self.around.clock)

    @cached_property
    def pressing(self) -> Pressing:
        return Pressing()

    @cached_property
    def unhurried(self) -> Unhurried:
        return Unhurried(
            self.contracts,
            self.key_access,
            self.reads.balances,
            self.matcher,
            pressing=self.pressing,
            defects=self.words.defects,
        )

    # Settling.

    @cached_property
    def left_open(self) -> LeftOpen:
        return LeftOpen(self.memory.intents, self.sender, self.around.clock, self.words.alerts)

    @cached_property
    def measurer(self) -> Measurer:
        return Measurer(self.around.clock, self.memory, self.words.alerts, self.options.timeouts)

    @cached_property
    def reconciler(self) -> Reconciler:
        clock = self.around.clock
        report = SettlementReporter(clock, self.words.alerts)
        on_absent = self.refusals.found_absent
        return Reconciler(clock, self.memory, self.measurer, report, on_absent=on_absent)

    @cached_property
    def rows_beside(self) -> RowsBeside:
        intents, clock, defects = self.memory.intents, self.around.clock, self.words.defects
        return RowsBeside(self.reads, self.needs, self.reconciler, intents, clock, defects)

    @cached_property
    def episodes(self) -> Episodes:
        memory, clock, words = self.memory, self.around.clock, self.words
        unwritten = memory.intents.episodes
        return Episodes(memory.journal, unwritten, clock, words.defects, words.alerts)

    # Deciding.

    @cached_property
    def freshness(self) -> FreshnessJudge:
        return FreshnessJudge(self.memory, self.options.timeouts)

    @cached_property
    def appraisal(self) -> Appraisal:
        longest_gap_ms = 2 * self.options.poll_interval_ms + self.options.max_snapshot_age_ms
        memory, freshness, defects = self.memory, self.freshness, self.words.defects
        return Appraisal(self.rulebook, memory, freshness, defects, longest_gap_ms=longest_gap_ms)

    @cached_property
    def decider(self) -> Decider:
        facts = FactBuilder(self.options, self.rulebook, self.memory, self.freshness, self.words.defects)
        at_rest, clock, words = AtRest(self.memory), self.around.clock, self.words
        return Decider(
            self.appraisal, facts, self.memory, words.contradictions, at_rest, clock, words.defects
        )

    # Acting.

    @cached_property
    def key_access(self) -> KeyAccess:
        around = self.around
        return KeyAccess(self.options, self.exchange.account, around.clock, self.words.report, around.claim)

    @cached_property
    def directions(self) -> Directions:
        return Directions(self.memory.intents, self.words.alerts)

    @cached_property
    def permission(self) -> Permission:
        return Permission(
            self.options,
            self.memory.journal,
            self.trust,
            self.key_access,
            self.needs,
            self.words,
        )

    @cached_property
    def sender(self) -> Sender:
        intents, around, max_age_ms = self.memory.intents, self.around, self.options.max_snapshot_age_ms
        return Sender(intents, around.clock, max_age_ms=max_age_ms, stopping=around.stopping)

    @cached_property
    def refusals(self) -> Refusals:
        memory = self.memory
        return Refusals(memory.refusals, memory.bounds, memory.loans, self.key_access, self.directions)

    @cached_property
    def adjuster(self) -> Adjuster:
        memory, refusals, words = self.memory, self.refusals, self.words
        planner = Planner(
            self.options, self.around, self.exchange, memory, refusals, words, pressing=self.pressing
        )
        paths, clock = self.exchange.paths, self.around.clock
        return Adjuster(planner, self.sender, paths, memory.intents, refusals, clock, words)

    @cached_property
    def now(self) -> DecisionOfNow:
        return DecisionOfNow(
            self.options,
            self.rereads,
            self.decider,
            self.episodes,
            self.announcements,
            self.around,
            self.words.defects,
        )

    @cached_property
    def lanes(self) -> Lanes:
        clock, loans = self.around.clock, self.reads.loans
        proof = Proof(self.directions, self.needs, self.reads.histories, self.measurer, clock)
        gate = Gate(self.around, self.key_access, self.directions, proof, self.words.defects)
        return Lanes(self.options, self.exchange.paths, gate, self.now, self.adjuster, clock, loans=loans)

    @cached_property
    def conclusion(self) -> Conclusion:
        clock, products = self.around.clock, len(self.exchange.by_product)
        return Conclusion(self.memory, self.trust, self.words, clock, self.options, products=products)
