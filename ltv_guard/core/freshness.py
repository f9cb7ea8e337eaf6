"""Whether what is shown of a loan already includes what happened to it last. Pure.

The exchange may show old collateral, or new collateral beside an old LTV, for seconds after an adjustment.
Acting on either adds or releases a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from ltv_guard.core.intents import Intent
from ltv_guard.core.loans import Direction, HistoryRow, Loan, Moment
from ltv_guard.core.settlement import rows_since

# How far the LTV may stray from what collateral or prices imply. In a crash quoted prices part: after an add,
# where being wrong adds too much, the loan may not be left alone for that; after a release it may.
CONTINUOUS = {Direction.ADD: Decimal("0.08"), Direction.REDUCE: Decimal("0.03")}
NOISE = Decimal("0.002")  # what rounding, interest and the spread of two prices make of equal LTVs
BOUNDARY_ROWS = 4  # so many rows around the first sight are tried in every combination


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """`fresh`, or why the snapshot does not count for the loan yet."""

    fresh: bool
    why: str = ""


FRESH = Freshness(fresh=True)


def judge(
    loan: Loan,
    read_began: Moment,
    last: Intent,
    rows: Sequence[HistoryRow],
    prices: Mapping[str, Decimal] | None,
) -> Freshness:
    """Whether `loan`, read from `read_began` on, shows everything up to `last`, its latest landed intent.

    `rows` is the history, read after the loan; `prices` are USD per coin, or None where they could not be
    read.
    """
    held = loan.collateral_in(last.coin)
    if held is None:
        return FRESH
    if read_began.exchange_ms < last.updated_at_ms and last.is_open:
        return Freshness(fresh=False, why="it was read before the last adjustment was accepted")
    if _shows_only_a_part(held.amount, held.step, last, rows):
        return Freshness(fresh=False, why="it shows the collateral from before the last change")
    if not _ltv_moved_along(loan, held.amount, last, prices):
        return Freshness(fresh=False, why="its LTV has not followed its collateral yet")
    return FRESH


def _shows_only_a_part(amount: Decimal, step: Decimal, last: Intent, rows: Sequence[HistoryRow]) -> bool:
    """Whether `amount` is what the loan held after some, and not all, of the rows since the plan.

    Rows that are older than the read the plan was made from may already be in `collateral_before`: history
    lags. Either reading of them is accepted; the row of `last` itself came after, whatever its time says.
    An amount that fits no reading was changed by somebody else (a partial liquidation): that is new, not old.
    """
    since = rows_since(last, rows)
    own = last.adjust_id
    boundary = [row for row in since if row.at_ms <= last.observed_at_ms and row.adjust_id != own]
    boundary = boundary[-BOUNDARY_ROWS:]
    after = [row for row in since if row not in boundary]
    bases = [
        last.collateral_before + sum((row.change for row in subset), Decimal(0))
        for size in range(len(boundary) + 1)
        for subset in combinations(boundary, size)
    ]
    partial_sums = [sum((row.change for row in after[:count]), Decimal(0)) for count in range(len(after) + 1)]
    whole = {base + partial_sums[-1] for base in bases}
    parts = {base + part for base in bases for part in partial_sums[:-1]}
    if any(abs(amount - value) <= step for value in whole):
        return False
    return any(abs(amount - value) <= step for value in parts)


def _ltv_moved_along(loan: Loan, amount: Decimal, last: Intent, prices: Mapping[str, Decimal] | None) -> bool:
    """Whether the LTV belongs to this collateral: continuous with before, or as prices imply.

    LTV x collateral is debt / price: it does not depend on the adjustment, only on the market.
    """
    if amount <= 0 or last.collateral_before <= 0 or last.ltv_before <= 0:
        return True
    moved = amount / last.collateral_before
    if abs(moved - 1) <= NOISE:
        return True
    tolerance = max(NOISE, min(CONTINUOUS[last.direction], abs(moved - 1) / 2))
    if abs(loan.ltv * moved / last.ltv_before - 1) <= tolerance:
        return True
    implied = implied_ltv(loan, prices)
    if implied is None:
        return _market_explains_it(loan.ltv, moved, last)
    return abs(loan.ltv / implied - 1) <= tolerance


def _market_explains_it(ltv: Decimal, moved: Decimal, last: Intent) -> bool:
    """Without prices: an LTV beyond where the adjustment alone would bring it, on the far side of before."""
    followed = last.ltv_before / moved
    if last.direction is Direction.ADD:
        return ltv < followed
    return ltv > followed


def implied_ltv(loan: Loan, prices: Mapping[str, Decimal] | None) -> Decimal | None:
    """Debt over collateral at market prices, without haircuts; None where a price is missing."""
    if prices is None:
        return None
    coins = {debt.coin for debt in loan.debts} | {item.coin for item in loan.collateral}
    if not coins <= prices.keys():
        return None
    debt = sum((item.amount * prices[item.coin] for item in loan.debts), Decimal(0))
    value = sum((item.amount * prices[item.coin] for item in loan.collateral), Decimal(0))
    return debt / value if value > 0 and debt > 0 else None
