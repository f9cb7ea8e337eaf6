"""Whether what is shown of a loan already includes what happened to it last. Pure.

The exchange may show old collateral, or new collateral beside an old LTV, for seconds after an adjustment.
Acting on either adds or releases a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.haircuts import Holding, Unit, counted_usd
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Collateral, Debt, Direction, HistoryRow, Loan, Moment
from ltv_guard.core.reconcile.balance_match import BalanceMatch, digit_of, match, with_believed_change
from ltv_guard.core.reconcile.settlement import shown_coins

# How far the LTV may stray from what collateral or prices imply. In a crash quoted prices part: after an add,
# where being wrong adds too much, the loan may not be left alone for that; after a release it may.
CONTINUOUS = {
    Direction.ADD: Decimal("0.08"),
    Direction.REDUCE: Decimal("0.03"),
    Direction.REPAY: Decimal("0.05"),
}
NOISE = Decimal("0.002")  # what rounding, interest and the spread of two prices make of equal LTVs
# Facts from before an add (repayment) of no more than this do no harm worth leaving the loan alone for long.
HARMLESS = Decimal("0.03")


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """`fresh`, or why the snapshot does not count for the loan yet.

    `collateral_is_new`: it shows the coins as they are, and only its LTV is in doubt; `harmless`: the LTV of
    before would make another add (repayment) no larger than a few hundredths. `is_old`: it shows the coins of
    before, exactly.
    """

    fresh: bool
    why: str = ""
    collateral_is_new: bool = False
    harmless: bool = False
    is_old: bool = False


FRESH = Freshness(fresh=True)


def judge(
    loan: Loan,
    read_began: Moment,
    last: Intent,
    rows: Sequence[HistoryRow],
    prices: Mapping[str, Decimal] | None,
    *,
    steady: bool = True,
    beside: Intent | None = None,
) -> Freshness:
    """Whether `loan`, read from `read_began` on, shows everything up to `last`, its latest landed intent.

    `rows` is the history, read after the loan; `prices` are USD per coin, or None where they could not be
    read. `steady`: the same amount of coins has been shown for longer than old facts can be. `beside`: the
    rescue of `last`, or what it is the rescue of, if that landed too: neither plan may know of the other.
    """
    if read_began.exchange_ms < last.updated_at_ms and last.is_open:
        return Freshness(fresh=False, why="it was read before the last adjustment was accepted")
    doubt = doubted_coins(loan, last, rows, steady=steady)
    if doubt is not None:
        return doubt
    led = _led_to(loan, last, rows, prices or {})
    if led is not None and beside is not None and _is_told_apart(loan, beside, last):
        first = last if beside.rescue_of == last.intent_id else beside
        led = _led_by_both(first, led, _led_to(loan, beside, rows, prices or {}))
    if led is None or _follows(loan, led, last, prices):
        return FRESH
    return Freshness(
        fresh=False,
        why="its LTV has not followed its collateral yet",
        collateral_is_new=True,
        harmless=last.direction is not Direction.REDUCE and led.moved - 1 <= HARMLESS,
    )


def doubted_coins(
    loan: Loan, last: Intent, rows: Sequence[HistoryRow], *, steady: bool, later: Intent | None = None
) -> Freshness | None:
    """Why the coins (of collateral, or owed) are not believed after `last`, which landed; None: they are.

    `later`: what was planned since, of the same coin, on facts that were believed (`planned_since`).
    """
    what = "debt" if last.direction is Direction.REPAY else "collateral"
    shown, step = shown_coins(last, loan)
    step = step or digit_of(last)
    shows = match(shown, step, last, with_believed_change(last, later, step, rows))
    if shows is BalanceMatch.PART:
        return Freshness(fresh=False, why=f"it shows the {what} from before the last change", is_old=True)
    if shows is BalanceMatch.NEITHER and not steady:
        return Freshness(fresh=False, why=f"its {what} changed, and no row of the history tells how")
    return None


def shows_before(loan: Loan, last: Intent, rows: Sequence[HistoryRow], later: Intent | None = None) -> bool:
    """Whether the loan is shown exactly as it was before `last`, which landed.

    A debt is only told to within its interest, and may be borrowed anew: its LTV has to be the old one, too.
    """
    doubt = doubted_coins(loan, last, rows, steady=True, later=later)
    if doubt is None or not doubt.is_old:
        return False
    if last.direction is not Direction.REPAY:
        return True
    return last.ltv_before > 0 and abs(loan.ltv / last.ltv_before - 1) <= NOISE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedLtv:
    """Where an adjustment leads: the factor by which collateral over debt grew, and the LTV after it.

    `least` is the nearest to 1 of the factors that it is made of.
    """

    moved: Decimal
    ltv: Decimal
    least: Decimal | None = None

    @property
    def half(self) -> Decimal:
        """Half of what the least of it moved: an LTV this far off may lack it."""
        return abs((self.least or self.moved) - 1) / 2


def _is_told_apart(loan: Loan, one: Intent, other: Intent) -> bool:
    """Whether each of the two moved the LTV by a factor of its own: an order's coins tell of both adds."""
    if Direction.REDUCE in {one.direction, other.direction}:
        return False
    return loan.totals is not None or one.channel != other.channel


def _led_by_both(first: Intent, one: ExpectedLtv, other: ExpectedLtv | None) -> ExpectedLtv:
    """Where an adjustment and its rescue lead together, from what was there before `first` of them."""
    if other is None or first.ltv_before <= 0:
        return one
    moved = one.moved * other.moved
    least = min(one.moved, other.moved, key=lambda factor: abs(factor - 1))
    return ExpectedLtv(moved=moved, ltv=first.ltv_before / moved, least=least)


def _led_to(
    loan: Loan, last: Intent, rows: Sequence[HistoryRow], prices: Mapping[str, Decimal]
) -> ExpectedLtv | None:
    """None where it is not known.

    LTV x collateral is debt / price: it does not depend on the adjustment, only on the market. What coins of
    a pool count for, the exchange tells in the adjustment's own row: LTV before and after. Without that row,
    after a restart whose history can't be read, the journal's own LTVs say nearly the same. A repayment
    lowers the LTV as the debt: that of an order is one coin's, that of a pool takes the coin's price.
    """
    if last.direction is Direction.REPAY:
        return _repaid_to(loan, last, prices)
    if loan.totals is None:
        amount, _ = shown_coins(last, loan)
        if amount <= 0 or last.coins_before <= 0 or last.ltv_before <= 0:
            return None
        moved = amount / last.coins_before
        return ExpectedLtv(moved=moved, ltv=last.ltv_before / moved)
    own = next((row for row in rows if row.key == last.key and row.adjust_id == last.adjust_id), None)
    before, after = (own.ltv_before, own.ltv_after) if own else (last.ltv_before, last.ltv_after)
    if before and after:
        return ExpectedLtv(moved=before / after, ltv=after)
    return _led_by_value(loan, last, loan.totals.collateral_usd) if last.awaits_row else None


def _led_by_value(loan: Loan, last: Intent, counted: Decimal) -> ExpectedLtv | None:
    """Where a pool was led by what its coins are shown to count for, where no row tells of it yet."""
    held = loan.collateral_in(last.coin)
    if held is None or held.amount <= 0 or not held.value_usd or last.ltv_before <= 0:
        return None
    before = counted - held.value_usd * last.change / held.amount
    if before <= 0 or counted <= 0:
        return None
    return ExpectedLtv(moved=counted / before, ltv=last.ltv_before * before / counted)


def _repaid_to(loan: Loan, last: Intent, prices: Mapping[str, Decimal]) -> ExpectedLtv | None:
    owed, _ = shown_coins(last, loan)
    if loan.totals is None:
        before, after = last.coins_before, owed
    else:
        after = loan.totals.debt_usd
        # Without its price the debt counts as if it were the pool's only one: it may not seem unmoved.
        price = prices.get(last.coin) or (after / owed if owed > 0 else Decimal(0))
        before = after + last.amount * price
    if before <= 0 or after <= 0 or last.ltv_before <= 0:
        return None
    return ExpectedLtv(moved=before / after, ltv=last.ltv_before * after / before)


def _follows(loan: Loan, led: ExpectedLtv, last: Intent, prices: Mapping[str, Decimal] | None) -> bool:
    """Whether the LTV belongs to this collateral: where the adjustment leads, or as prices imply."""
    if abs(led.moved - 1) <= NOISE:
        return True
    half = min(CONTINUOUS[last.direction], led.half)
    if abs(loan.ltv / led.ltv - 1) <= half:
        return True
    implied = implied_ltvs(loan, prices, last.coin)
    lowers = last.direction is not Direction.REDUCE
    as_we_moved_it = (led.moved > 1) is lowers
    beyond = loan.ltv < led.ltv if lowers else loan.ltv > led.ltv
    if beyond and (not implied or (as_we_moved_it and (lowers or _is_near(loan.ltv, implied)))):
        return True  # it is not that of before, and asks for no more of the same
    return any(abs(loan.ltv / ltv - 1) <= half for ltv in implied)


def _is_near(ltv: Decimal, implied: Sequence[Decimal]) -> bool:
    """Whether prices bear out, as far as they do in a crash, an LTV that asks to add what was released."""
    return ltv <= max(implied) * (1 + CONTINUOUS[Direction.ADD])


def implied_ltvs(loan: Loan, prices: Mapping[str, Decimal] | None, coin: str) -> list[Decimal]:
    """Debt over collateral at market prices; none where a price is missing.

    In a pool `coin` counts as its tiers may be read, which can make two; the other coins for what is shown.
    """
    if prices is None:
        return []
    held = [item for item in loan.collateral if item.amount > 0]
    if loan.totals is None:
        debt, value = _worth(loan.debts, prices), _worth(held, prices)
        values = [] if value is None else [value]
    else:
        # An adjustment does not touch what is owed: where a debt has no price, what is shown of it will do.
        debt = _worth(loan.debts, prices) or loan.totals.debt_usd
        if any(item.unread or item.value_usd is None for item in loan.collateral if item.coin != coin):
            return []
        others = sum((item.value_usd or Decimal(0) for item in held if item.coin != coin), Decimal(0))
        own = next((item for item in held if item.coin == coin), None)
        values = [others + value for value in _counted(own, prices)]
    return [debt / value for value in values if value > 0 and debt is not None and debt > 0]


def _worth(items: Sequence[Collateral | Debt], prices: Mapping[str, Decimal]) -> Decimal | None:
    """USD of all of them; None where a price, or an amount, is missing."""
    if any(isinstance(item, Debt) and item.unread for item in items):
        return None
    if not {item.coin for item in items} <= prices.keys():
        return None
    return sum((item.amount * prices[item.coin] for item in items), Decimal(0))


def _counted(held: Collateral | None, prices: Mapping[str, Decimal]) -> list[Decimal]:
    """What the coins may count for in a pool; nothing where their price or terms are missing."""
    if held is None:
        return [Decimal(0)]
    if prices.get(held.coin, Decimal(0)) <= 0 or not held.tiers:
        return []
    holding = Holding(amount=held.amount, price_usd=prices[held.coin], tiers=held.tiers)
    return [counted_usd(holding, held.amount, unit) for unit in Unit]
