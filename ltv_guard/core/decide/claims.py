"""Which loans ask for which coin of a wallet, and what each may have where it is not enough for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.decide.allocation import Claim, shares
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.decision import LoanFacts
from ltv_guard.core.decide.options import best_of, top_up_options
from ltv_guard.core.model.loans import Collateral, Loan, LoanKey
from ltv_guard.core.model.policy import Thresholds, thresholds


def share_out(asking: Sequence[LoanFacts], budget: FundsBudget) -> dict[tuple[LoanKey, str], Decimal]:
    """Coins for each loan that asks, by coin; only for coins that several ask for and that are not enough."""
    found: dict[tuple[LoanKey, str], Decimal] = {}
    by_coin: dict[str, list[Claim]] = {}
    for facts in asking:
        for coin, claim in _claims(facts, budget):
            by_coin.setdefault(coin, []).append(claim)
    for coin, claims in by_coin.items():
        common = min(limit for limit, _ in budget.limits_on(coin, emergency=False))
        balance = min(limit for limit, _ in budget.limits_on(coin, emergency=True))
        if len(claims) > 1 and sum(claim.at(claim.goal) for claim in claims) > common:
            given = shares(claims, common=common, balance=balance)
            found |= {(key, coin): coins for key, coins in given.items()}
    return found


def _claims(facts: LoanFacts, budget: FundsBudget) -> list[tuple[str, Claim]]:
    """The coin that the loan asks for, and its claim; none where it can't be reckoned with.

    One loan's nonsense takes no share from the others.
    """
    try:
        loan = _as_if_landed(facts, budget)
        limits = thresholds(facts.policy, loan)
        model = LtvModel(loan=loan, prices=budget.prices)
        held = _wanted(facts, limits, model, budget)
        claim = None if held is None else _claim(facts, limits, model, held)
    except (ArithmeticError, ValueError):
        return []
    return [] if held is None or claim is None else [(held.coin, claim)]


def _as_if_landed(facts: LoanFacts, budget: FundsBudget) -> Loan:
    """The loan once its open adds are shown: what it asks for next is beyond them."""
    loan = facts.loan
    for item in facts.open_intents:
        held, model = loan.collateral_in(item.coin), LtvModel(loan=loan, prices=budget.prices)
        is_shown = held is None or held.amount > item.coins_before
        if not is_shown and not model.is_blind:
            loan = model.with_change(item.coin, item.amount)
    return loan


def _wanted(facts: LoanFacts, limits: Thresholds, model: LtvModel, budget: FundsBudget) -> Collateral | None:
    """The coin that it would be given if it were alone."""
    emergency = facts.lifts and model.loan.ltv >= limits.emergency
    best = best_of(top_up_options(facts, model, model.missing(limits.target), budget, emergency=emergency))
    return best.held if best is not None and best.gain > 0 else None


def _claim(facts: LoanFacts, limits: Thresholds, model: LtvModel, held: Collateral) -> Claim:
    loan = model.loan

    def coins_to(level: Decimal) -> Decimal:
        return model.toward(held, model.missing(level * loan.liquidation_ltv))

    goal = limits.target / loan.liquidation_ltv
    least = model.toward(held, model.total * facts.policy.limits.min_adjustment_ratio)
    return Claim(
        key=loan.key,
        danger=model.highest_ltv / loan.liquidation_ltv,
        goal=goal,
        coins_to=coins_to,
        emergency=facts.lifts and loan.ltv >= limits.emergency,
        least=min(least, coins_to(goal)) if loan.ltv >= limits.trigger else least,
    )
