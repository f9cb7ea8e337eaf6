"""What a repayment with collateral really took, held against what had been reckoned with. Pure.

No answer and no row tells: (v5/new-crypto-loan/flexible/repay-collateral) the collateral does, and prices.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Debt, Direction, Loan
from ltv_guard.core.reconcile.coin_changes import BOUNDARY_ROWS, SHOWN_LATE_MS, shown_coins
from ltv_guard.core.reconcile.freshness import GROWTH

DIGITS = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """`sold` coins of collateral went for `repaid` coins of debt, for a `fee` of so great a part of that.

    The least that the prices of before and after tell: between the two they may have been others.
    """

    repaid: Decimal
    sold: Decimal
    fee: Decimal
    cost_usd: Decimal


def charge_of(
    intent: Intent,
    loan: Loan,
    rows: Collection[HistoryRow],
    prices: Collection[Mapping[str, Decimal]],
    debts: Collection[Debt] = (),
) -> Charge | None:
    """None where it can't be told. `loan` is shown with the repayment in it, `rows` are all of its rows.

    `debts`: what it was planned on, as far as that is known.
    """
    held = loan.collateral_in(intent.collateral_coin or "")
    if held is None or held.unread or intent.collateral_before is None:
        return None
    since = [
        row for row in rows if row.at_ms > intent.observed_at_ms and row.adjust_id not in intent.seen_ids
    ]
    if any(_may_have_sold(row, intent) for row in since) or _owes_less_than_told(intent, loan, since):
        return None
    if any(_another_is_repaid(debt, intent, loan, since) for debt in debts):
        return None
    moved = sum((row.change for row in since if _moves(row, held.coin)), Decimal(0))
    own = next((row.amount for row in since if row.adjust_id == intent.adjust_id), intent.amount)
    left = intent.collateral_before + moved - held.amount
    maybe = _maybe_not_shown(intent, held.coin, rows)
    subsets = (subset for size in range(len(maybe) + 1) for subset in combinations(maybe, size))
    found = (_at(prices, held.coin, left + sum(subset), intent.coin, own) for subset in subsets)
    likely = min(filter(None, found), key=lambda item: abs(item[0]), default=None)
    return likely[1] if likely is not None else None


def _maybe_not_shown(intent: Intent, coin: str, rows: Iterable[HistoryRow]) -> list[Decimal]:
    """What moved the collateral right before the plan, which may have been made from what was shown late."""
    latest = intent.observed_at_ms
    late = (
        row
        for row in rows
        if _moves(row, coin)
        and latest - SHOWN_LATE_MS < row.at_ms
        and (row.at_ms <= latest or row.adjust_id in intent.seen_ids)
    )
    return [row.change for row in sorted(late, key=lambda row: row.at_ms)][-BOUNDARY_ROWS:]


def _at(
    prices: Iterable[Mapping[str, Decimal]], paid_with: str, sold: Decimal, coin: str, own: Decimal
) -> tuple[Decimal, Charge] | None:
    """The least fee that the prices tell, which may be below zero, and what it comes to."""
    fees = [
        (sold * known[paid_with] / (own * known[coin]) - 1, own * known[coin])
        for known in prices
        if known.get(paid_with, Decimal(0)) > 0 and known.get(coin, Decimal(0)) > 0
    ]
    if not fees or sold <= 0 or own <= 0:
        return None
    least, worth = min(fees)
    fee = max(Decimal(0), least).quantize(DIGITS)
    return least, Charge(repaid=own, sold=sold, fee=fee, cost_usd=(fee * worth).quantize(Decimal("0.01")))


def _owes_less_than_told(intent: Intent, loan: Loan, since: Iterable[HistoryRow]) -> bool:
    """Whether what has no row yet, or none at all, has paid debt too: it may have sold collateral."""
    owed, drift = shown_coins(intent, loan)
    known = [row for row in since if row.coin == intent.coin and row.kind is intent.channel.kind]
    told = sum((row.change for row in known), Decimal(0))
    if all(row.adjust_id != intent.adjust_id for row in known):
        told += intent.change
    return owed < intent.coins_before + told - drift


def _another_is_repaid(before: Debt, intent: Intent, loan: Loan, since: Iterable[HistoryRow]) -> bool:
    """Whether less is owed, in another coin or the other way, than what rows tell was repaid of it."""
    after = loan.debt_in(before.coin)
    if before.unread or (after is not None and after.unread):
        return False
    for fixed in (False, True):
        if before.coin == intent.coin and fixed is (intent.contract_id is not None):
            continue
        rows = [row for row in since if row.coin == before.coin and row.fixed is fixed]
        told = sum((row.change for row in rows if row.direction is Direction.REPAY), Decimal(0))
        was, owed = before.part(fixed=fixed), after.part(fixed=fixed) if after else Decimal(0)
        if owed < was * (1 - GROWTH) + told:
            return True
    return False


def _moves(row: HistoryRow, coin: str) -> bool:
    return row.coin == coin and row.direction in {Direction.ADD, Direction.REDUCE}


def _may_have_sold(row: HistoryRow, intent: Intent) -> bool:
    """Whether it is another repayment that collateral may have paid."""
    return row.with_collateral is not False and row.adjust_id != intent.adjust_id
