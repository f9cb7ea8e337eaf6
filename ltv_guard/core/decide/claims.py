"""Which loans ask for which coin of a wallet, and what each may have where it is not enough for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import Yardstick
from ltv_guard.core.decide.allocation import Claim, shares
from ltv_guard.core.decide.budget import Purse
from ltv_guard.core.decide.decision import LoanFacts
from ltv_guard.core.decide.options import best_of, offers
from ltv_guard.core.model.loans import Collateral, Loan, LoanKey
from ltv_guard.core.model.policy import Thresholds, thresholds


def share_out(asking: Sequence[LoanFacts], purse: Purse) -> dict[tuple[LoanKey, str], Decimal]:
    """Coins for each loan that asks, by coin; only for coins that several ask for and that are not enough."""
    found: dict[tuple[LoanKey, str], Decimal] = {}
    by_coin: dict[str, list[Claim]] = {}
    for facts in asking:
        for coin, claim in _claims(facts, purse):
            by_coin.setdefault(coin, []).append(claim)
    for coin, claims in by_coin.items():
        common = min(limit for limit, _ in purse.limits_on(coin, emergency=False))
        balance = min(limit for limit, _ in purse.limits_on(coin, emergency=True))
        if len(claims) > 1 and sum(claim.at(claim.goal) for claim in claims) > common:
            given = shares(claims, common=common, balance=balance)
            found |= {(key, coin): coins for key, coins in given.items()}
    return found


def _claims(facts: LoanFacts, purse: Purse) -> list[tuple[str, Claim]]:
    """The coin that the loan asks for, and its claim; none where it can't be reckoned with.

    One loan's nonsense takes no share from the others.
    """
    try:
        loan = _as_if_landed(facts, purse)
        limits = thresholds(facts.policy, loan)
        yard = Yardstick(loan=loan, prices=purse.prices)
        held = _wanted(facts, limits, yard, purse)
        claim = None if held is None else _claim(facts, limits, yard, held)
    except (ArithmeticError, ValueError):
        return []
    return [] if held is None or claim is None else [(held.coin, claim)]


def _as_if_landed(facts: LoanFacts, purse: Purse) -> Loan:
    """The loan once its open adds are shown: what it asks for next is beyond them."""
    loan = facts.loan
    for item in facts.open_intents:
        held, yard = loan.collateral_in(item.coin), Yardstick(loan=loan, prices=purse.prices)
        is_shown = held is None or held.amount > item.coins_before
        if not is_shown and not yard.is_blind:
            loan = yard.with_change(item.coin, item.amount)
    return loan


def _wanted(facts: LoanFacts, limits: Thresholds, yard: Yardstick, purse: Purse) -> Collateral | None:
    """The coin that it would be given if it were alone."""
    emergency = facts.lifts and yard.loan.ltv >= limits.emergency
    best = best_of(offers(facts, yard, yard.missing(limits.target), purse, emergency=emergency))
    return best.held if best is not None and best.gain > 0 else None


def _claim(facts: LoanFacts, limits: Thresholds, yard: Yardstick, held: Collateral) -> Claim:
    loan = yard.loan

    def coins_to(level: Decimal) -> Decimal:
        return yard.toward(held, yard.missing(level * loan.liquidation_ltv))

    goal = limits.target / loan.liquidation_ltv
    least = yard.toward(held, yard.total * facts.policy.limits.min_adjustment_ratio)
    return Claim(
        key=loan.key,
        danger=yard.highest_ltv / loan.liquidation_ltv,
        goal=goal,
        coins_to=coins_to,
        emergency=facts.lifts and loan.ltv >= limits.emergency,
        least=min(least, coins_to(goal)) if loan.ltv >= limits.trigger else least,
    )
