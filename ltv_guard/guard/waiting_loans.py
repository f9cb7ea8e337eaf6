"""Loans in breach that wait long for their turns to write: said when it begins, and at its end. Logs only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.ports import Clock
from ltv_guard.guard.lane import Lane
from ltv_guard.guard.loan_fields import named
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.log.alert_repeater import AlertRepeater

TOPIC = "turns"
LONG_MS = 5_000
SLOW_TURN_MS = 1_500  # a turn that takes longer waits for an answer: to a read, or to a write before it
MANY = "the exchange takes one adjustment a second, and more loans than that are in breach"

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class _InLine:
    decision: Decision
    since_ms: int


class WaitingLoans:
    """Asked once a cycle has acted. Remembers since when who waits, by the monotonic clock."""

    def __init__(self, alerts: AlertRepeater, clock: Clock) -> None:
        self._alerts = alerts
        self._clock = clock
        self._waiting: dict[LoanKey, _InLine] = {}
        self._began_ms = 0

    def tell(self, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        """`decisions`: those that the cycle began to act on."""
        if not (self._waiting or any(lane.waiting for lane in snapshot.lanes)):
            return
        now_ms = self._clock.now().monotonic_ms
        self._waiting = self._left(snapshot, decisions, now_ms)
        first = min(self._waiting.values(), key=lambda item: item.since_ms, default=None)
        if first is None or now_ms - first.since_ms <= LONG_MS:
            if self._alerts.ended(TOPIC):
                log.info("loans_wait_no_more", seconds=(now_ms - self._began_ms) // 1000)
        elif snapshot.lanes and self._alerts.changed(TOPIC, "waiting"):
            self._began_ms = first.since_ms
            log.warning(
                "loans_wait_for_turns",
                loans=len(self._waiting),
                **named(first.decision.loan.key),
                ltv=first.decision.loan.ltv,
                seconds=(now_ms - first.since_ms) // 1000,
                why=_why(snapshot.lanes, now_ms),
            )

    def _left(self, snapshot: Snapshot, decisions: Sequence[Decision], now_ms: int) -> dict[LoanKey, _InLine]:
        """Who had no turn, and whom this cycle did not look at. Who came while it acted waits from now on."""
        asked = {item.loan.key for item in decisions if item.breach and item.acts}
        decided = {item.loan.key for item in decisions}.union(*(lane.tried for lane in snapshot.lanes))
        left = {
            key: item
            for key, item in self._waiting.items()
            if key not in decided and _is_in_part(snapshot, key.product)
        }
        for lane in snapshot.lanes:
            began_ms = now_ms if lane.began is None else lane.began.monotonic_ms
            for key, decision in _in_breach(lane).items():
                before = self._waiting.get(key)
                since_ms = before.since_ms if before else began_ms if key in asked else now_ms
                left[key] = _InLine(decision, since_ms)
        return left


def _in_breach(lane: Lane) -> Mapping[LoanKey, Decision]:
    found = {key: lane.decisions[key] for key in lane.waiting if key in lane.decisions}
    return {key: item for key, item in found.items() if item.breach and item.kind is lane.kind}


def _is_in_part(snapshot: Snapshot, product: Product) -> bool:
    """Whether loans of the product may be there that were not read."""
    book = snapshot.books.get(product)
    return snapshot.in_haste or book is None or bool(book.cut_short)


def _why(lanes: Iterable[Lane], now_ms: int) -> str:
    """The pace is that of the lane which had most turns."""
    lane = max(lanes, key=lambda item: len(item.tried))
    if lane.began is None or not lane.tried:
        return MANY
    turn_ms = (now_ms - lane.began.monotonic_ms) // len(lane.tried)
    if turn_ms <= SLOW_TURN_MS:
        return MANY
    return f"the exchange takes one adjustment a second, and answers slowly: one takes {turn_ms / 1000:.1f} s"
