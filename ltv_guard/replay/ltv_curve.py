"""What a loan's collateral counts for and what it owes along many prices: in floats, for looking ahead."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ltv_guard.replay.candles import Floats, Times
from ltv_guard.replay.position import HOUR_MS, OVERDUE_FACTOR, Position, Prices

Curve = Callable[[str], Floats | float]


def value_along(position: Position, exact: Prices, price: Curve) -> Floats | float:
    """USD that the collateral counts for at each price. Haircuts go by coins: any `exact` prices do."""
    counted = [float(position.counted(coin, exact) / exact[coin]) * price(coin) for coin in position.held]
    return sum(counted, 0.0)


def debt_along(position: Position, times: Times, price: Curve) -> Floats | float:
    """What is owed at these times, with the interest that is charged by then."""
    owed = [
        float(amount) * _growth(position, coin, times) * price(coin) for coin, amount in position.owed.items()
    ]
    return sum(owed, 0.0)


def _growth(position: Position, coin: str, times: Times) -> Floats | float:
    """By what factor interest has grown a debt at each time. All times are on one side of the end."""
    rate, owed = float(position.spec.hourly_rate), float(position.owed[coin])
    if not rate or not owed:
        return 1.0
    if position.is_overdue(int(times[0])):
        rate *= OVERDUE_FACTOR
    hours = ((times - position.began_ms) // HOUR_MS - position.hours).astype(np.float64)
    if position.spec.is_pool:
        return np.asarray((1 + rate) ** hours, dtype=np.float64)
    share = float(position.bearing[coin]) / owed
    return np.asarray(1 + rate * share * hours, dtype=np.float64)
