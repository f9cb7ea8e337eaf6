"""What the guard tells its operator: the events of docs/operations.md, once when they are news. Logs only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any

import structlog

from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.model.errors import GuardError, NeedsHuman
from ltv_guard.core.model.key_end import LAST_NOTICE_MS
from ltv_guard.core.model.loans import Additions, Loan, LoanBook, LoanEnd, LoanKey, Moment, Product, SetAside
from ltv_guard.core.model.maturity import maturity
from ltv_guard.core.model.policy import thresholds
from ltv_guard.core.ports import Identity, Oddity, Pause
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.guard.state.freshness_tracker import FreshnessTracker
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.log.utc import iso

NEARLY_LIQUIDATED = Decimal("0.97")  # of the liquidation LTV: a loan that vanishes from there was liquidated

# Nothing is wrong with the loan: what was said of its protection is over.
CALM = {Cause.IN_BOUNDS, Cause.AT_TARGET, Cause.LOW, Cause.RELEASE_WAITS, Cause.NOT_PROTECTED}
# What is told of a loan, and forgotten once it is gone.
OF_A_LOAN = (
    *("amount", "decision", "pulled_in", "short"),
    *("unanswered", "doubted", "old", "aside", "additions", "contradicted"),
)
ACCOUNT = "account"  # what is read of the key; all else that may be blind is a product
# The beginnings of why nothing may be sent, as one word each.
WORDS = {"needs a human": "needs_human", "the journal is new or restored": "waiting"}

log = structlog.stdlib.get_logger()


class Reporter:
    """Turns what happened into events. Holds no knowledge but what was said before."""

    def __init__(
        self, account: str, blind_after: int, alerts: AlertRepeater, freshness: FreshnessTracker
    ) -> None:
        self._account = account
        self._blind_after = blind_after
        self._alerts = alerts
        self._freshness = freshness
        self._failures: dict[str, int] = {}
        self._causes: dict[str, str] = {}
        self._seen: dict[str, bool] = {}
        self._odd: set[tuple[str, ...]] = set()
        self._aside: dict[Product, tuple[SetAside, ...]] = {}

    def finished(self, outcome: CycleResult, withheld: str | None, duration_ms: int) -> None:
        """The heartbeat."""
        worst = max((decision.loan.ltv for decision in outcome.decisions), default=None)
        level = log.warning if outcome.blind else log.info
        level(
            "cycle_finished",
            loans=outcome.loans,
            worst_ltv=worst,
            actions=outcome.actions,
            duration_ms=duration_ms,
            outcome=self._word_for(outcome, withheld),
            open_intents=outcome.left_open,
        )

    def _word_for(self, outcome: CycleResult, withheld: str | None) -> str:
        if outcome.blind:
            return "partial" if any(self._seen.values()) else "blind"
        if withheld is None:
            return "slow" if outcome.slow else "ok"
        begun = withheld.split(":")[0]
        return WORDS.get(begun, begun)

    @property
    def why_blind(self) -> str:
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

    def recovered(self, what: str) -> None:
        """A read went well: the end of a fault, if there was one, is told once."""
        self._seen[what] = what != ACCOUNT
        self._causes.pop(what, None)
        if self._alerts.ended(("refused", what)):
            log.warning("human_not_needed", why=f"the exchange lets {what} be read again")
        failed = self._failures.pop(what, 0)
        if self._alerts.ended(("blind", what)):
            log.warning("guard_recovered", what=what)
        elif failed:
            log.info("read_works_again", what=what, failed=failed)

    def key(self, identity: Identity, *, live: bool, transfers: bool) -> None:
        if identity.can_withdraw:
            log.warning(
                "key_can_withdraw", why="this key may withdraw funds; ltv-guard needs only 'Spot trade'"
            )
        if live and not identity.ip_bound:
            log.warning("key_without_ip", expires_at=identity.expires_at, why="it dies after 90 days")
        if live and transfers and not identity.can_transfer:
            log.warning(
                "key_cannot_transfer",
                why="sources.unified_transfer is enabled, and the key lacks 'Account Transfer'",
            )

    def key_end(self, ends_at_ms: int | None, notice_ms: int | None, now_ms: int) -> None:
        """That the key ends: once at each distance, and again and again on its last day."""
        topic = "key_end"
        if ends_at_ms is None or notice_ms is None:
            if self._alerts.ended(topic):
                log.warning("key_renewed", expires_at=None if ends_at_ms is None else iso(ends_at_ms))
            return
        state = (ends_at_ms, notice_ms)
        told = {
            "expires_at": iso(ends_at_ms),
            "seconds_left": (ends_at_ms - now_ms) // 1000,
            "mend": "make a new key for the same user, write it into the key's files, and send SIGHUP",
        }
        if notice_ms <= LAST_NOTICE_MS:
            self._alerts.grave(topic, state, "key_expires", **told)
        elif self._alerts.changed(topic, state):
            log.warning("key_expires", **told)

    def human(self, why: str | None, mend: str = "", code: int | None = None) -> None:
        if why is not None:
            self._alerts.grave("human", why, "needs_human", why=why, mend=mend or None, ret_code=code)
        elif self._alerts.ended("human"):
            log.warning("human_not_needed", why="the key answers well again")

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
        if pause is not None:
            self._alerts.once(
                "pause", "warning", "guard_paused", why=pause.reason, scope=pause.account or "all"
            )
        elif self._alerts.ended("pause"):
            log.warning("guard_resumed")

    def book(self, book: LoanBook, gone: Iterable[Loan] = ()) -> None:
        """Loans that make no sense, and limits. Of what is `gone` nothing more is told but its end."""
        for item in book.set_aside:
            self._alerts.grave(
                ("aside", item.key), item.why, "loan_set_aside", why=item.why, **_named(item.key)
            )
        aside = {item.key for item in book.set_aside}
        there = {loan.key for loan in book.loans}
        for key in there:
            if self._alerts.ended(("aside", key)):
                log.warning("loan_readable_again", **_named(key))
        for item in self._aside.get(book.product, ()):
            if item.key not in aside and self._alerts.ended(("aside", item.key)) and item.nameless:
                log.warning("loan_readable_again", **_named(item.key))
        self._aside[book.product] = book.set_aside
        for loan in gone:
            self._forget(loan.key)
        for loan in book.loans:
            self._additions(loan)

    def _additions(self, loan: Loan) -> None:
        """Whether the platform takes more collateral: its limits are of single coins, and this names none."""
        topic = ("additions", loan.key)
        if loan.additions is Additions.TAKEN:
            if self._alerts.ended(topic):
                log.info("collateral_taken_again", **_named(loan.key))
        elif self._alerts.changed(topic, loan.additions):
            log.warning("collateral_limit", additions=loan.additions, **_named(loan.key))

    def _forget(self, key: LoanKey) -> None:
        for topic in OF_A_LOAN:
            self._alerts.ended((topic, key))
        self._alerts.ended(("less", ("short", key)))

    def gone(self, loan: Loan, now: Moment, end: LoanEnd | None) -> None:
        """How it ended: in the exchange's word (`end`), or else as far as can be told."""
        inferred = _why_liquidated(loan, now)
        why = inferred if end is None else end.words
        if end.liquidated if end is not None else inferred is not None:
            log.critical(
                "loan_liquidated", why=why, read=end is not None, last_ltv=loan.ltv, **_named(loan.key)
            )
        else:
            log.warning("loan_gone", why=why, last_ltv=loan.ltv, **_named(loan.key))

    def decisions(self, decisions: Sequence[Decision], withheld: str | None) -> None:
        for decision in decisions:
            with structlog.contextvars.bound_contextvars(**_named(decision.loan.key)):
                self._decision(decision, withheld)

    def _decision(self, decision: Decision, withheld: str | None) -> None:
        key = decision.loan.key
        news = self._alerts.changed(("decision", key), (decision.cause, decision.direction, withheld))
        level = log.info if news else log.debug
        if news and decision.emergency:
            level = log.warning
        level(
            "decision_made",
            action=decision.direction or "hold",
            cause=decision.cause,
            reason=decision.reason,
            ltv=decision.loan.ltv,
            amount=decision.amount if decision.acts else None,
            coin=decision.coin,
            held_back=list(decision.held_back) or None,
            rule=decision.policy.name,
        )
        self._pulled_in(decision)
        self._short(decision)
        self._unanswered(decision, withheld)

    def doubts(self, decisions: Sequence[Decision], now: Moment, longest_ms: int) -> None:
        """A loan whose facts have not become believable: it is not acted on, so somebody has to look."""
        for decision in decisions:
            key = decision.loan.key
            topic = ("doubted", key)
            doubted_ms = self._freshness.doubted_for_ms(key, now)
            if decision.cause is Cause.NOT_FRESH and doubted_ms > longest_ms:
                self._alerts.grave(
                    topic,
                    decision.reason,
                    "loan_not_believed",
                    why=decision.reason,
                    seconds=doubted_ms // 1000,
                    ltv=decision.loan.ltv,
                    **_named(key),
                )
            elif decision.cause is not Cause.NOT_FRESH and self._alerts.ended(topic):
                log.warning("loan_believed_again", **_named(key))
            if not self._freshness.is_shown_as_before(key) and self._alerts.ended(("old", key)):
                log.info("loan_shown_as_it_is", **_named(key))

    def amount(self, decision: Decision, *, free: bool) -> None:
        """An amount that the history could not tell from that of an open intent is not sent: said once."""
        topic = ("amount", decision.loan.key)
        if free:
            self._alerts.ended(topic)
            return
        why = (
            f"every amount up to {decision.ceiling:f} {decision.coin} is in use by an adjustment that is not "
            "settled yet, and the history could not tell the two apart: waiting for that one"
        )
        self._alerts.once(topic, "warning", "adjustment_put_off", why=why)

    def shown_as_before(self, loans: Collection[Loan]) -> None:
        """The exchange shows loans as they were before an adjustment that it had shown already."""
        why = "it is shown as it was before an adjustment that had been shown already: it is read again"
        for loan in loans:
            topic = ("old", loan.key)
            self._alerts.once(topic, "warning", "loan_shown_as_before", why=why, **_named(loan.key))

    def _pulled_in(self, decision: Decision) -> None:
        limits = thresholds(decision.policy, decision.loan)
        topic = ("pulled_in", decision.loan.key)
        if not limits.pulled_in:
            self._alerts.ended(topic)
        elif self._alerts.changed(topic, (limits.trigger, limits.emergency)):
            log.warning(
                "threshold_pulled_in",
                trigger=limits.trigger,
                target=limits.target,
                emergency=limits.emergency,
                margin_call_ltv=decision.loan.margin_call_ltv,
            )

    def _short(self, decision: Decision) -> None:
        """Funds, caps or the exchange leave the loan above its target, or would."""
        topic = ("short", decision.loan.key)
        details: dict[str, Any] = {
            "coin": decision.coin,
            "missing": decision.missing if decision.missing.is_finite() else None,
            "held_back": list(decision.held_back),
            "reachable_ltv": decision.reachable_ltv,
            "ltv": decision.loan.ltv,
        }
        if decision.cause is Cause.LOST:
            details["why"] = decision.reason
        state = tuple(map(_without_amount, decision.held_back))
        if decision.cause in {Cause.SHORT, Cause.LOST}:
            self._alerts.grave(topic, state, "protection_short", **details)
        elif decision.missing > 0:
            if self._alerts.changed(("less", topic), state):
                log.warning("protection_short", **details)
        elif decision.cause in CALM:
            self._alerts.ended(topic)
            self._alerts.ended(("less", topic))

    def _unanswered(self, decision: Decision, withheld: str | None) -> None:
        """A breach that nothing is done about: said at once, and again with growing pauses."""
        topic = ("unanswered", decision.loan.key)
        if decision.cause is Cause.NONSENSE:
            self._alerts.grave(topic, decision.cause, "loan_set_aside", why=decision.reason)
            return
        why = withheld if decision.acts else None
        if not decision.acts and decision.cause in {Cause.WALLET_UNREAD, Cause.NOT_PROTECTED, Cause.RESCUED}:
            why = decision.reason
        if decision.breach and withheld is not None:
            why = withheld
        if decision.breach and why is not None:
            cause = (decision.cause, why.split(":")[0])
            self._alerts.grave(
                topic, cause, "breach_unanswered", why=why, ltv=decision.loan.ltv, reason=decision.reason
            )
        else:
            self._alerts.ended(topic)


def _why_liquidated(loan: Loan, now: Moment) -> str | None:
    """What speaks for it, where a loan is gone; None: it was repaid, as far as can be told."""
    if loan.danger >= NEARLY_LIQUIDATED:
        return "its LTV was last seen within 3 % of its liquidation LTV"
    end = maturity(loan, now.exchange_ms, ())
    return "its end was 48 h ago or more" if end is not None and end.is_forfeit else None


def _without_amount(note: str) -> str:
    """What holds back, for telling whether it is news: how much is left changes all the time."""
    name, leaves, amount = note.partition(" leaves ")
    return f"{name} of {amount.split()[-1]}" if leaves else note


def _named(key: LoanKey) -> dict[str, str]:
    return {"product": key.product.value, "loan_id": key.loan_id}
