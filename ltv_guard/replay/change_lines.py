"""Between which lines of LTV, time and funds nothing can change for a loan, whatever prices do there.

Each line is drawn a little early: some points are looked at for nothing, and none that matters is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ltv_guard.core.decide.allocation import SAVED
from ltv_guard.core.model.loans import Loan
from ltv_guard.core.model.maturity import GRACE_MS
from ltv_guard.core.model.policy import LoanPolicy, Thresholds, thresholds
from ltv_guard.replay.position import HOUR_MS, Position, Prices
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.replay_event import Happening

MARGIN = 1e-4  # of LTV: more than it is rounded by, and than floats err
NEARLY = 0.98  # of what makes an add worth a call: prices of a pool are shown in cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """At or above `high` an LTV may change something, and below `low`; `low_until`: or at or above that.

    `due_ms`: at or after it, too. `funds`: coin -> so much of it, times its price, is worth an add where the
    loan's collateral counts for no more; `payments`: the same of repaying, where no more is owed.
    """

    high: float
    low: float | None = None
    low_until: float | None = None
    due_ms: int | None = None
    funds: Mapping[str, float] = field(default_factory=dict)
    payments: Mapping[str, float] = field(default_factory=dict)


def lines_of(account: ReplayAccount, position: Position, prices: Prices) -> Lines | None:
    """The lines of a loan as it is now. None: it has to be looked at at every point."""
    loan, due = position.shown(prices), _due_ms(position)
    policy = account.rulebook.policy_for(loan)
    limits, liquidated = thresholds(policy, loan), float(loan.liquidation_ltv) - MARGIN
    if not policy.protect:
        return Lines(high=liquidated, due_ms=due)
    if account.is_in_rescue(loan.key):
        return _beside_an_empty_wallet(account, loan, policy, limits, due)
    high, since = min(float(limits.trigger), liquidated) - MARGIN, account.low_since.get(loan.key)
    if not policy.reduce.enabled:
        return Lines(high=high, due_ms=due)
    low = float(limits.release_trigger)
    if since is None:
        return Lines(high=high, low=low + MARGIN, due_ms=due)
    ripe = [] if account.is_one_in_rescue else [since + policy.reduce.after_ms]
    due = min([*ripe, *([] if due is None else [due])], default=None)
    return Lines(high=high, low_until=low - MARGIN, due_ms=due)


def _beside_an_empty_wallet(
    account: ReplayAccount, loan: Loan, policy: LoanPolicy, limits: Thresholds, due: int | None
) -> Lines | None:
    """A rescue for which there are no coins, which has been told: it waits for its target, or its end.

    What is worth a call is a part of the collateral, or of the debt; or what ends a breach, if that is less.
    """
    if policy.repay_with_collateral.enabled and loan.is_pool:
        return None
    told, smallest = account.rescues[loan.key].told, policy.limits.min_adjustment_ratio
    least_add = float(min(smallest, limits.trigger / limits.target - 1)) * NEARLY
    least_payment = float(min(smallest, 1 - limits.target / limits.trigger)) * NEARLY
    if Happening.SHORT not in told or min(least_add, least_payment) <= 0:
        return None
    owed = {debt.coin for debt in loan.debts} if policy.repay.enabled else set()
    wallet = {coin: float(amount) for coin, amount in account.wallet.items() if amount > 0}
    wanted = {held.coin for held in policy.candidates(loan)}
    lost = loan.liquidation_ltv if Happening.LOST in told else loan.liquidation_ltv * SAVED
    return Lines(
        high=float(lost) - MARGIN,
        low=float(limits.target * (1 + smallest)) + MARGIN,
        due_ms=due,
        funds={coin: amount / least_add for coin, amount in wallet.items() if coin in wanted},
        payments={coin: amount / least_payment for coin, amount in wallet.items() if coin in owed},
    )


def _due_ms(position: Position) -> int | None:
    """When a fixed loan changes by itself (ms): at its end, then at its liquidation as overdue."""
    ends = position.spec.expires_at_ms
    if ends is None:
        return None
    overdue = position.began_ms + position.hours * HOUR_MS > ends
    return ends + (GRACE_MS if overdue else 0) + 1
