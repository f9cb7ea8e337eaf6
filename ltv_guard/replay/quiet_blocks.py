"""Long stretches in which nothing can change, seen by the lowest and the highest price of each block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import Bools, Floats
from ltv_guard.replay.change_lines import MARGIN, Lines
from ltv_guard.replay.ltv_curve import Curve, debt_along, value_along
from ltv_guard.replay.position import Position
from ltv_guard.replay.tally import Tally

BLOCK = 1_024
AT_ONCE = 4_096  # blocks that are looked at together
Watched = tuple[Position, Lines, Tally]


class QuietBlocks:
    """The extremes of a path. Immutable once made."""

    def __init__(self, path: CandlePath, block: int = BLOCK) -> None:
        self._path = path
        self.size = block
        starts = np.arange(0, len(path.times), block)
        self._lowest = np.minimum.reduceat(path.prices, starts, axis=1)
        self._highest = np.maximum.reduceat(path.prices, starts, axis=1)
        self._starts = path.times[starts]
        self._ends = path.times[np.append(starts[1:], len(path.times)) - 1]

    def passed(self, every: Sequence[Watched], first: int) -> int:
        """Where the first block begins in which something happens or counts; a block begins at `first`."""
        block, end = first // self.size, len(self._starts)
        while block < end:
            last = min(block + AT_ONCE, end)
            quiet = np.ones(last - block, dtype=np.bool_)
            for position, lines, tally in every:
                quiet &= self._is_quiet(position, lines, tally, slice(block, last))
            if not quiet.all():
                return (block + int(np.argmin(quiet))) * self.size
            block = last
        return len(self._path.times)

    def _is_quiet(self, position: Position, lines: Lines, tally: Tally, blocks: slice) -> Bools:
        """For each block: whether all its LTVs stay clear of every line, and below the worst LTV so far."""
        if lines.funds or lines.payments:
            return np.zeros(blocks.stop - blocks.start, dtype=np.bool_)
        exact = self._path.at(blocks.start * self.size)
        low, high = self._curve(self._lowest, blocks), self._curve(self._highest, blocks)
        most = debt_along(position, self._ends[blocks], high) / value_along(position, exact, low)
        least = debt_along(position, self._starts[blocks], low) / value_along(position, exact, high)
        highest = [lines.high, float(tally.worst), *map(float, tally.lines)]
        if lines.low_until is not None:
            highest.append(lines.low_until)
        quiet: Bools = np.asarray(most < min(highest) - MARGIN)
        if lines.low is not None:
            quiet &= least >= lines.low
        if lines.due_ms is not None:
            quiet &= self._ends[blocks] < lines.due_ms
        return quiet

    def _curve(self, extremes: Floats, blocks: slice) -> Curve:
        coins = self._path.coins

        def price(coin: str) -> Floats | float:
            return extremes[coins.index(coin), blocks] if coin in coins else 1.0

        return price
