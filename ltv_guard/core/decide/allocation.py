"""Who gets the coins when the wallet can't bring every loan to its target. Pure.

The worst danger is lowered first: nobody's distance to liquidation is raised at the cost of a loan that is
already nearer to it. Like water poured into vessels that stand at different heights: all that are reached end
level. `docs/scarce_funds.md` has the formula and a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import LoanKey

HALVINGS = 56  # of the level's interval: far below what any coin's accuracy shows
SAVED = Decimal("0.999")  # of the liquidation LTV: a loan that can't be brought below it is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A loan in rescue. Danger is LTV / liquidation LTV.

    `coins_to` gives the coins that bring its danger down to a level, fewer as the level rises; `goal` is the
    danger at its target. `emergency` claims may draw on the reserve too. Fewer coins than `least` are of no
    use to it.
    """

    key: LoanKey
    danger: Decimal
    goal: Decimal
    coins_to: Callable[[Decimal], Decimal]
    emergency: bool = False
    least: Decimal = Decimal(0)

    def at(self, level: Decimal) -> Decimal:
        """Coins that it takes at a common `level`: none where it is better already, never beyond its goal."""
        return Decimal(0) if level >= self.danger else self.coins_to(max(level, self.goal))


def shares(claims: Sequence[Claim], *, common: Decimal, balance: Decimal) -> dict[LoanKey, Decimal]:
    """Coins for each claim. `common` is there for all; emergencies share the whole `balance`.

    Loans that the coins can't save take nothing from those that they can. A share that is too small to be of
    use is left to the others.
    """
    sharing = _saveable(claims, common=common, balance=balance) or list(claims)
    found = _level(sharing, common=common, balance=balance)
    while useless := [claim for claim in sharing if 0 < found[claim.key] < claim.least]:
        sharing.remove(min(useless, key=lambda claim: (found[claim.key] / claim.least, claim.key)))
        found = _level(sharing, common=common, balance=balance)
    return {claim.key: found.get(claim.key, Decimal(0)) for claim in claims}


def _saveable(claims: Sequence[Claim], *, common: Decimal, balance: Decimal) -> list[Claim]:
    """As many as can be saved together: those first that it takes least to save."""
    found: list[Claim] = []
    for claim in sorted(claims, key=lambda claim: (claim.at(SAVED), claim.key)):
        price = claim.at(SAVED)
        if price <= (balance if claim.emergency else min(common, balance)):
            found.append(claim)
            balance -= price
            common -= Decimal(0) if claim.emergency else price
    return found


def _level(claims: Sequence[Claim], *, common: Decimal, balance: Decimal) -> dict[LoanKey, Decimal]:
    calm = [claim for claim in claims if not claim.emergency]
    urgent = [claim for claim in claims if claim.emergency]
    together = _lowest(
        claims, lambda level: _taken(calm, level) <= common and _taken(claims, level) <= balance
    )
    calm_shares = {claim.key: claim.at(together) for claim in calm}
    # Where the reserve holds the calm ones up, the urgent ones go on with what is left.
    rest = balance - sum(calm_shares.values(), Decimal(0))
    alone = _lowest(urgent, lambda level: _taken(urgent, level) <= rest)
    return calm_shares | {claim.key: claim.at(alone) for claim in urgent}


def _taken(claims: Iterable[Claim], level: Decimal) -> Decimal:
    return sum((claim.at(level) for claim in claims), Decimal(0))


def _lowest(claims: Sequence[Claim], fits: Callable[[Decimal], bool]) -> Decimal:
    """The lowest level that fits: the goals of all where funds are enough."""
    if not claims:
        return Decimal(1)
    low = min(claim.goal for claim in claims)
    high = max(claim.danger for claim in claims)
    if fits(low):
        return low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return high
