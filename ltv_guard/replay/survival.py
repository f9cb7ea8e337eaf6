"""From how many start times the loans survive, against the size of the wallet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import Bools
from ltv_guard.replay.one_replay import Case, lost, played, with_wallet

SIZES = tuple(Decimal(size) for size in ("0", "0.25", "0.5", "0.75", "1", "1.5", "2", "4"))
MOST_STARTS = 200
RESAMPLES = 1_000
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """From what share of starts no loan is lost with the wallet times `size`; 95 % are in `low` to `high`."""

    size: Decimal
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """`starts`: from how many times it was played, evenly spaced; `skipped`: where a loan is lost at once."""

    shares: Sequence[Share]
    starts: int
    skipped: int


def survival(
    case: Case,
    path: CandlePath,
    tell: Callable[[int, int], None] = lambda *_: None,
    most: int = MOST_STARTS,
) -> Survival:
    """Plays from each start to the end of the path. `tell` hears which start of how many it is.

    `most`: so many starts, evenly spaced; each candle's, where there are no more of them.
    """
    starts = _starts(path, most)
    found = []
    for number, start in enumerate(starts, 1):
        tell(number, len(starts))
        smallest = _smallest(case, from_point(path, start))
        if smallest is not None:
            found.append(smallest)
    survived = np.array([[at <= size for at in found] for size in range(len(SIZES))], dtype=np.bool_)
    shares = (
        [_share(size, row, case.seed) for size, row in zip(SIZES, survived, strict=True)] if found else []
    )
    return Survival(shares=shares, starts=len(found), skipped=len(starts) - len(found))


def from_point(path: CandlePath, point: int) -> CandlePath:
    """The rest of a path."""
    return replace(path, times=path.times[point:], prices=path.prices[:, point:])


def _starts(path: CandlePath, most: int) -> list[int]:
    """Points, evenly spaced in time; each at the first price from then on."""
    ends = path.ends_ms
    count = min(most, path.candles)
    wanted = np.linspace(int(path.times[0]), ends, count, endpoint=False)
    return sorted({int(point) for point in np.searchsorted(path.times, wanted)})


def _smallest(case: Case, path: CandlePath) -> int | None:
    """The index of the smallest size that survives, `len(SIZES)` if none; None: a loan is lost at once."""
    low, high = 0, len(SIZES)
    while low < high:
        middle = (low + high) // 2
        wallet = {coin: amount * SIZES[middle] for coin, amount in case.wallet.items()}
        try:
            gone = lost(played(with_wallet(case, wallet), path))
        except ConfigError:
            return None
        low, high = (middle + 1, high) if gone else (low, middle)
    return low


def _share(size: Decimal, survived: Bools, seed: int) -> Share:
    """With the interval of a bootstrap of blocks: starts that lie near each other share their crash."""
    count = len(survived)
    block = max(1, round(count**0.5))
    chance = np.random.default_rng(seed)
    firsts = chance.integers(0, count, (RESAMPLES, -(-count // block)))
    lengths = np.full(firsts.shape[1], block)
    lengths[-1] -= lengths.sum() - count  # the last is as long as is left of it
    so_far = np.concatenate(([0], np.cumsum(np.tile(survived, 2))))
    alive = (so_far[firsts + lengths] - so_far[firsts]).sum(axis=1)
    low, high = np.percentile(alive / count, INTERVAL)
    return Share(size=size, share=float(survived.mean()), low=float(low), high=float(high))
