"""Where along a path of prices anything may change: found in floats, with a margin, and never too late.

What is skipped is tallied as well. Where a float is too near a line to tell, the exact LTV is reckoned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import Bools, Floats
from ltv_guard.replay.change_lines import MARGIN, Lines, lines_of
from ltv_guard.replay.position import HOUR_MS, OVERDUE_FACTOR, Position
from ltv_guard.replay.replay_account import ReplayAccount

ALIKE = 1e-9
FIRST_CHUNK, LARGEST_CHUNK = 256, 65_536


class NextChange:
    """Finds the next point. What it passes over is added to the account's tallies."""

    def __init__(self, account: ReplayAccount, path: CandlePath) -> None:
        self._account = account
        self._path = path

    def after(self, point: int) -> int:
        """The first point after `point` at which anything may change; the number of points if none."""
        account, path = self._account, self._path
        following, end = point + 1, len(path.times)
        if not account.living and account.wakes_at is None:
            return end
        lines = [lines_of(account, position, path.at(point)) for position in account.living]
        if account.wakes_at is not None or None in lines:
            return following
        every = [(position, item) for position, item in zip(account.living, lines, strict=True) if item]
        size = FIRST_CHUNK
        while following < end:
            last = min(following + size, end)
            hit = self._look_ahead(every, following, last)
            if hit is not None:
                return hit
            following, size = last, min(2 * size, LARGEST_CHUNK)
        return end

    def _look_ahead(self, every: Sequence[tuple[Position, Lines]], first: int, last: int) -> int | None:
        """The first of these points at which anything may change; what is before it is tallied."""
        hits = np.zeros(last - first, dtype=np.bool_)
        found = []
        for position, lines in every:
            value = self._value(position, first, last)
            ltv = self._debt(position, first, last) / value
            hits |= self._may_change(lines, ltv, value, first)
            found.append((position, ltv))
        passed = int(np.argmax(hits)) if hits.any() else last - first
        for position, ltv in found:
            self._tally(position, ltv[:passed], first)
        return first + passed if hits.any() else None

    def _may_change(self, lines: Lines, ltv: Floats, value: Floats, first: int) -> Bools:
        last = first + len(ltv)
        hits: Bools = ltv >= lines.high
        if lines.low is not None:
            hits |= ltv < lines.low
        if lines.low_until is not None:
            hits |= ltv >= lines.low_until
        if lines.due_ms is not None:
            hits |= self._path.times[first:last] >= lines.due_ms
        for coin, worth in lines.funds.items():
            hits |= worth * self._price(coin, first, last) >= value
        return hits

    def _value(self, position: Position, first: int, last: int) -> Floats:
        """What the collateral counts for at these points: as many coins of each, whatever their price."""
        prices = self._path.at(first)
        value = np.zeros(last - first)
        for coin in position.held:
            counted = float(position.counted(coin, prices) / prices[coin])
            value += counted * self._price(coin, first, last)
        return value

    def _debt(self, position: Position, first: int, last: int) -> Floats:
        """What is owed at these points, with the interest of their time."""
        debts = np.zeros(last - first)
        for coin, owed in position.owed.items():
            debts += float(owed) * self._growth(position, coin, first, last) * self._price(coin, first, last)
        return debts

    def _growth(self, position: Position, coin: str, first: int, last: int) -> Floats | float:
        """By what factor a debt has grown from what was charged last."""
        rate, owed = float(position.spec.hourly_rate), float(position.owed[coin])
        if not rate or not owed:
            return 1.0
        if position.is_overdue(int(self._path.times[first])):
            rate *= OVERDUE_FACTOR
        hours = (self._path.times[first:last] - position.began_ms) // HOUR_MS - position.hours
        if position.spec.is_pool:
            return np.asarray((1 + rate) ** hours.astype(np.float64), dtype=np.float64)
        share = float(position.bearing[coin]) / owed
        return np.asarray(1 + rate * share * hours, dtype=np.float64)

    def _price(self, coin: str, first: int, last: int) -> Floats | float:
        if coin not in self._path.coins:
            return 1.0
        prices: Floats = self._path.prices[self._path.coins.index(coin), first:last]
        return prices

    def _tally(self, position: Position, ltv: Floats, first: int) -> None:
        """What is passed over, as if it had been looked at point by point."""
        if not len(ltv):
            return
        tally, path = self._account.tallies[position.spec.key], self._path
        last = first + len(ltv)
        tally.passed(int(path.times[first]))
        tally.last = None
        ends = np.append(
            path.times[first + 1 : last], path.times[last] if last < len(path.times) else path.ends_ms
        )
        spans = ends - path.times[first:last]
        unsure = _worst(ltv, float(tally.worst) - MARGIN)
        for line in (tally.trigger, tally.margin_call):
            unsure |= np.abs(ltv - float(line)) <= MARGIN
        sure = ~unsure
        tally.above_trigger_ms += int(spans[sure & (ltv >= float(tally.trigger))].sum())
        tally.above_margin_call_ms += int(spans[sure & (ltv >= float(tally.margin_call))].sum())
        shadow = position.copy()
        for at in np.flatnonzero(unsure):
            shadow.accrue(int(path.times[first + at]))
            exact = shadow.shown_ltv(path.at(first + int(at)))
            tally.worst = max(tally.worst, exact)
            tally.add(exact, int(spans[at]))
        tally.last_ms = int(ends[-1])


def _worst(ltv: Floats, beyond: float) -> Bools:
    """The points of which one is the worst, once each; none where no LTV is beyond."""
    found = np.zeros(len(ltv), dtype=np.bool_)
    near = np.flatnonzero(ltv >= max(float(ltv.max()) * (1 - ALIKE), beyond))
    found[near[np.unique(ltv[near], return_index=True)[1]]] = True
    return found
