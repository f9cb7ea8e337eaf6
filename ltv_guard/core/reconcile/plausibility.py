"""Whether a loan's own amounts and prices bear its LTV out, and what may be done where they don't. Pure.

One number that is wrong must cost only itself: it lifts no limit, releases nothing, and makes no more leave
than the ordinary caps allow. In a crash quoted prices stray from the exchange's own: an LTV within a tenth of
what prices say is borne out, and one within a quarter counts once a second read shows it, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.model.loans import Loan

NEAR = Decimal("1.10")  # quoted prices part by so much in an ordinary crash
APART = Decimal("1.25")  # beyond it no crash explains what is shown
STEPS = 10  # where two readings contradict each other, a step is at least this part of the greater


class Bearing(StrEnum):
    """How an LTV agrees with what the same read says of the loan's amounts, and with prices."""

    BORNE_OUT = "borne_out"
    DOUBTFUL = "doubtful"
    CONTRADICTED = "contradicted"
    UNKNOWN = "unknown"


def bearing(loan: Loan, prices: Mapping[str, Decimal] | None) -> Bearing:
    """How the loan's LTV agrees with its own amounts and prices, the worst of them."""
    return _borne_out_by(composition_of(loan).own_ltvs(prices), loan.ltv)


def _borne_out_by(own: Sequence[Decimal], shown: Decimal) -> Bearing:
    if not own:
        return Bearing.UNKNOWN
    apart = max(parted(shown, ltv) for ltv in own)
    if apart <= NEAR:
        return Bearing.BORNE_OUT
    return Bearing.DOUBTFUL if apart <= APART else Bearing.CONTRADICTED


def parted(one: Decimal, other: Decimal) -> Decimal:
    """The factor between the two: 1 where they are the same, infinite beside nothing."""
    low, high = sorted((one, other))
    if low <= 0:
        return Decimal(1) if high == low else Decimal("Infinity")
    return high / low


def lifts_limits(
    loan: Loan, before: Loan | None, prices: Mapping[str, Decimal] | None, emergency: Decimal
) -> bool:
    """Whether an emergency LTV is one: its own numbers say so as well, or the read `before` showed the same.

    A second read can't bear out what the loan's own amounts contradict.
    """
    own = composition_of(loan).own_ltvs(prices)
    if own and all(emergency <= ltv <= loan.liquidation_ltv * APART for ltv in own):
        return True
    found = _borne_out_by(own, loan.ltv)
    if found is Bearing.BORNE_OUT:
        return True
    again = before is not None and parted(before.ltv, loan.ltv) <= NEAR
    return again and found is not Bearing.CONTRADICTED


def may_release(loan: Loan, before: Loan | None, prices: Mapping[str, Decimal] | None) -> bool:
    """Whether a low LTV is believed so far that collateral may go. What is released too much is gone."""
    own = composition_of(loan).own_ltvs(prices)
    if not own:
        return loan.ltv > 0 and before is not None and parted(before.ltv, loan.ltv) <= NEAR
    return max(own) <= loan.ltv * NEAR


def hides_a_breach(loan: Loan, prices: Mapping[str, Decimal] | None, trigger: Decimal) -> bool:
    """Whether an LTV below the trigger is contradicted by all else that is known of the loan.

    In a pool two sums stand against one number. In an order an LTV of 0 alone is odd beyond doubt: its sums
    may be as wrong as its LTV.
    """
    if loan.ltv >= trigger:
        return False
    composition = composition_of(loan)
    own = composition.own_ltvs(prices)
    return (
        composition.outvotes(own)
        and all(trigger <= ltv <= loan.liquidation_ltv * APART for ltv in own)
        and _borne_out_by(own, loan.ltv) is Bearing.CONTRADICTED
    )


def as_it_reckons(loan: Loan, prices: Mapping[str, Decimal] | None) -> Loan:
    """The loan with the LTV that its own numbers give, and at most with its liquidation LTV."""
    return replace(loan, ltv=min(max(composition_of(loan).own_ltvs(prices)), loan.liquidation_ltv))


def careful_need(
    loan: Loan, prices: Mapping[str, Decimal] | None, *, target: Decimal, lowest: Decimal
) -> Decimal:
    """What to add in one step where LTV, amounts and prices contradict each other; 0 if it is there.

    An LTV beyond liquidation is no living loan's, and counts as liquidation. What is missing is reckoned
    twice, by the collateral that is shown and by the debt, for one wrong number spoils only one of the two.
    The smaller result is taken, but no less than a tenth of the larger: the smaller may be the wrong one, and
    the loan must still be helped. On the scale of the LTV model.
    """
    composition = composition_of(loan)
    total = composition.total
    ltv = min(loan.ltv, loan.liquidation_ltv)
    if ltv <= target:
        return Decimal(0)
    by_collateral = total * (ltv / target - 1)
    debt = composition.debt(prices)
    by_debt = by_collateral if debt is None else debt * (1 / target - 1 / ltv)
    lesser, greater = sorted((by_collateral, by_debt))
    step = max(lesser, greater / STEPS)
    own = composition.own_ltvs(prices)
    if loan.ltv >= loan.liquidation_ltv and own and max(own) < target:
        # At this LTV it would have been liquidated: the LTV is wrong. By its amounts it stays above `lowest`.
        step = min(step, total * max(Decimal(0), max(own) / lowest - 1))
    return step
