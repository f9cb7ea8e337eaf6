"""The event of a loan that can't be brought to its target: how grave that is, what would help. Logs only."""

from __future__ import annotations

from typing import Any

import structlog

from ltv_guard.core.decide.constraints import Limit
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.decide.outlook import prospects
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.guard import outlook_sentences, sentences
from ltv_guard.log.alert_repeater import AlertRepeater

# Nothing is wrong with the loan: what was said of its protection is over.
CALM = {Cause.IN_BOUNDS, Cause.AT_TARGET, Cause.LOW, Cause.RELEASE_WAITS, Cause.NOT_PROTECTED}

log = structlog.stdlib.get_logger()


class ShortfallReporter:
    """An alarm while nothing can be done for a loan in need; a warning where less is done than is needed."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts

    def tell(self, decision: Decision, account: AccountFacts | None) -> None:
        """Funds, caps or the exchange leave the loan above its target, or would."""
        if _help_is_near(decision):
            return
        topic = ("short", decision.loan.key)
        details: dict[str, Any] = {
            "coin": decision.coin,
            "missing": decision.missing if decision.missing.is_finite() else None,
            "held_back": sentences.held_back(decision),
            "reachable_ltv": decision.reachable_ltv,
            "ltv": decision.loan.ltv,
        }
        if decision.cause is Cause.LOST:
            details["why"] = sentences.reason(decision)
        state = tuple(item.what for item in decision.held_back)
        out_of_danger = _is_out_of_danger(decision)
        if out_of_danger:
            self._alerts.ended(topic)
        if decision.cause in {Cause.SHORT, Cause.LOST} and not out_of_danger:
            if self._alerts.is_due(topic, state):
                details |= _outlook(decision, account)
            self._alerts.grave(topic, state, "protection_short", **details)
        elif out_of_danger or decision.missing > 0:
            if self._alerts.changed(("less", topic), state):
                log.warning("protection_short", **details, **_outlook(decision, account))
        elif decision.cause in CALM:
            self._alerts.ended(topic)
            self._alerts.ended(("less", topic))


def _sells(decision: Decision) -> bool:
    """Whether the last help may be needed, and is allowed."""
    return decision.loan.is_pool and decision.policy.repay_with_collateral.enabled


def _help_is_near(decision: Decision) -> bool:
    """Whether it only waits for how an add ended, or for what a repayment led to: that is known in a moment.

    No emergency waits so. An add whose end is not known for long is an alarm of its own
    (`adjustment_unsettled`).
    """
    kinds = {item.kind for item in decision.held_back}
    waits = Limit.JUST_REPAID in kinds or (
        _sells(decision) and not kinds.isdisjoint({Limit.ADD_AWAITED, Limit.MAY_BE_LEFT})
    )
    return decision.cause is Cause.SHORT and waits and not decision.emergency


def _is_out_of_danger(decision: Decision) -> bool:
    """Whether all that was left to be done has brought a loan whose collateral may pay below its trigger."""
    return decision.cause is Cause.SHORT and _sells(decision) and not (decision.breach or decision.emergency)


def _outlook(decision: Decision, account: AccountFacts | None) -> dict[str, list[str]]:
    """What each kind of help would do; nothing where an error of ours is in the way."""
    if account is None:
        return {}
    found = attempt("what would help", lambda: prospects(account, decision.loan.key))
    if isinstance(found, Defect) or not found:
        return {}
    return {"help": list(map(outlook_sentences.in_words, found)), "by_hand": outlook_sentences.by_hand(found)}
