"""The events of decisions: what was decided, what holds it back, and a breach without help. Logs only."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence

import structlog

from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.decide.repay_fixed import comes_first
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.loans import LoanKey, Moment
from ltv_guard.core.model.withheld import Withheld
from ltv_guard.guard import sentences
from ltv_guard.guard.loan_fields import named
from ltv_guard.guard.shortfall_reporter import CALM, ShortfallReporter
from ltv_guard.guard.state.freshness_tracker import FreshnessTracker
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.log.utc import iso

OFTEN = 3  # so many adjustments in a row that did not leave answer no breach

LOGGER = logging.getLogger(__name__)

log = structlog.stdlib.get_logger()


class DecisionReporter:
    """Says what is news of a cycle's decisions. Remembers of which loans nothing was wrong the last time."""

    def __init__(self, alerts: AlertRepeater, freshness: FreshnessTracker) -> None:
        self._alerts = alerts
        self._freshness = freshness
        self._shortfalls = ShortfallReporter(alerts)
        self._calm: set[LoanKey] = set()
        self._held: set[tuple[str, str]] = set()
        self._not_sent: dict[LoanKey, list[str]] = {}

    def is_as_told(self, decision: Decision, withheld: Withheld | None) -> bool:
        """Whether nothing is to be said, for nothing is wrong and it was told so. At DEBUG all is said."""
        key = decision.loan.key
        return (
            key in self._calm
            and _is_calm(decision)
            and self._alerts.has_told(("decision", key), _state(decision, withheld))
            and not LOGGER.isEnabledFor(logging.DEBUG)
        )

    def tell(
        self,
        decisions: Sequence[Decision],
        withheld: Withheld | None,
        account: AccountFacts | None = None,
    ) -> None:
        """Decisions at INFO where they are news, with what follows from them for their loans.

        `account` is what they were decided on: of a loan that is short it tells what each help would do.
        """
        for decision in decisions:
            with structlog.contextvars.bound_contextvars(**named(decision.loan.key)):
                self._decision(decision, withheld, account)

    def _decision(self, decision: Decision, withheld: Withheld | None, account: AccountFacts | None) -> None:
        key = decision.loan.key
        news = self._alerts.changed(("decision", key), _state(decision, withheld))
        level = log.info if news else log.debug
        if news and decision.emergency:
            level = log.warning
        level(
            "decision_made",
            action=decision.direction or "hold",
            cause=decision.cause,
            reason=sentences.reason(decision),
            ltv=decision.loan.ltv,
            amount=decision.amount if decision.acts else None,
            coin=decision.coin,
            held_back=sentences.held_back(decision) or None,
            rule=decision.policy.name,
        )
        self._pulled_in(decision)
        self._shortfalls.tell(decision, account)
        self._held_contracts(decision, withheld, account)
        self._unanswered(decision, withheld)
        (self._calm.add if _is_calm(decision) else self._calm.discard)(key)

    def left(self, key: LoanKey) -> None:
        """An adjustment of the loan has left, or may have; or the loan itself is gone."""
        self._not_sent.pop(key, None)
        self._alerts.ended(("put_off", key))

    def put_off(self, key: LoanKey, why: str) -> None:
        """One was not even written down: said once for as long as the reason is the same."""
        self._alerts.once(("put_off", key), "warning", "adjustment_put_off", why=why)
        self.did_not_leave(key, f"not sent: {why}")

    def did_not_leave(self, key: LoanKey, why: str) -> None:
        """One did not, provably: nothing is done about the loan's breach while that goes on."""
        self._not_sent.setdefault(key, []).append(why)
        del self._not_sent[key][:-OFTEN]

    def _pulled_in(self, decision: Decision) -> None:
        limits = decision.limits
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

    def _held_contracts(
        self, decision: Decision, withheld: Withheld | None, account: AccountFacts | None
    ) -> None:
        """Fixed loans that go overdue, or are, while something keeps them from being repaid."""
        in_part = account is not None and account.in_part
        if in_part or not decision.loan.is_pool or comes_first(decision):
            return
        held: list[tuple[Contract, Hashable, str]] = [
            (item.contract, item.why.what, sentences.constraint(item.why)) for item in decision.held_contracts
        ]
        paid = decision.reason.contract
        if paid is not None and withheld is not None and not withheld.ends_by_itself:
            held.append((paid, withheld, sentences.withheld(withheld)))
        topics = {not_repaid(contract) for contract, _, _ in held}
        for topic in self._held - topics:
            self._alerts.ended(topic)
        self._held = topics
        for contract, state, why in held:
            fields = _of_contract(contract)
            self._alerts.grave(not_repaid(contract), state, "fixed_loan_not_repaid", why=why, **fields)

    def _unanswered(self, decision: Decision, withheld: Withheld | None) -> None:
        """A breach that nothing is done about: said at once, and again with growing pauses."""
        topic = ("unanswered", decision.loan.key)
        if decision.cause is Cause.NONSENSE:
            self._alerts.grave(topic, decision.cause, "loan_set_aside", why=sentences.reason(decision))
            return
        if not decision.breach:
            self.left(decision.loan.key)
        not_sent = self._not_sent.get(decision.loan.key, [])
        stuck = decision.acts and len(not_sent) >= OFTEN
        helpless = decision.cause in {Cause.WALLET_UNREAD, Cause.NOT_PROTECTED, Cause.RESCUED}
        helped = decision.acts or not helpless
        if not decision.breach or (withheld is None and helped and not stuck):
            self._answered(topic, decision)
            return
        reason, awaited = sentences.reason(decision), decision.reason.intent
        why = not_sent[-1] if stuck else reason
        why = why if withheld is None else sentences.withheld(withheld)
        helpless_for = (decision.emergency, None if awaited is None else (awaited.intent_id, awaited.state))
        state = (decision.cause, helpless_for if withheld is None else withheld.kind)
        self._alerts.grave(topic, state, "breach_unanswered", why=why, ltv=decision.loan.ltv, reason=reason)

    def _answered(self, topic: Hashable, decision: Decision) -> None:
        was_unanswered = self._alerts.lasts(topic, "breach_unanswered")
        self._alerts.ended(topic)
        if was_unanswered:
            log.warning("breach_answered", ltv=decision.loan.ltv, reason=sentences.reason(decision))

    def doubts(self, decisions: Sequence[Decision], now: Moment, longest_ms: int) -> None:
        """A loan whose facts have not become believable within `longest_ms`: it is not acted on. An alarm."""
        for decision in decisions:
            key = decision.loan.key
            topic = ("doubted", key)
            not_fresh = decision.cause is Cause.NOT_FRESH
            doubted_ms = self._freshness.doubted_for_ms(key, now) if not_fresh else 0
            if doubted_ms > longest_ms:
                self._alerts.grave(
                    topic,
                    decision.reason.doubt,
                    "loan_not_believed",
                    why=sentences.reason(decision),
                    seconds=doubted_ms // 1000,
                    ltv=decision.loan.ltv,
                    **named(key),
                )
            elif not not_fresh and self._alerts.ended(topic):
                log.warning("loan_believed_again", **named(key))
            if not self._freshness.is_shown_as_before(key) and self._alerts.ended(("old", key)):
                log.info("loan_shown_as_it_is", **named(key))

    def amount(self, decision: Decision, *, free: bool) -> None:
        """An amount that the history could not tell from that of an open intent is not sent: said once."""
        topic = ("amount", decision.loan.key)
        if free:
            self._alerts.ended(topic)
            return
        why = (
            f"every amount up to {decision.ceiling:f} {decision.coin} is that of an adjustment which is not "
            "settled yet. The history could not tell a second one of it apart, so this one waits"
        )
        self._alerts.once(topic, "warning", "adjustment_put_off", why=why)


def not_repaid(contract: Contract) -> tuple[str, str]:
    """The topic of `fixed_loan_not_repaid`, whose state is the `Constraint` that keeps it from being."""
    return ("held", contract.loan_id)


def _state(decision: Decision, withheld: Withheld | None) -> tuple[object, ...]:
    """A decision is news when this changes."""
    return decision.cause, decision.direction, withheld


def _of_contract(contract: Contract) -> dict[str, object]:
    return {
        "contract": contract.loan_id,
        "coin": contract.coin,
        "owed": {contract.coin: format(contract.owed, "f")},
        "expires_at": iso(contract.ends_at_ms),
    }


def _is_calm(decision: Decision) -> bool:
    """Whether nothing but the decision itself is to be told of."""
    wrong = (
        bool(decision.held_contracts) or decision.breach or decision.missing > 0 or decision.limits.pulled_in
    )
    return decision.cause in CALM and not wrong
