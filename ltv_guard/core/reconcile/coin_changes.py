"""What moved of the coins that an intent acts on, and what of it the history explains. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations

from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import ARRIVED, RELEASED, SHOWN, Intent, State
from ltv_guard.core.model.loans import Direction, Kind, Loan, Moment

EARLY_MS = 1000  # a row may carry a time up to this much before the signed timestamp
DEBT_DRIFT = Decimal("0.0005")  # of a debt: interest does not add this much while a repayment settles
MOST_DRIFT = Decimal("0.25")  # of a repayment's amount: never so much that it could be there or not
SURELY_SHOWN_MS = 60_000  # a row this much older than a read of the loan was in what the read showed
SHOWN_LATE_MS = 30_000  # so old may be what a plan was made from, beside a history that is not
BOUNDARY_ROWS = 4  # so many rows around that read are tried in every combination


def shown_coins(intent: Intent, loan: Loan) -> tuple[Decimal, Decimal]:
    """What is shown of what the intent acts on: coins of collateral or of debt, and what is as good as equal.

    One displayed digit for collateral. A debt moves by itself, with its interest; what fixed loans owe, and
    what else is owed in the coin, are two debts.
    """
    if intent.direction is Direction.REPAY:
        debt = loan.debt_in(intent.coin)
        drift = min(intent.coins_before * DEBT_DRIFT, intent.amount * MOST_DRIFT)
        owed = debt.part(fixed=intent.contract_id is not None) if debt else Decimal(0)
        return owed, drift
    held = loan.collateral_in(intent.coin)
    return (held.amount, held.step) if held else (Decimal(0), Decimal(0))


def _is_unread(intent: Intent, loan: Loan) -> bool:
    """Whether the loan is shown, but not how much of what the intent acts on."""
    debt, held = loan.debt_in(intent.coin), loan.collateral_in(intent.coin)
    if intent.direction is Direction.REPAY:
        return debt is not None and debt.unread
    return held is not None and held.unread


def near(step: Decimal, intent: Intent, rows: Iterable[HistoryRow] = ()) -> Decimal:
    """How far apart amounts are as good as equal: a step, but not where one of them moved no more than two.

    `rows` are what else moved the same coins. What is owed drifts, whatever was repaid of it.
    """
    others = () if intent.direction is Direction.REPAY else (row.amount for row in rows)
    return step if min((intent.amount, *others)) > 2 * step else Decimal(0)


def row_of(intent: Intent) -> HistoryRow:
    """The row that an intent which landed has in the history, which may lag, or can't be read."""
    return HistoryRow(
        adjust_id=intent.adjust_id or "",
        key=intent.key,
        coin=intent.coin,
        direction=intent.direction,
        amount=intent.amount,
        at_ms=max(intent.observed_at_ms + 1, intent.signed_at_ms or 0),
        ltv_before=None,
        ltv_after=None,
        fixed=intent.contract_id is not None,
        contract_id=intent.contract_id,
    )


def rows_since(intent: Intent, rows: Iterable[HistoryRow], *, late_ms: int = 0) -> list[HistoryRow]:
    """Rows of the same loan, kind and coin that may be younger than the intent's plan, oldest first.

    The history is read after the loan: a row that the plan knew of may be younger than what it was made from,
    which may have been shown `late_ms` late.
    """
    kind, observed_ms = intent.channel.kind, intent.observed_at_ms
    since = [
        row
        for row in rows
        if row.at_ms >= observed_ms - SURELY_SHOWN_MS
        and (row.at_ms > observed_ms - late_ms or row.adjust_id not in intent.seen_ids)
        and row.coin == intent.coin
        and row.key == intent.key
        and row.kind is kind
    ]
    return sorted(since, key=lambda row: (row.at_ms, row.adjust_id))


def starting_points(
    intent: Intent, since: Sequence[HistoryRow]
) -> tuple[tuple[Decimal, ...], tuple[HistoryRow, ...]]:
    """The amounts (coins) that the loan may have held at first, and the rows that come on top of each.

    The amount that the plan was made from is the first. History lags, and a read takes its time: what rows
    from before the signature, or known to the plan, moved may be in `coins_before` already, or not. The
    intent's own row is not.
    """
    read_by = max(intent.observed_at_ms, (intent.signed_at_ms or 0) - EARLY_MS - 1)
    others = [row for row in since if row.adjust_id != intent.adjust_id]
    earlier = [row for row in others if row.at_ms <= read_by or row.adjust_id in intent.seen_ids]
    around = earlier[-BOUNDARY_ROWS:]
    bases = tuple(
        intent.coins_before + sum((row.change for row in subset), Decimal(0))
        for size in range(len(around) + 1)
        for subset in combinations(around, size)
    )
    return bases, tuple(row for row in since if row not in earlier)


def _since_or_shown_late(
    intent: Intent, rows: Iterable[HistoryRow], ours: Collection[str]
) -> list[HistoryRow]:
    """As `rows_since`, and what the plan knew of but may not have been shown. Of `ours` it was."""
    shown = intent.seen_ids.intersection(ours)
    late = rows_since(intent, rows, late_ms=SHOWN_LATE_MS)
    return [row for row in late if row.at_ms > intent.observed_at_ms or row.adjust_id not in shown]


def unexplained_change(
    intent: Intent,
    rows: Iterable[HistoryRow],
    loan: Loan | None,
    siblings: Collection[Decimal] = (),
    ours: Collection[str] = (),
) -> Decimal | None:
    """Coins of collateral (debt) that moved since the plan and that no row of the history explains.

    The intent's own change if that is what moved, alone or with one of `siblings`: changes that other open
    intents of the loan may have made. None where it can't be known: the loan, or its amount, is not shown, or
    a row of as many coins from about the plan explains it just as well. Of `ours`, ids of rows, those that
    the plan knew of are in what it was made from.
    Nothing is left to be explained of a transfer: its row has our own id, or is none of it.
    """
    if intent.direction is Direction.TRANSFER:
        return Decimal(0)
    if loan is None or _is_unread(intent, loan):
        return None
    amount, step = shown_coins(intent, loan)
    since = _since_or_shown_late(intent, rows, ours)
    bases, after = starting_points(intent, since)
    explained = sum((row.change for row in after), Decimal(0))
    readings = [amount - base - explained for base in bases]
    own = (intent.change, *(intent.change + other for other in siblings))
    close = near(step, intent, since)
    as_own = min(
        (abs(value - change) for value in readings for change in own if abs(value - change) <= abs(value)),
        default=None,
    )
    as_none = min(abs(value) for value in readings)
    # The nearer of the two: of a coarse coin, amounts that differ by a step are amounts of different intents.
    if as_own is not None and as_own <= min(close, as_none):
        return intent.change if as_own < as_none else None
    if as_none <= close:
        return Decimal(0)
    return readings[0]


def coins_show(
    intent: Intent, rows: Iterable[HistoryRow], loan: Loan, siblings: Collection[Decimal] = ()
) -> bool:
    """Whether the loan's coins moved by exactly what it moves, and nothing that is known explains it.

    Of an add or a release: what is owed moves by itself.
    `siblings` are changes that other open intents of the loan may have made.
    """
    if intent.direction.kind is not Kind.ADJUSTMENT:
        return False
    amount, step = shown_coins(intent, loan)
    since = rows_since(intent, [row for row in rows if row.adjust_id != intent.adjust_id])
    close = near(step, intent, since)
    bases, after = starting_points(intent, since)
    explained = sum((row.change for row in after), Decimal(0))
    readings = [amount - base - explained for base in bases]
    others = (Decimal(0), *siblings)
    with_it = any(abs(value - intent.change - other) <= close for value in readings for other in others)
    without = any(abs(value - other) <= close for value in readings for other in others)
    return with_it and not without


def collateral_went(intent: Intent, loan: Loan | None) -> bool:
    """Whether less is shown of the collateral that was to pay, which its debt does not show yet."""
    if intent.collateral_coin is None or intent.collateral_before is None or loan is None:
        return False
    held = loan.collateral_in(intent.collateral_coin)
    return held is None or held.unread or held.amount < intent.collateral_before


def confirmed_by_coins(intent: Intent, now: Moment) -> Intent:
    """An accepted one whose coins have moved: as good as confirmed for adding (a transfer: moving) more."""
    transfer = intent.direction is Direction.TRANSFER
    words = {Direction.ADD: SHOWN, Direction.REDUCE: RELEASED}.get(intent.direction, ARRIVED)
    return intent.to(State.CONFIRMED, now.exchange_ms, ret_msg=words, awaits_row=not transfer)


def measured_after(rescue: Intent, first: Intent) -> Intent:
    """The rescue, measured from what was there before `first`, which it rescues and which has landed.

    Its own plan may know of `first` or not: of a coarse coin, whose amounts are equal, nothing else tells.
    """
    return replace(
        rescue,
        coins_before=first.coins_before,
        observed_at_ms=first.observed_at_ms,
        signed_at_ms=first.signed_at_ms,
        seen_ids=first.seen_ids,
    )
