"""Where an adjustment leads: the LTV that belongs to what is shown once it has landed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.amounts.haircuts import most_gain_usd
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Loan
from ltv_guard.core.reconcile.coin_changes import shown_coins

NOISE = Decimal("0.002")  # what rounding, interest and the spread of two prices make of equal LTVs


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedLtv:
    """Where an adjustment leads: the factor by which collateral over debt grew, and the LTV after it.

    `least` is the nearest to 1 of the factors that it is made of.
    """

    moved: Decimal
    ltv: Decimal
    least: Decimal | None = None

    @property
    def is_noise(self) -> bool:
        """Whether it says that nothing was moved."""
        return abs(self.moved - 1) <= NOISE

    @property
    def half(self) -> Decimal:
        """Half of what the least of it moved: an LTV this far off may lack it."""
        return abs((self.least or self.moved) - 1) / 2


def expected_ltv(
    loan: Loan, last: Intent, rows: Sequence[HistoryRow], prices: Mapping[str, Decimal]
) -> ExpectedLtv | None:
    """None where it is not known.

    LTV x collateral is debt / price: it does not depend on the adjustment, only on the market. What coins of
    a pool count for, the exchange tells in the adjustment's own row: LTV before and after. Without that row,
    after a restart whose history can't be read, the journal's own LTVs say nearly the same; and where neither
    tells, or one LTV twice, what its coins are shown to count for. A repayment lowers the LTV as
    the debt: that of an order is one coin's, that of a pool takes the coin's price.
    """
    if last.direction is Direction.REPAY:
        return _repaid_to(loan, last, prices)
    composition = composition_of(loan)
    if not composition.sized_by_prices:
        amount, _ = shown_coins(last, loan)
        if amount <= 0 or last.coins_before <= 0 or last.ltv_before <= 0:
            return None
        moved = amount / last.coins_before
        return ExpectedLtv(moved=moved, ltv=last.ltv_before / moved)
    own = own_row(last, rows)
    before, after = (own.ltv_before, own.ltv_after) if own else (last.ltv_before, last.ltv_after)
    by_value = _led_by_value(loan, last, composition.total)
    if not (before and after):
        return by_value
    told = ExpectedLtv(moved=before / after, ltv=after)
    return by_value if by_value is not None and told.is_noise else told


def counts_for_nothing(loan: Loan, last: Intent) -> bool:
    """Whether a pool shows coins that were added to it, and that none of them counts (yet)."""
    held = loan.collateral_in(last.coin)
    sized_by_value = composition_of(loan).sized_by_prices and last.direction is Direction.ADD
    return sized_by_value and held is not None and held.amount > 0 and held.value_usd == 0


def own_row(last: Intent, rows: Sequence[HistoryRow]) -> HistoryRow | None:
    """Its row, where a history shows it as carried out: what one that failed says of LTVs leads nowhere."""
    own = (row for row in rows if row.key == last.key and row.adjust_id == last.adjust_id)
    return next((row for row in own if row.status is RowStatus.SUCCESS), None)


def _led_by_value(loan: Loan, last: Intent, counted: Decimal) -> ExpectedLtv | None:
    """Where a pool was led by what its coins are shown to count for, where no row tells of its LTVs."""
    held = loan.collateral_in(last.coin)
    if held is None or held.amount <= 0 or not held.value_usd or last.ltv_before <= 0:
        return None
    before = counted - held.value_usd * last.change / held.amount
    if before <= 0 or counted <= 0:
        return None
    return ExpectedLtv(moved=counted / before, ltv=last.ltv_before * before / counted)


def _repaid_to(loan: Loan, last: Intent, prices: Mapping[str, Decimal]) -> ExpectedLtv | None:
    before, after = composition_of(loan).repaid(last.coin, last.amount, last.coins_before, prices)
    if before <= 0 or after <= 0 or last.ltv_before <= 0:
        return None
    left = _left_of_collateral(loan, last, prices)
    return ExpectedLtv(moved=before / after * left, ltv=last.ltv_before * after / before / left)


def _left_of_collateral(loan: Loan, last: Intent, prices: Mapping[str, Decimal]) -> Decimal:
    """The share of its counted collateral that a repayment left: all of it, where the wallet paid.

    Without the fee, which is not known: it moves the LTV by less than it may stray.
    """
    held = loan.collateral_in(last.collateral_coin or "")
    price, worth = prices.get(last.collateral_coin or ""), last.amount * prices.get(last.coin, Decimal(0))
    composition = composition_of(loan)
    if held is None or not price or composition.total <= 0:
        return Decimal(1)
    holding = composition.holding(held, prices)
    lost = worth if holding is None else most_gain_usd(holding, worth / price)
    return composition.total / (composition.total + lost)


def expected_of_both(first: Intent, one: ExpectedLtv, other: ExpectedLtv | None) -> ExpectedLtv:
    """Where an adjustment and its rescue lead together, from what was there before `first` of them."""
    if other is None or first.ltv_before <= 0:
        return one
    moved = one.moved * other.moved
    least = min(one.moved, other.moved, key=lambda factor: abs(factor - 1))
    return ExpectedLtv(moved=moved, ltv=first.ltv_before / moved, least=least)
