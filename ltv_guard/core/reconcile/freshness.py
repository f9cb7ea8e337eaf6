"""Whether what is shown of a loan already includes what happened to it last. Pure.

The exchange may show old collateral, or new collateral beside an old LTV, for seconds after an adjustment.
Acting on either adds or releases a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Loan
from ltv_guard.core.reconcile.balance_match import BalanceMatch, digit_of, match, with_believed_change
from ltv_guard.core.reconcile.coin_changes import shown_coins
from ltv_guard.core.reconcile.expected_ltv import (
    NOISE,
    ExpectedLtv,
    counts_for_nothing,
    expected_ltv,
    expected_of_both,
    own_row,
)
from ltv_guard.core.reconcile.plausibility import APART, parted

# How far the LTV may stray from what collateral or prices imply. In a crash quoted prices part: after an add,
# where being wrong adds too much, the loan may not be left alone for that; after a release it may.
CONTINUOUS = {
    Direction.ADD: Decimal("0.08"),
    Direction.REDUCE: Decimal("0.03"),
    Direction.REPAY: Decimal("0.05"),
}
GROWTH = Decimal("0.00005")  # of a debt: no interest of ten minutes is more
# Facts from before an add (repayment) of no more than this do no harm worth leaving the loan alone for long.
HARMLESS = Decimal("0.03")


class Doubt(StrEnum):
    """Why what is shown of a loan does not count yet."""

    LTV_LAGS = "ltv_lags"
    OLD_COLLATERAL = "old_collateral"
    OLD_DEBT = "old_debt"
    UNTOLD_COLLATERAL = "untold_collateral"
    UNTOLD_DEBT = "untold_debt"
    DEFECT = "defect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """Whether the snapshot counts for the loan, or what speaks against it.

    `collateral_is_new`: it shows the coins as they are, and only its LTV is in doubt; `harmless`: the LTV of
    before would make another add (repayment) no larger than a few hundredths. `is_old`: it shows the coins of
    before, exactly. `is_uncounted`: what was added counts for nothing yet, so the LTV lacks it. `as_led`:
    its LTV fits the adjustment, and only prices, or a leap, speak against it; `as_before`: by how much the
    adjustment moved the LTV, where it fits, but is to the last digit the one of before, as it was planned on
    or as its row tells it: unless the price is known to have moved, it lags.
    """

    doubt: Doubt | None = None
    collateral_is_new: bool = False
    harmless: bool = False
    is_old: bool = False
    is_uncounted: bool = False
    as_led: bool = False
    as_before: Decimal | None = None

    @property
    def fresh(self) -> bool:
        """Whether what is shown counts."""
        return self.doubt is None

    def as_lagging(self) -> Freshness:
        """The same, but that the LTV is one of before."""
        return replace(self, doubt=Doubt.LTV_LAGS, collateral_is_new=True, as_led=False)


FRESH = Freshness()
UNCOUNTED = Freshness(doubt=Doubt.LTV_LAGS, collateral_is_new=True, is_uncounted=True)


def doubted_ltv(
    loan: Loan,
    last: Intent,
    rows: Sequence[HistoryRow],
    prices: Mapping[str, Decimal] | None,
    *,
    beside: Intent | None = None,
) -> Freshness:
    """Whether the LTV of `loan` is of after `last`, which landed, beside coins that are believed.

    `rows` is the history, read after the loan; `prices` are USD per coin, or None where they could not be
    read. `beside`: the rescue of `last`, or what it is the rescue of, if that landed too: neither plan may
    know of the other.
    """
    led = expected_ltv(loan, last, rows, prices or {})
    if led is not None and beside is not None and _is_told_apart(loan, beside, last):
        first = last if beside.rescue_of == last.intent_id else beside
        led = expected_of_both(first, led, expected_ltv(loan, beside, rows, prices or {}))
    if led is None:
        return UNCOUNTED if counts_for_nothing(loan, last) else FRESH
    follows = _follows(loan, led, last, prices)
    is_back = follows and not led.is_noise and _is_that_of_before(loan, last, rows)
    as_before = abs(led.moved - 1) if is_back else None
    if follows and not _came_there_by_chance(loan, led, last, prices):
        return Freshness(as_before=as_before)
    return Freshness(
        doubt=Doubt.LTV_LAGS,
        collateral_is_new=True,
        as_led=follows,
        as_before=as_before,
        harmless=last.direction is not Direction.REDUCE and led.moved - 1 <= HARMLESS,
    )


def doubted_coins(
    loan: Loan, last: Intent, rows: Sequence[HistoryRow], *, steady: bool, later: Intent | None = None
) -> Freshness | None:
    """Why the coins (of collateral, or owed) are not believed after `last`, which landed; None: they are.

    `steady`: the same amount of coins has been shown for longer than old facts can be. `later`: what was
    planned since, of the same coin, on facts that were believed (`planned_since`).
    What is borrowed has no row: of as much as was repaid after `last` it looks as if that were not shown yet.
    """
    owed = last.direction is Direction.REPAY
    shown, step = shown_coins(last, loan)
    step = step or digit_of(last)
    shows = match(shown, step, last, with_believed_change(last, later, step, rows))
    if shows is BalanceMatch.PART or (shows is BalanceMatch.LATER and not (owed and steady)):
        return Freshness(doubt=Doubt.OLD_DEBT if owed else Doubt.OLD_COLLATERAL, is_old=True)
    if shows is BalanceMatch.NEITHER and not steady:
        return Freshness(doubt=Doubt.UNTOLD_DEBT if owed else Doubt.UNTOLD_COLLATERAL)
    return None


def sold_since(loan: Loan, last: Intent, landed: Sequence[Intent]) -> bool:
    """Whether a repayment of ours took collateral that `last` had moved: how much of it, no row tells.

    It was planned on coins that were believed by then, and fewer are shown.
    """
    held = loan.collateral_in(last.coin)
    return held is not None and any(
        item.collateral_coin == last.coin
        and item.created_at_ms >= last.updated_at_ms
        and held.amount < (item.collateral_before or 0)
        for item in landed
    )


def shows_before(loan: Loan, last: Intent, rows: Sequence[HistoryRow], later: Intent | None = None) -> bool:
    """Whether the loan is shown exactly as it was before `last`, which landed.

    A debt is only told to within its interest, and may be borrowed anew: its LTV has to be the old one, too,
    or the debt that of before to within the interest of ten minutes. The LTV of before the plan was another.
    """
    doubt = doubted_coins(loan, last, rows, steady=True, later=later)
    if doubt is None or not doubt.is_old:
        return False
    if last.direction is not Direction.REPAY:
        return True
    if last.ltv_before > 0 and abs(loan.ltv / last.ltv_before - 1) <= NOISE:
        return True
    owed, _ = shown_coins(last, loan)
    return last.coins_before * (1 - GROWTH) <= owed <= last.coins_before


def _is_told_apart(loan: Loan, one: Intent, other: Intent) -> bool:
    """Whether each of the two moved the LTV by a factor of its own: an order's coins tell of both adds."""
    if Direction.REDUCE in {one.direction, other.direction}:
        return False
    return composition_of(loan).sized_by_prices or one.channel != other.channel


def _follows(loan: Loan, led: ExpectedLtv, last: Intent, prices: Mapping[str, Decimal] | None) -> bool:
    """Whether the LTV belongs to this collateral: where the adjustment leads, or as prices imply."""
    if led.is_noise:
        return True
    half = min(CONTINUOUS[last.direction], led.half)
    if abs(loan.ltv / led.ltv - 1) <= half:
        return True
    implied = composition_of(loan).implied_ltvs(last.coin, prices)
    lowers = last.direction is not Direction.REDUCE
    as_we_moved_it = (led.moved > 1) is lowers
    beyond = loan.ltv < led.ltv if lowers else loan.ltv > led.ltv
    if beyond and (not implied or (as_we_moved_it and (lowers or _is_near(loan.ltv, implied)))):
        return True  # it is not the LTV of before, and asks for no second adjustment of this kind
    return any(abs(loan.ltv / ltv - 1) <= half for ltv in implied)


def _is_that_of_before(loan: Loan, last: Intent, rows: Sequence[HistoryRow]) -> bool:
    """Whether the LTV is to the last digit the one that `last` was planned on, or that its row begins with.

    The two differ where prices moved, or another's hand did, after what it was planned on: a debt that is
    shown late knows nothing of that hand, and may bear the latter out.
    """
    own = own_row(last, rows)
    told = None if own is None else own.ltv_before
    rounded = composition_of(loan).quoted_to
    return loan.ltv == last.ltv_before or (told is not None and abs(loan.ltv - told) < rounded)


def _came_there_by_chance(
    loan: Loan, led: ExpectedLtv, last: Intent, prices: Mapping[str, Decimal] | None
) -> bool:
    """Whether the LTV, which fits the adjustment, may yet be one of before: it is farther off than any crash.

    From what prices say, towards more of what was just done. After a repayment, which can't be undone, it is
    farther off than it may stray from them, or, without prices, than any crash from where that leads. An
    adjustment that was planned on an LTV of minutes ago leads, by chance, near or above one of seconds ago.
    """
    if led.is_noise:
        return False
    implied = composition_of(loan).implied_ltvs(last.coin, prices)
    if not implied:
        return last.direction is Direction.REPAY and parted(loan.ltv, led.ltv) > APART
    if last.direction is Direction.REDUCE:
        return loan.ltv * APART < min(implied)
    apart = 1 + CONTINUOUS[Direction.REPAY] if last.direction is Direction.REPAY else APART
    return loan.ltv > max(implied) * apart


def _is_near(ltv: Decimal, implied: Sequence[Decimal]) -> bool:
    """Whether prices, as far as they stray in a crash, confirm an LTV that asks for the coins back."""
    return ltv <= max(implied) * (1 + CONTINUOUS[Direction.ADD])
