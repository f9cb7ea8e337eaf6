"""Which loans ask for which coin of a wallet, and what each may have where it is not enough for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.amounts.once_landed import once_landed
from ltv_guard.core.decide.allocation import Claim, shares
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import tightest
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.decide.options import best_of
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.decide.top_up import top_up_options
from ltv_guard.core.decide.urgency import urgency_of
from ltv_guard.core.model.loans import Collateral, Direction, LoanKey


def share_out(asking: Sequence[LoanFacts], budget: FundsBudget) -> dict[tuple[LoanKey, str], Decimal]:
    """Coins for each loan that asks, by coin; only for coins that several ask for and that are not enough."""
    return {} if is_plenty(asking, budget) else divided(asking, budget)


def is_plenty(asking: Sequence[LoanFacts], budget: FundsBudget) -> bool:
    """Whether each coin is enough for all that could ask for it, whoever else is helped: seen at a glance.

    Of orders alone, whose amounts need no price. In doubt False: then it is reckoned loan by loan.
    """
    most: dict[str, Decimal] = {}
    try:
        for facts in asking:
            if facts.loan.is_pool or len(facts.loan.collateral) != 1:
                return False
            held = facts.loan.collateral[0]
            needed = LtvModel(loan=facts.loan).missing(facts.urgency.limits.target)
            most[held.coin] = most.get(held.coin, Decimal(0)) + needed + held.step
        return all(sum_ <= tightest(budget.limits_on(coin, emergency=False)) for coin, sum_ in most.items())
    except (ArithmeticError, ValueError):
        return False


def divided(asking: Sequence[LoanFacts], budget: FundsBudget) -> dict[tuple[LoanKey, str], Decimal]:
    """As `share_out`, loan by loan."""
    found: dict[tuple[LoanKey, str], Decimal] = {}
    by_coin: dict[str, list[Claim]] = {}
    for facts in asking:
        for coin, claim in _claims(facts, budget):
            by_coin.setdefault(coin, []).append(claim)
    for coin, claims in by_coin.items():
        common = tightest(budget.limits_on(coin, emergency=False))
        balance = tightest(budget.limits_on(coin, emergency=True))
        if len(claims) > 1 and sum(claim.at(claim.goal) for claim in claims) > common:
            given = shares(claims, common=common, balance=balance)
            found |= {(key, coin): coins for key, coins in given.items()}
    return found


def asks(facts: LoanFacts) -> bool:
    """Whether the loan is about to be given collateral."""
    free = facts.policy.protect and not facts.open_intents and facts.freshness.fresh
    held_up = not facts.episode_open and not facts.urgency.emergency and facts.is_resting
    return free and facts.in_rescue and not held_up


def will_ask(facts: LoanFacts) -> bool:
    """Whether it waits for an add of its own, not for long: its share of the coins is kept for it."""
    adding = facts.settling and all(item.direction is Direction.ADD for item in facts.open_intents)
    return facts.policy.protect and adding and facts.in_rescue


def _claims(facts: LoanFacts, budget: FundsBudget) -> list[tuple[str, Claim]]:
    """The coin that the loan asks for, and its claim; none where it can't be reckoned with.

    One loan's nonsense takes no share from the others.
    """
    try:
        need = _need_once_landed(facts, budget)
        held = _wanted(need, budget)
        claim = None if held is None else _claim(need, held)
    except (ArithmeticError, ValueError):
        return []
    return [] if held is None or claim is None else [(held.coin, claim)]


def _need_once_landed(facts: LoanFacts, budget: FundsBudget) -> Shortfall:
    """What the loan needs once its open adds are shown: what it asks for next is beyond them."""
    loan = once_landed(facts.loan, facts.open_intents, budget.prices)
    urgency = urgency_of(loan, facts.urgency.limits, lifts=facts.lifts)
    model = LtvModel(loan=loan, prices=budget.prices)
    return Shortfall(facts=facts, urgency=urgency, model=model, value=model.missing(urgency.limits.target))


def _wanted(need: Shortfall, budget: FundsBudget) -> Collateral | None:
    """The coin that it would be given if it were alone."""
    best = best_of(top_up_options(need, budget))
    return need.loan.collateral_in(best.coin) if best is not None and best.gain > 0 else None


def _claim(need: Shortfall, held: Collateral) -> Claim:
    loan, model = need.model.loan, need.model

    def coins_to(level: Decimal) -> Decimal:
        return model.toward(held, model.missing(level * loan.liquidation_ltv))

    goal = need.limits.target / loan.liquidation_ltv
    least = model.toward(held, need.least_in_calm)
    return Claim(
        key=loan.key,
        danger=model.highest_ltv / loan.liquidation_ltv,
        goal=goal,
        coins_to=coins_to,
        emergency=need.emergency,
        least=min(least, coins_to(goal)) if need.urgency.breach else least,
    )
