"""LTVs, prices and capital over time, thinned for a chart: no low and no high is lost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import Floats, Times
from ltv_guard.replay.ltv_curve import debt_along, value_along
from ltv_guard.replay.position import Position

Line = tuple[Times, Floats]


def ltv_line(history: Sequence[tuple[int, Position]], path: CandlePath, buckets: int) -> Line:
    """A loan's LTV from its start to the end of the path, or of the loan."""
    ends = [*history[1:], (path.ends_ms, history[-1][1])]
    parts = [
        _part(position, path, since, until)
        for (since, position), (until, _) in zip(history, ends, strict=True)
        if not position.lost
    ]
    times, ltvs = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return thinned(times, ltvs, buckets)


def price_line(path: CandlePath, coin: str, buckets: int) -> Line:
    """The coin's price (USD) over the window, thinned to about `buckets` points."""
    return thinned(path.times, path.prices[path.coins.index(coin)], buckets)


def thinned(times: Times, values: Floats, buckets: int) -> Line:
    """The lowest and the highest of each bucket, in their order, and both ends."""
    if len(times) <= 2 * buckets:
        return times, values
    edges = np.linspace(0, len(times), buckets + 1).astype(np.int64)
    kept = {0, len(times) - 1}
    for first, last in pairwise(edges.tolist()):
        kept |= {first + int(values[first:last].argmin()), first + int(values[first:last].argmax())}
    chosen = np.array(sorted(kept))
    return times[chosen], values[chosen]


def _part(position: Position, path: CandlePath, since: int, until: int) -> Line:
    """From one change of the loan to the next: at the change itself the price is that of the point before."""
    first, last = np.searchsorted(path.times, [since, until])
    own = np.arange(first, last)
    if first == len(path.times) or path.times[first] != since:
        own = np.concatenate([[first - 1], own])
    times = np.maximum(path.times[own], since)

    def price(coin: str) -> Floats | float:
        return path.prices[path.coins.index(coin), own] if coin in path.coins else 1.0

    value = value_along(position, path.at(int(own[0])), price)
    ltv = np.broadcast_to(debt_along(position, times, price) / value, times.shape)
    return times, np.asarray(ltv, dtype=np.float64)
