"""An exchange that shows its prices late, and liquidates by them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.position import Prices


def with_late_points(path: CandlePath, lag_ms: int) -> CandlePath:
    """The same prices, with one more point wherever the exchange begins to show an earlier price."""
    shown = path.times + lag_ms
    times = np.union1d(path.times, shown[shown < path.ends_ms])
    points = np.searchsorted(path.times, times, side="right") - 1
    return replace(path, times=times, prices=path.prices[:, points])


def shown_late(path: CandlePath, lag_ms: int) -> Callable[[int], Prices]:
    """The prices that are shown at a time: before the first one has come through, that one."""

    def at(now_ms: int) -> Prices:
        return path.at(max(0, int(np.searchsorted(path.times, now_ms - lag_ms, side="right")) - 1))

    return at
