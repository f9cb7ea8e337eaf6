"""How an intent ended, found out from the exchange's history and what the loan holds or owes. Pure.

The question an unknown asks is "can an effect still land, or have landed unseen?". A request that was not
processed within its receive window never will be (v5/guide#authentication), which makes that decidable.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.history import DoubtfulRow, History, HistoryRow, RowStatus
from ltv_guard.core.model.intents import ARRIVED, RELEASED, SHOWN, Intent, State
from ltv_guard.core.model.loans import Direction, Loan, Moment
from ltv_guard.core.reconcile.awaited import Awaited, Waiting
from ltv_guard.core.reconcile.coin_changes import EARLY_MS, unexplained_change

RESOLVED_WITHIN_MS = 60_000  # so long after its receive window a person may have found an intent's row


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementTimeouts:
    """How long to wait for the exchange, in ms."""

    processing_margin_ms: int = 2000
    history_lag_ms: int = 5000

    @property
    def echo_ms(self) -> int:
        """How long facts from before an adjustment may go on being shown."""
        return 2 * self.history_lag_ms

    @property
    def misfit_ms(self) -> int:
        """How long what fits no adjustment of ours is waited for: a hand of yours, or a row that lacks."""
        return 2 * self.echo_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlightWatch:
    """What this process knows of an open intent: since when, and when the history first lacked it.

    `since` is the moment it was sent, or the start of the process if it was sent by an earlier one.
    """

    since: Moment
    first_missed: Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one tick read: the product's history, and the loan (None: it is no longer listed)."""

    history: History
    loan: Loan | None
    claimed: Collection[str]
    siblings: Collection[Decimal] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The intent after a tick, and the watch to carry to the next one. `waiting` says what for."""

    intent: Intent
    watch: InFlightWatch
    waiting: Waiting | None = None


def window_is_over(intent: Intent, watch: InFlightWatch, at: Moment, timeouts: SettlementTimeouts) -> bool:
    """Whether both clocks say that no effect of the intent can begin any more at `at`."""
    if intent.signed_at_ms is None or intent.recv_window_ms is None:
        return False
    span = intent.recv_window_ms + timeouts.processing_margin_ms
    exchange_says_so = at.exchange_ms >= intent.signed_at_ms + span
    we_say_so = at.monotonic_ms - watch.since.monotonic_ms >= span
    return exchange_says_so and we_say_so


def is_told_apart(intent: Intent, timeouts: SettlementTimeouts, now: Moment) -> bool:
    """Whether its row can no longer be mixed up with that of a new intent of the same amount.

    So it is where its id is known, where it can have no row, and where any row of it must be older than one
    of the new intent could be.
    """
    if intent.direction is Direction.TRANSFER or intent.adjust_id is not None:
        return True
    if intent.state in {State.REJECTED, State.WITHDRAWN}:
        return True
    if intent.is_open or intent.signed_at_ms is None:
        return False
    by_hand = intent.state is State.CONFIRMED
    late_ms = RESOLVED_WITHIN_MS if by_hand else timeouts.processing_margin_ms
    latest = intent.signed_at_ms + (intent.recv_window_ms or 0) + late_ms
    return now.exchange_ms - EARLY_MS > latest


def settle(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts, now: Moment
) -> Verdict:
    """Where `intent` (accepted, unknown or absent) stands after reading `evidence`."""
    if intent.state is State.ACCEPTED:
        return _settle_accepted(intent, watch, evidence, now)
    candidates = _candidates(intent, evidence, timeouts)
    if len(candidates) == 1:
        return _found(intent, watch, candidates[0], now)
    if intent.state is not State.UNKNOWN:
        return Verdict(intent=intent, watch=watch)
    waiting = _why_undecided(intent, watch, evidence, timeouts)
    if waiting is not None:
        return Verdict(intent=intent, watch=watch, waiting=waiting)
    if candidates:
        return _ambiguous(intent, watch, evidence, timeouts, now)
    return _missing(intent, watch, evidence, timeouts, now, State.ABSENT)


def _settle_accepted(intent: Intent, watch: InFlightWatch, evidence: Evidence, now: Moment) -> Verdict:
    own = (row for row in evidence.history.of(intent.key) if row.adjust_id == intent.adjust_id)
    row = next(own, None)
    if row is not None:
        return _found(intent, watch, row, now)
    doubts = (item for item in evidence.history.doubtful if item.adjust_id == intent.adjust_id)
    doubt = next(doubts, None)
    waiting = Waiting(Awaited.ROW) if doubt is None else Waiting(Awaited.DOUBTFUL_ROW, doubt)
    return Verdict(intent=intent, watch=watch, waiting=waiting)


def _found(intent: Intent, watch: InFlightWatch, row: HistoryRow, now: Moment) -> Verdict:
    if row.status is RowStatus.PROCESSING:
        return Verdict(intent=intent, watch=watch, waiting=Waiting(Awaited.PROCESSING))
    if row.status is RowStatus.FAILED:
        if intent.state is State.ABSENT:
            return Verdict(intent=intent, watch=watch)
        failed = intent.to(
            State.REJECTED,
            now.exchange_ms,
            adjust_id=row.adjust_id,
            ret_msg="the exchange's history says that it failed",
        )
        return Verdict(intent=failed, watch=watch)
    confirmed = intent.to(State.CONFIRMED, now.exchange_ms, adjust_id=row.adjust_id, ltv_after=row.ltv_after)
    return Verdict(intent=confirmed, watch=watch)


def _candidates(intent: Intent, evidence: Evidence, timeouts: SettlementTimeouts) -> list[HistoryRow]:
    """Rows that may be this intent's own: same loan, coin, direction, exact amount, in its time.

    A transfer carries our own id: nothing else needs to be compared.
    """
    if intent.signed_at_ms is None or intent.recv_window_ms is None:
        return []
    if intent.direction is Direction.TRANSFER:
        return [row for row in evidence.history.of(intent.key) if row.adjust_id == intent.intent_id]
    earliest = intent.signed_at_ms - EARLY_MS
    latest = intent.signed_at_ms + intent.recv_window_ms + timeouts.processing_margin_ms
    return [
        row
        for row in evidence.history.of(intent.key)
        if row.coin == intent.coin
        and row.direction is intent.direction
        and row.amount == intent.amount
        and earliest <= row.at_ms <= latest
        and row.adjust_id not in intent.seen_ids
        and row.adjust_id not in evidence.claimed
    ]


def _why_undecided(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts
) -> Waiting | None:
    """What keeps a history without the intent's row from proving anything; None: it does."""
    if not window_is_over(intent, watch, evidence.history.began, timeouts):
        return Waiting(Awaited.WINDOW)
    if evidence.history.is_old:
        return Waiting(Awaited.WHOLE_HISTORY)
    doubt = doubtful_row_of(intent, evidence, timeouts)
    return None if doubt is None else Waiting(Awaited.DOUBTFUL_ROW, doubt)


def doubtful_row_of(intent: Intent, evidence: Evidence, timeouts: SettlementTimeouts) -> DoubtfulRow | None:
    """A row that is not understood, and that may be this intent's own: nothing that was read says otherwise.

    One that was there before the intent was planned is none of it.
    """
    known = intent.seen_ids | set(evidence.claimed)
    return next(
        (
            row
            for row in evidence.history.doubtful
            if row.name not in known and _could_be(row, intent, timeouts)
        ),
        None,
    )


def _could_be(row: DoubtfulRow, intent: Intent, timeouts: SettlementTimeouts) -> bool:
    if intent.direction is Direction.TRANSFER:
        return row.adjust_id in {None, intent.intent_id}
    signed_ms = intent.signed_at_ms or 0
    latest = signed_ms + (intent.recv_window_ms or 0) + timeouts.processing_margin_ms
    return (
        row.key in {None, intent.key}
        and row.coin in {None, intent.coin}
        and row.direction in {None, intent.direction}
        and row.amount in {None, intent.amount}
        and (row.at_ms is None or signed_ms - EARLY_MS <= row.at_ms <= latest)
    )


def _unexplained(intent: Intent, evidence: Evidence) -> Decimal | None:
    seen, loan = evidence.history.rows, evidence.loan
    return unexplained_change(intent, seen, loan, evidence.siblings, evidence.claimed)


def _ambiguous(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts, now: Moment
) -> Verdict:
    """Two rows that could be ours: it closes once every change is accounted for, or never will be."""
    if _unexplained(intent, evidence):
        return _missing(intent, watch, evidence, timeouts, now, State.AMBIGUOUS)
    return Verdict(intent=intent.to(State.AMBIGUOUS, now.exchange_ms), watch=watch)


def _missing(
    intent: Intent,
    watch: InFlightWatch,
    evidence: Evidence,
    timeouts: SettlementTimeouts,
    now: Moment,
    end: State,
) -> Verdict:
    """The window is over and the history lacks it: believed at the second look, `history_lag` later."""
    began = evidence.history.began
    if watch.first_missed is None:
        watch = InFlightWatch(since=watch.since, first_missed=began)
    unexplained = _unexplained(intent, evidence)
    if unexplained == intent.change:
        return Verdict(intent=intent, watch=watch, waiting=Waiting(Awaited.LATE_ROW))
    lag_ms = timeouts.history_lag_ms if unexplained == 0 else timeouts.misfit_ms
    first = watch.first_missed or began
    if began.ms_since(first) < lag_ms:
        return Verdict(intent=intent, watch=watch, waiting=Waiting(Awaited.SECOND_LOOK))
    return Verdict(intent=intent.to(end, now.exchange_ms), watch=watch)


def confirmed_by_coins(intent: Intent, now: Moment) -> Intent:
    """An accepted one whose coins have moved: as good as confirmed for adding (a transfer: moving) more."""
    transfer = intent.direction is Direction.TRANSFER
    words = {Direction.ADD: SHOWN, Direction.REDUCE: RELEASED}.get(intent.direction, ARRIVED)
    return intent.to(State.CONFIRMED, now.exchange_ms, ret_msg=words, awaits_row=not transfer)
