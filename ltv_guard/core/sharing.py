"""Which loans ask for which coin of a wallet, and what each may have where it is not enough for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ltv_guard.core.decisions import LoanFacts
from ltv_guard.core.loans import Collateral, LoanKey
from ltv_guard.core.purse import Purse
from ltv_guard.core.rules import thresholds
from ltv_guard.core.scarcity import Claim, shares
from ltv_guard.core.yardstick import Yardstick


def share_out(asking: Sequence[LoanFacts], purse: Purse) -> dict[tuple[LoanKey, str], Decimal]:
    """Coins for each loan that asks, by coin; only for coins that several ask for and that are not enough."""
    found: dict[tuple[LoanKey, str], Decimal] = {}
    by_coin: dict[str, list[Claim]] = {}
    for facts in asking:
        held = _wanted(facts, purse)
        if held is not None and _is_sane(claim := _claim(facts, held, purse)):
            by_coin.setdefault(held.coin, []).append(claim)
    for coin, claims in by_coin.items():
        common = min(limit for limit, _ in purse.limits_on(coin, emergency=False))
        balance = min(limit for limit, _ in purse.limits_on(coin, emergency=True))
        if len(claims) > 1 and sum(claim.at(claim.goal) for claim in claims) > common:
            given = shares(claims, common=common, balance=balance)
            found |= {(key, coin): coins for key, coins in given.items()}
    return found


def _is_sane(claim: Claim) -> bool:
    """Whether it can be reckoned with: one loan's nonsense takes no share from the others."""
    try:
        return claim.goal > 0 and claim.at(claim.goal).is_finite()
    except (ArithmeticError, ValueError):
        return False


def _wanted(facts: LoanFacts, purse: Purse) -> Collateral | None:
    """The coin that the loan asks for: the most wanted one that the wallet has and the exchange takes."""
    yard = Yardstick(loan=facts.loan, prices=purse.prices)
    return next(
        (
            held
            for held in facts.policy.candidates(facts.loan)
            if held.coin not in facts.refused and yard.measures(held) and purse.holds(held.coin)
        ),
        None,
    )


def _claim(facts: LoanFacts, held: Collateral, purse: Purse) -> Claim:
    loan = facts.loan
    limits = thresholds(facts.policy, loan)
    yard = Yardstick(loan=loan, prices=purse.prices)
    return Claim(
        key=loan.key,
        danger=loan.danger,
        goal=limits.target / loan.liquidation_ltv,
        coins_to=lambda level: yard.to_gain(held, yard.missing(level * loan.liquidation_ltv)),
        emergency=loan.ltv >= limits.emergency,
    )
