"""From candles to the points that prices go through: the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.replay.candles import USD, Candles, Floats, Times

STRIDE = 0.01  # between the points of a candle a price walks in steps of at most this
DIGITS = 8  # of a price on the way: what is made up is not told to more
ONE = Decimal(1)
OPEN, HIGH, LOW, CLOSE = range(4)
CORNERS = 4
PIECE = 16_384  # candles that are worked on together


@dataclass(frozen=True, slots=True, kw_only=True)
class CandlePath:
    """A price holds from its point until the next one. Dollars are worth 1.

    `prices` is (coins, points), `coins` names the rows. `ends_ms`: when the last point's price ends to hold.
    """

    coins: tuple[str, ...]
    times: Times
    prices: Floats
    ends_ms: int
    candles: int
    gaps: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict)

    def at(self, point: int) -> dict[str, Decimal]:
        """USD a coin, exactly as the file has it."""
        found = {coin: ONE for coin in USD if coin not in self.coins}
        for row, coin in enumerate(self.coins):
            found[coin] = Decimal(repr(float(self.prices[row, point])))
        return found


def candle_path(every: Sequence[Candles], *, worst_first: bool = False) -> CandlePath:
    """The points of candles of several coins, side by side. Raises ConfigError where they don't match.

    A rising candle goes open, low, high, close; a falling one open, high, low, close; `worst_first`: always
    the low first.
    """
    steps = {candles.step_ms for candles in every}
    if len(steps) > 1:
        kinds = ", ".join(f"{item.coin} {item.step_ms // 1000} s ({item.source})" for item in every)
        raise ConfigError(f"the candles are not equally long: {kinds}; give files of one length")
    (step_ms,) = steps
    times = every[0].times
    for candles in every[1:]:
        times = np.intersect1d(times, candles.times, assume_unique=True)
    if not len(times):
        raise ConfigError("the files have no candle at the same time")
    digits = [DIGITS - int(np.ceil(np.log10(candles.ohlc.max()))) for candles in every]
    walks = _walks(every, times, step_ms, worst_first=worst_first)
    at = np.empty(sum(int(walk.strides.sum()) for walk in walks()), dtype=np.int64)
    prices = np.empty((len(every), len(at)))
    filled = 0
    for walk in walks():
        piece, walked = _walked(walk, digits)
        at[filled : filled + len(piece)] = piece
        prices[:, filled : filled + len(piece)] = walked
        filled += len(piece)
    return CandlePath(
        coins=tuple(candles.coin for candles in every),
        times=at,
        prices=prices,
        ends_ms=int(times[-1]) + step_ms,
        candles=len(times),
        gaps={candles.coin: candles.gaps for candles in every if candles.gaps},
    )


def _corners(candles: Candles, times: Times, *, worst_first: bool) -> Floats:
    """Four prices a candle, in the order in which they come."""
    rows = candles.ohlc[np.searchsorted(candles.times, times)]
    low_first = (rows[:, CLOSE] >= rows[:, OPEN]) | worst_first
    second = np.where(low_first, rows[:, LOW], rows[:, HIGH])
    third = np.where(low_first, rows[:, HIGH], rows[:, LOW])
    return np.column_stack([rows[:, OPEN], second, third, rows[:, CLOSE]]).reshape(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """The corners of some candles: prices by coin; in how many steps each of them leads to the next."""

    times: Times
    corners: Floats
    strides: Times


def _walks(
    every: Sequence[Candles], times: Times, step_ms: int, *, worst_first: bool
) -> Callable[[], Iterator[_Walk]]:
    """Piece by piece, as often as asked: memory is for the points alone."""
    thirds = np.array([0, step_ms // 3, 2 * step_ms // 3, step_ms - 1])

    def walks() -> Iterator[_Walk]:
        for first in range(0, len(times), PIECE):
            piece = times[first : first + PIECE]
            corners = np.stack([_corners(candles, piece, worst_first=worst_first) for candles in every])
            at = (piece[:, None] + thirds).reshape(-1)
            yield _Walk(times=at, corners=corners, strides=_strides(corners))

    return walks


def _strides(corners: Floats) -> Times:
    moves = np.abs(np.diff(np.log(corners), axis=1)).max(axis=0)
    strides = np.maximum(1, np.ceil(moves / STRIDE - 1e-9)).astype(np.int64)
    strides[CORNERS - 1 :: CORNERS] = 1  # from one candle to the next it leaps
    return np.append(strides, 1)


def _walked(walk: _Walk, digits: Sequence[int]) -> tuple[Times, Floats]:
    """With the points in between, where a price moves by more than a stride within a candle."""
    times, corners, strides = walk.times, walk.corners, walk.strides
    if strides.max() == 1:
        return times, corners
    origin = np.repeat(np.arange(len(times)), strides)
    gone = np.arange(len(origin)) - np.repeat(np.cumsum(strides) - strides, strides)
    share = gone / strides[origin]
    after = np.minimum(origin + 1, len(times) - 1)
    at = times[origin] + ((times[after] - times[origin]) * share).astype(np.int64)
    prices = corners[:, origin] + (corners[:, after] - corners[:, origin]) * share
    rounded = np.stack([np.round(row, places) for row, places in zip(prices, digits, strict=True)])
    return at, np.where(gone > 0, rounded, corners[:, origin])
