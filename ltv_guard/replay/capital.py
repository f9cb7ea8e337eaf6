"""How much of a wallet is in use at most."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ltv_guard.replay.position import CENT, ZERO, Prices
from ltv_guard.replay.replay_event import Happening, ReplayEvent

SIGN = {Happening.ADD: 1, Happening.REPAY: 1, Happening.RELEASE: -1}


def capital_usd(events: Iterable[ReplayEvent], prices: Prices) -> Decimal:
    """The most that loans had of the wallet at a time, at these prices."""
    used = most = ZERO
    for event in events:
        if event.what in SIGN and event.amount is not None and event.coin is not None:
            used += SIGN[event.what] * event.amount * prices[event.coin]
            most = max(most, used)
    return most.quantize(CENT)
