"""Rows of a history that may be an intent's own, by loan, coin, amount and time. Pure.

`claimed` are ids of rows that belong to other intents; `margin_ms` is how long after its receive window the
exchange may still be carrying a request out.
"""

from __future__ import annotations

from collections.abc import Collection

from ltv_guard.core.amounts.fingerprint import has_fingerprint
from ltv_guard.core.model.history import DoubtfulRow, History, HistoryRow
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.reconcile.coin_changes import EARLY_MS


def own_rows(intent: Intent, history: History, claimed: Collection[str], margin_ms: int) -> list[HistoryRow]:
    """Rows that may be this intent's own: same loan, coin, direction, exact amount, in its time.

    Of a fixed loan that is repaid in full any amount will do. A transfer carries our own id: nothing else
    needs to be compared.
    """
    if intent.signed_at_ms is None or intent.recv_window_ms is None:
        return []
    if intent.direction is Direction.TRANSFER:
        return [row for row in history.of(intent.key) if row.adjust_id == intent.intent_id]
    rows = _in_its_time(intent, history, claimed, margin_ms)
    return rows if intent.repays_in_full else [row for row in rows if row.amount == intent.amount]


def _in_its_time(
    intent: Intent, history: History, claimed: Collection[str], margin_ms: int
) -> list[HistoryRow]:
    latest = (intent.signed_at_ms or 0) + (intent.recv_window_ms or 0) + margin_ms
    return [row for row in _since_it_was_signed(intent, history, claimed) if row.at_ms <= latest]


def _since_it_was_signed(intent: Intent, history: History, claimed: Collection[str]) -> list[HistoryRow]:
    earliest = (intent.signed_at_ms or 0) - EARLY_MS
    return [
        row
        for row in history.of(intent.key)
        if row.coin == intent.coin
        and row.direction is intent.direction
        and row.kind is intent.channel.kind
        and row.with_collateral in {None, intent.collateral_coin is not None}
        and row.contract_id in {None, intent.contract_id}
        and not row.by_exchange
        and earliest <= row.at_ms
        and row.adjust_id not in intent.seen_ids
        and row.adjust_id not in claimed
    ]


def rows_however_late(intent: Intent, history: History, claimed: Collection[str]) -> list[HistoryRow]:
    """Rows of exactly its amount: one that tells the time of its end may tell any after the request."""
    rows = _since_it_was_signed(intent, history, claimed)
    return [row for row in rows if row.amount == intent.amount]


def may_be_a_hands(intent: Intent) -> bool:
    """Whether a row of its amount may as well be of a release by hand: it has no fingerprint.

    Ours may land after that, so it is waited for: a release may take its time. An add may not.
    """
    unknown_release = intent.state is State.UNKNOWN and intent.direction is Direction.REDUCE
    return unknown_release and not has_fingerprint(intent.amount, intent.coins_before)


def rows_of_other_amounts(
    intent: Intent, history: History, claimed: Collection[str], margin_ms: int
) -> list[HistoryRow]:
    """Rows that may be a repayment with collateral, though not of its amount.

    In which unit the exchange reads that, one client disputes; and of what is owed it takes no more.
    """
    if intent.collateral_coin is None:
        return []
    return _in_its_time(intent, history, claimed, margin_ms)


def doubtful_row_of(
    intent: Intent, history: History, claimed: Collection[str], margin_ms: int
) -> DoubtfulRow | None:
    """A row that is not understood, and that may be this intent's own: nothing that was read says otherwise.

    One that was there before the intent was planned is none of it.
    """
    known = intent.seen_ids | set(claimed)
    return next(
        (row for row in history.doubtful if row.name not in known and _could_be(row, intent, margin_ms)),
        None,
    )


def _could_be(row: DoubtfulRow, intent: Intent, margin_ms: int) -> bool:
    if intent.direction is Direction.TRANSFER:
        return row.adjust_id in {None, intent.intent_id}
    signed_ms = intent.signed_at_ms or 0
    latest = signed_ms + (intent.recv_window_ms or 0) + margin_ms
    return (
        row.key in {None, intent.key}
        and row.coin in {None, intent.coin}
        and row.direction in {None, intent.direction}
        and (intent.repays_in_full or row.amount in {None, intent.amount})
        and (row.at_ms is None or signed_ms - EARLY_MS <= row.at_ms <= latest)
    )
