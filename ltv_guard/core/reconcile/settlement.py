"""How an intent ended, found out from the exchange's history and what the loan holds or owes. Pure.

The question an unknown asks is "can an effect still land, or have landed unseen?". A request that was not
processed within its receive window never will be (v5/guide#authentication), which makes that decidable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Moment
from ltv_guard.core.reconcile.awaited import Awaited, Waiting
from ltv_guard.core.reconcile.candidates import (
    doubtful_row_of,
    may_be_a_hands,
    own_rows,
    rows_however_late,
    rows_of_other_amounts,
)
from ltv_guard.core.reconcile.coin_changes import EARLY_MS, collateral_went
from ltv_guard.core.reconcile.evidence import Evidence, InFlightWatch

# Coins moved by an intent's amount, and no row tells of it: so many times `misfit_ms` its row is waited for,
# and so many where another row may be its own.
NO_ROW, OTHER_ROW = 6, 3
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
        return _settle_accepted(intent, watch, evidence, timeouts, now)
    candidates = _own_rows(intent, watch, evidence, timeouts)
    if len(candidates) == 1 and not may_be_a_hands(intent):
        return _found(intent, watch, candidates[0], now)
    if intent.state is not State.UNKNOWN:
        return Verdict(intent=intent, watch=watch)
    watch = evidence.noted_in(watch, intent)
    waiting = _why_undecided(intent, watch, evidence, timeouts)
    if waiting is not None:
        return Verdict(intent=intent, watch=watch, waiting=waiting)
    return _after_its_window(intent, watch, candidates, evidence, timeouts, now)


def _own_rows(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts
) -> list[HistoryRow]:
    """Rows that may be its own: one that was, while it was processed, whatever its time is now."""
    rows = own_rows(intent, evidence.history, evidence.claimed, timeouts.processing_margin_ms)
    known = [row for row in evidence.history.of(intent.key) if row.adjust_id == watch.row_id]
    return rows if not known or known[0] in rows else [*known, *rows]


def _after_its_window(
    intent: Intent,
    watch: InFlightWatch,
    candidates: Sequence[HistoryRow],
    evidence: Evidence,
    timeouts: SettlementTimeouts,
    now: Moment,
) -> Verdict:
    """Nothing of it can land any more: that a row is its own is believed as late as that there is none."""
    began = evidence.history.began
    if len(candidates) == 1:
        watch = replace(watch, first_missed=watch.first_missed or began)
        if began.ms_since(watch.first_missed or began) < timeouts.history_lag_ms:
            return Verdict(intent=intent, watch=watch, waiting=Waiting(Awaited.SECOND_ROW))
        return _found(intent, watch, candidates[0], now)
    if candidates or rows_of_other_amounts(
        intent, evidence.history, evidence.claimed, timeouts.processing_margin_ms
    ):
        return _ambiguous(intent, watch, evidence, timeouts, now)
    return _missing(intent, watch, evidence, timeouts, now, State.ABSENT)


def _settle_accepted(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts, now: Moment
) -> Verdict:
    if intent.adjust_id is None:
        return _settle_without_id(intent, watch, evidence, timeouts, now)
    own = (row for row in evidence.history.of(intent.key) if row.adjust_id == intent.adjust_id)
    row = next(own, None)
    if row is not None:
        return _found(intent, watch, row, now)
    doubts = (item for item in evidence.history.doubtful if item.adjust_id == intent.adjust_id)
    doubt = next(doubts, None)
    waiting = Waiting(Awaited.ROW) if doubt is None else Waiting(Awaited.DOUBTFUL_ROW, doubt)
    return Verdict(intent=intent, watch=watch, waiting=waiting)


def _settle_without_id(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts, now: Moment
) -> Verdict:
    """It was accepted and no id came back: one of the rows that fit is its own.

    Of several that have all succeeded it does not matter which. Until all have ended, it stays open; where
    some have failed it counts as one that succeeded, so that no limit is passed on its account. One of
    another amount counts once its window is over, if no row that is not understood, or lacks, may be its own:
    until then it may be a hand's, and the own one be shown late. So does, at the second look, one of its
    amount that tells a later time: the exchange may have carried it out then.
    """
    known = intent, evidence.history, evidence.claimed, timeouts.processing_margin_ms
    own, doubt = _own_rows(intent, watch, evidence, timeouts), doubtful_row_of(*known)
    proves = doubt is None and not evidence.history.is_old
    began = evidence.history.began
    if not own and proves and window_is_over(intent, watch, began, timeouts):
        watch = replace(watch, first_missed=watch.first_missed or began)
        own = rows_of_other_amounts(*known)
        is_missed = began.ms_since(watch.first_missed or began) >= timeouts.history_lag_ms
        if not own and is_missed and watch.row_id is None:
            own = rows_however_late(*known[:3])
    ended = all(row.status is not RowStatus.PROCESSING for row in own)
    if own and ended:
        landed = [row for row in own if row.status is RowStatus.SUCCESS]
        return _found(intent, watch, min(landed or own, key=lambda row: row.at_ms), now)
    if len(own) == 1:
        return _found(intent, watch, own[0], now)
    waiting = Waiting(Awaited.ROW) if doubt is None else Waiting(Awaited.DOUBTFUL_ROW, doubt)
    return Verdict(intent=intent, watch=watch, waiting=Waiting(Awaited.PROCESSING) if own else waiting)


def _found(intent: Intent, watch: InFlightWatch, row: HistoryRow, now: Moment) -> Verdict:
    if row.status is RowStatus.PROCESSING:
        watch = replace(watch, row_id=row.adjust_id)
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


def _why_undecided(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts
) -> Waiting | None:
    """What keeps a history without the intent's row from proving anything; None: it does."""
    if not window_is_over(intent, watch, evidence.history.began, timeouts):
        return Waiting(Awaited.WINDOW)
    if evidence.history.is_old:
        return Waiting(Awaited.WHOLE_HISTORY)
    doubt = doubtful_row_of(intent, evidence.history, evidence.claimed, timeouts.processing_margin_ms)
    return None if doubt is None else Waiting(Awaited.DOUBTFUL_ROW, doubt)


def _ambiguous(
    intent: Intent, watch: InFlightWatch, evidence: Evidence, timeouts: SettlementTimeouts, now: Moment
) -> Verdict:
    """Rows that could be ours: it closes once every change is accounted for, or never will be."""
    if evidence.unexplained(intent, watch):
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
        watch = replace(watch, first_missed=began)
    unexplained = evidence.unexplained(intent, watch)
    missed_ms = began.ms_since(watch.first_missed or began)
    if unexplained == intent.change:
        lag_ms = timeouts.misfit_ms * (OTHER_ROW if end is State.AMBIGUOUS else NO_ROW)
        awaited, end = Awaited.LATE_ROW, State.AMBIGUOUS
    else:
        still = unexplained == 0 and not collateral_went(intent, evidence.loan)
        lag_ms = timeouts.history_lag_ms if still else timeouts.misfit_ms
        awaited = Awaited.SECOND_LOOK
    if missed_ms < lag_ms:
        return Verdict(intent=intent, watch=watch, waiting=Waiting(awaited))
    return Verdict(intent=intent.to(end, now.exchange_ms), watch=watch)
