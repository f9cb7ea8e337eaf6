"""Where along a path of prices anything may change: found in floats, with a margin, and never too late.

What is skipped is tallied as well. Where a float is too near a line to tell, the exact LTV is reckoned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import Bools, Floats
from ltv_guard.replay.change_lines import MARGIN, Lines, lines_of
from ltv_guard.replay.ltv_curve import debt_along, value_along
from ltv_guard.replay.position import Position
from ltv_guard.replay.quiet_blocks import QuietBlocks, Watched
from ltv_guard.replay.replay_account import ReplayAccount

ALIKE = 1e-9
FIRST_CHUNK, LARGEST_CHUNK = 512, 65_536


class NextChange:
    """Finds the next point. What it passes over is added to the account's tallies."""

    def __init__(self, account: ReplayAccount, path: CandlePath, chunk: int, block: int) -> None:
        self._account = account
        self._path = path
        self._chunk = chunk
        self._quiet = QuietBlocks(path, block)

    def after(self, point: int) -> int:
        """The first point after `point` at which anything may change; the number of points if none."""
        account, path = self._account, self._path
        following, end = point + 1, len(path.times)
        if not account.living and account.wakes_at is None:
            return end
        lines = [lines_of(account, position, path.at(point)) for position in account.living]
        if account.wakes_at is not None or None in lines:
            return following
        every = [
            (position, item, account.tallies[position.spec.key])
            for position, item in zip(account.living, lines, strict=True)
            if item is not None
        ]
        size = self._chunk
        while following < end:
            last = self._chunk_end(following, size)
            hit = self._look_ahead(every, following, last)
            if hit is not None:
                return hit
            following, size = self._over_quiet(every, last), min(2 * size, LARGEST_CHUNK)
        return end

    def _chunk_end(self, first: int, size: int) -> int:
        """Where a chunk of about that size ends: large ones where a block does."""
        last = first + size
        aligned = last - last % self._quiet.size if size >= self._quiet.size else last
        return min(aligned, len(self._path.times))

    def _over_quiet(self, every: Sequence[Watched], first: int) -> int:
        """Past the quiet blocks that begin at `first`; there is nothing in them to tally."""
        if first % self._quiet.size or first >= len(self._path.times):
            return first
        following = self._quiet.passed(every, first)
        if following > first:
            path = self._path
            until = int(path.times[following]) if following < len(path.times) else path.ends_ms
            for _, _, tally in every:
                tally.passed(int(path.times[first]))
                tally.last, tally.last_ms = None, until
        return following

    def _look_ahead(self, every: Sequence[Watched], first: int, last: int) -> int | None:
        """The first of these points at which anything may change; what is before it is tallied."""
        path = self._path
        hits = np.zeros(last - first, dtype=np.bool_)
        found = []

        def price(coin: str) -> Floats | float:
            return path.prices[path.coins.index(coin), first:last] if coin in path.coins else 1.0

        for position, lines, _ in every:
            value = np.broadcast_to(value_along(position, path.at(first), price), hits.shape)
            debt = debt_along(position, path.times[first:last], price)
            ltv = debt / value
            hits |= self._may_change(lines, ltv, first)
            for coin, worth in lines.funds.items():
                hits |= worth * price(coin) >= value
            for coin, worth in lines.payments.items():
                hits |= worth * price(coin) >= debt
            found.append((position, ltv))
        passed = int(np.argmax(hits)) if hits.any() else last - first
        for position, ltv in found:
            self._tally(position, ltv[:passed], first)
        return first + passed if hits.any() else None

    def _may_change(self, lines: Lines, ltv: Floats, first: int) -> Bools:
        hits: Bools = ltv >= lines.high
        if lines.low is not None:
            hits |= ltv < lines.low
        if lines.low_until is not None:
            hits |= ltv >= lines.low_until
        if lines.due_ms is not None:
            hits |= self._path.times[first : first + len(ltv)] >= lines.due_ms
        return hits

    def _tally(self, position: Position, ltv: Floats, first: int) -> None:
        """Counts the points that are skipped exactly as if the core had seen each of them."""
        if not len(ltv):
            return
        tally, path = self._account.tallies[position.spec.key], self._path
        last = first + len(ltv)
        tally.passed(int(path.times[first]))
        tally.last, tally.last_ms = None, int(path.times[last]) if last < len(path.times) else path.ends_ms
        if float(ltv.max()) < float(min(tally.worst, *tally.lines)) - MARGIN:
            return
        spans = np.diff(path.times[first:last], append=tally.last_ms)
        unsure = _worst(ltv, float(tally.worst) - MARGIN)
        for line in tally.lines:
            unsure |= np.abs(ltv - float(line)) <= MARGIN
        sure = ~unsure
        tally.above_trigger_ms += int(spans[sure & (ltv >= float(tally.trigger))].sum())
        tally.above_emergency_ms += int(spans[sure & (ltv >= float(tally.emergency))].sum())
        tally.above_margin_call_ms += int(spans[sure & (ltv >= float(tally.margin_call))].sum())
        shadow = position.copy()
        for at in np.flatnonzero(unsure):
            shadow.accrue(int(path.times[first + at]))
            exact = shadow.shown_ltv(path.at(first + int(at)))
            tally.worst = max(tally.worst, exact)
            tally.add(exact, int(spans[at]))


def _worst(ltv: Floats, beyond: float) -> Bools:
    """The points that may have the worst LTV so far, one of each value; none below `beyond`."""
    found = np.zeros(len(ltv), dtype=np.bool_)
    near = np.flatnonzero(ltv >= max(float(ltv.max()) * (1 - ALIKE), beyond))
    found[near[np.unique(ltv[near], return_index=True)[1]]] = True
    return found
