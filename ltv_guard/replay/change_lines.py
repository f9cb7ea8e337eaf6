"""Between which lines of LTV, time and funds nothing can change for a loan, whatever prices do there.

Every line stands a little before the true one: a point too many is looked at, never one too few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

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
    loan's collateral counts for no more.
    """

    high: float
    low: float | None = None
    low_until: float | None = None
    due_ms: int | None = None
    funds: Mapping[str, float] = field(default_factory=dict)


def lines_of(account: ReplayAccount, position: Position, prices: Prices) -> Lines | None:
    """None: at each point something may change."""
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
    """A rescue for which there are no coins, which has been told: it waits for its target, or its end."""
    told = account.rescues[loan.key].told
    pays = policy.repay.enabled and any(account.wallet.get(debt.coin) for debt in loan.debts)
    if Happening.SHORT not in told or pays:
        return None
    smallest = policy.limits.min_adjustment_ratio
    least = float(min(smallest, limits.trigger / limits.target - 1)) * NEARLY
    funds = {held.coin: account.wallet.get(held.coin, Decimal(0)) for held in policy.candidates(loan)}
    if least <= 0:
        return None
    lost = loan.liquidation_ltv if Happening.LOST in told else loan.liquidation_ltv * SAVED
    return Lines(
        high=float(lost) - MARGIN,
        low=float(limits.target * (1 + smallest)) + MARGIN,
        due_ms=due,
        funds={coin: float(amount) / least for coin, amount in funds.items() if amount > 0},
    )


def _due_ms(position: Position) -> int | None:
    """When a fixed loan ends, or is liquidated for that."""
    ends = position.spec.expires_at_ms
    if ends is None:
        return None
    overdue = position.began_ms + position.hours * HOUR_MS > ends
    return ends + (GRACE_MS if overdue else 0) + 1
