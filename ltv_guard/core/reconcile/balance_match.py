"""Which of the changes that are known of a loan an amount already includes: all, a part, or neither. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from enum import Enum
from itertools import accumulate

from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.reconcile.coin_changes import (
    SHOWN_LATE_MS,
    near,
    row_of,
    rows_since,
    starting_points,
)


class BalanceMatch(Enum):
    """What an amount is left by: all that the history tells of, a part of it, or something else.

    `LATER`: a part that includes the intent's own row, and lacks only what others did, or we, later.
    """

    WHOLE = "whole"
    PART = "part"
    LATER = "later"
    NEITHER = "neither"


def match(amount: Decimal, step: Decimal, last: Intent, rows: Sequence[HistoryRow]) -> BalanceMatch:
    """Whether `amount` is what the loan held after all of the rows since the plan, or after some.

    Rows that are older than the read the plan was made from may already be in `coins_before`: history
    lags. Either reading of them is accepted; the row of `last` itself came after, whatever its time says.
    An amount that fits no reading was changed by somebody else (a partial liquidation), or is older than the
    plan itself: exchanges answer from several places, and not all of them are equally late.
    """
    since = _with_its_own(last, rows_since(last, rows))
    close = near(step, last, since)
    bases, after = starting_points(last, since)
    partial_sums = list(accumulate((row.change for row in after), initial=Decimal(0)))
    off_whole = min(abs(amount - base - partial_sums[-1]) for base in bases)
    offs = [min(abs(amount - base - part) for base in bases) for part in partial_sums[:-1]]
    fitting = [place for place, off in enumerate(offs) if off <= close and off < off_whole]
    if fitting:
        return BalanceMatch.PART if min(fitting) <= _own_place(last, after) else BalanceMatch.LATER
    return BalanceMatch.WHOLE if off_whole <= close else BalanceMatch.NEITHER


def _own_place(last: Intent, after: Sequence[HistoryRow]) -> int:
    """How many of the rows come before its own; all of them where it can't be told which that is.

    That of a repayment with collateral has no known id where its answer was lost, and may tell another
    amount: it is the last that may be it.
    """
    sold = last.collateral_coin is not None and last.adjust_id is None
    places = [
        place
        for place, row in enumerate(after)
        if row.adjust_id == last.adjust_id or (sold and _may_be_of_the_sale(row, last))
    ]
    return max(places, default=len(after))


def _may_be_of_the_sale(row: HistoryRow, last: Intent) -> bool:
    is_shown = row.with_collateral and not row.by_exchange
    return bool(is_shown) and row.contract_id in {None, last.contract_id}


def digit_of(last: Intent) -> Decimal:
    """A coin that is not shown is none of it: not added yet, or released. The amount's own digits tell."""
    exponent = last.amount.as_tuple().exponent
    return Decimal(1).scaleb(min(0, int(exponent)))


def planned_since(last: Intent, landed: Iterable[Intent]) -> Intent | None:
    """The latest of `landed`, of the same coin, that was planned once it was known that `last` had landed.

    What it was planned on had been believed. A rescue is planned on what is not.
    """
    found = (
        item
        for item in landed
        if item.created_at_ms >= last.updated_at_ms
        and item.rescue_of is None
        and item.intent_id != last.intent_id
        and (item.channel, item.coin) == (last.channel, last.coin)
    )
    return max(found, key=lambda item: item.created_at_ms, default=None)


def with_believed_change(
    last: Intent, later: Intent | None, step: Decimal, rows: Sequence[HistoryRow]
) -> Sequence[HistoryRow]:
    """The rows, and a made-up one for coins that moved between `last` and the plan of `later` without a row.

    A partial liquidation has no row. What it left was believed when `later` was planned. Without a row for it
    every amount that is shown since would seem to fit nothing, or by chance the one from before `last`.
    """
    if later is None:
        return rows
    shown = (row for row in rows if row.adjust_id == later.adjust_id)
    own = next(shown, None) or row_of(later)
    others = [row for row in rows if row.adjust_id != own.adjust_id]
    known = [row for row in others if row.at_ms <= later.observed_at_ms or row.adjust_id in later.seen_ids]
    close = near(step, last, rows_since(last, rows))
    readings = _may_have_been_shown(known, others, own, later)
    if any(abs(_off(later.coins_before, last, reading)) <= close for reading in readings):
        return rows
    other_way = Direction.ADD if last.direction is Direction.REDUCE else Direction.REDUCE
    direction = Direction.REPAY if last.direction is Direction.REPAY else other_way
    change = HistoryRow(
        adjust_id=f"!{later.intent_id}",  # it sorts before the row of `later`, of the same ms
        key=last.key,
        coin=last.coin,
        direction=direction,
        amount=_off(later.coins_before, last, known) * direction.sign,
        at_ms=own.at_ms,
        ltv_before=None,
        ltv_after=None,
        fixed=last.contract_id is not None,
    )
    return [*rows, change]


def _may_have_been_shown(
    known: Sequence[HistoryRow], others: Sequence[HistoryRow], own: HistoryRow, later: Intent
) -> Iterator[Sequence[HistoryRow]]:
    """Which rows may be in what `later` was planned on: those from about that time are, or are not.

    And it may have been shown late: without the last ones, though the plan knew of them.
    """
    yield known
    yield [row for row in others if row.at_ms < own.at_ms]
    for first in known:
        if first.at_ms > later.observed_at_ms - SHOWN_LATE_MS:
            yield [row for row in known if row.at_ms < first.at_ms]


def _off(amount: Decimal, last: Intent, rows: Sequence[HistoryRow]) -> Decimal:
    """How far `amount` is from what the loan held after all of the rows: the nearest of their readings."""
    bases, after = starting_points(last, _with_its_own(last, rows_since(last, rows)))
    whole = sum((row.change for row in after), Decimal(0))
    return min((amount - base - whole for base in bases), key=abs)


def _with_its_own(last: Intent, since: list[HistoryRow]) -> list[HistoryRow]:
    """The rows with that of `last`, which landed, though the history may lag or could not be read."""
    if last.adjust_id is None:
        known = any(row.amount == last.amount and row.direction is last.direction for row in since)
    else:
        known = any(row.adjust_id == last.adjust_id for row in since)
    if known:
        return since
    own = row_of(last)
    return sorted([*since, own], key=lambda row: row.at_ms)
