"""How an intent ended, found out from the exchange's history and the loan's collateral. Pure.

The question an unknown asks is "can an effect still land, or have landed unseen?". A request that was not
processed within its receive window never will be (v5/guide#authentication), which makes that decidable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import History, HistoryRow, Loan, Moment, RowStatus

EARLY_MS = 1000  # a row may carry a time up to this much before the signed timestamp
FOREIGN_LAG_FACTOR = 4  # where somebody else moved collateral too, the history gets this much longer
LATE_ROW_MS = 24 * 3600 * 1000  # an absent intent's row that turns up within a day still counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for the exchange, in ms."""

    processing_margin_ms: int = 2000
    history_lag_ms: int = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The intent after a tick, and the watch to carry to the next one. `waiting` says what for."""

    intent: Intent
    watch: Watch
    waiting: str | None = None


def window_is_over(intent: Intent, watch: Watch, at: Moment, patience: Patience) -> bool:
    """Whether both clocks say that no effect of the intent can begin any more at `at`."""
    if intent.signed_at_ms is None or intent.recv_window_ms is None:
        return False
    span = intent.recv_window_ms + patience.processing_margin_ms
    exchange_says_so = at.exchange_ms >= intent.signed_at_ms + span
    we_say_so = at.monotonic_ms - watch.since.monotonic_ms >= span
    return exchange_says_so and we_say_so


def settle(intent: Intent, watch: Watch, evidence: Evidence, patience: Patience, now: Moment) -> Verdict:
    """Where `intent` (accepted, unknown or absent) stands after reading `evidence`."""
    if intent.state is State.ACCEPTED:
        return _settle_accepted(intent, watch, evidence, now)
    candidates = _candidates(intent, evidence, patience)
    if len(candidates) == 1:
        return _found(intent, watch, candidates[0], now)
    if intent.state is not State.UNKNOWN:
        return Verdict(intent=intent, watch=watch)
    if not window_is_over(intent, watch, evidence.history.began, patience):
        return Verdict(intent=intent, watch=watch, waiting="its receive window is not over")
    if candidates:
        return _ambiguous(intent, watch, evidence, now)
    return _missing(intent, watch, evidence, patience, now)


def _settle_accepted(intent: Intent, watch: Watch, evidence: Evidence, now: Moment) -> Verdict:
    own = (row for row in evidence.history.of(intent.key) if row.adjust_id == intent.adjust_id)
    row = next(own, None)
    if row is None:
        return Verdict(intent=intent, watch=watch, waiting="accepted, and not in the history yet")
    return _found(intent, watch, row, now)


def _found(intent: Intent, watch: Watch, row: HistoryRow, now: Moment) -> Verdict:
    if row.status is RowStatus.PROCESSING:
        return Verdict(intent=intent, watch=watch, waiting="the exchange is still processing it")
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


def _candidates(intent: Intent, evidence: Evidence, patience: Patience) -> list[HistoryRow]:
    """Rows that may be this intent's own: same loan, coin, direction, exact amount, in its time."""
    if intent.signed_at_ms is None or intent.recv_window_ms is None:
        return []
    earliest = intent.signed_at_ms - EARLY_MS
    latest = intent.signed_at_ms + intent.recv_window_ms + patience.processing_margin_ms
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


def _ambiguous(intent: Intent, watch: Watch, evidence: Evidence, now: Moment) -> Verdict:
    """Two rows that could be ours: it closes once every change is accounted for."""
    unexplained = unexplained_change(intent, evidence.history.rows, evidence.loan)
    if unexplained is not None and unexplained != 0:
        return Verdict(intent=intent, watch=watch, waiting="two rows could be its own")
    return Verdict(intent=intent.to(State.AMBIGUOUS, now.exchange_ms), watch=watch)


def _missing(intent: Intent, watch: Watch, evidence: Evidence, patience: Patience, now: Moment) -> Verdict:
    """The window is over and the history lacks it: believed at the second look, `history_lag` later."""
    began = evidence.history.began
    if watch.first_missed is None:
        watch = Watch(since=watch.since, first_missed=began)
    lag_ms = patience.history_lag_ms
    unexplained = unexplained_change(intent, evidence.history.rows, evidence.loan)
    if unexplained == intent.change:
        return Verdict(intent=intent, watch=watch, waiting="collateral moved by its amount, its row is late")
    if unexplained is None or unexplained != 0:
        lag_ms *= FOREIGN_LAG_FACTOR
    first = watch.first_missed or began
    if began.ms_since(first) < lag_ms:
        return Verdict(intent=intent, watch=watch, waiting="not in the history; looking once more")
    return Verdict(intent=intent.to(State.ABSENT, now.exchange_ms), watch=watch)


def rows_since(intent: Intent, rows: Iterable[HistoryRow]) -> list[HistoryRow]:
    """The loan's rows in the intent's coin that were not there yet when it was planned, oldest first."""
    since = [
        row
        for row in rows
        if row.key == intent.key and row.coin == intent.coin and row.adjust_id not in intent.seen_ids
    ]
    return sorted(since, key=lambda row: (row.at_ms, row.adjust_id))


def unexplained_change(intent: Intent, rows: Iterable[HistoryRow], loan: Loan | None) -> Decimal | None:
    """Coins of collateral that moved since the plan and that no row of the history explains.

    None where it can't be known: the loan is no longer listed. Amounts within one displayed digit are equal.
    """
    if loan is None:
        return None
    held = loan.collateral_in(intent.coin)
    if held is None:
        return -intent.collateral_before
    explained = sum((row.change for row in rows_since(intent, rows)), Decimal(0))
    unexplained = held.amount - intent.collateral_before - explained
    if abs(unexplained) <= held.step:
        return Decimal(0)
    if abs(unexplained - intent.change) <= held.step:
        return intent.change
    return unexplained
