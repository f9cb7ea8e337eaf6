"""The files of prices that a replay needs, cut to its window. What is missing is told in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.replay.candles import USD, Candles, coin_of, pair_in, read_candles

ENDINGS = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpan:
    """From when on, and until when; None: as far as there are prices. In ms since 1970."""

    start_ms: int | None = None
    end_ms: int | None = None


def candles_for(
    coins: Iterable[str], paths: Sequence[Path], window: TimeSpan, pair: str | None = None
) -> list[Candles]:
    """The candles of each coin that is not a dollar. Raises ConfigError."""
    files = list(_files(paths, pair))
    return [_of_coin(coin, files, window) for coin in coins if coin not in USD]


def _files(paths: Sequence[Path], pair: str | None) -> Iterable[tuple[Path, str]]:
    """Files with the pair that each is of; of a folder, those that are named after one."""
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else []
        for file in inside:
            found = pair_in(file)
            if found is not None and file.name.endswith(ENDINGS):
                yield file, found
        if path.is_dir():
            continue
        if not path.exists():
            raise ConfigError(f"{path} does not exist")
        named = pair or pair_in(path)
        if named is None:
            raise ConfigError(f"{path} does not say which pair it holds: name it with --pair, as BTCUSDT")
        yield path, named


def _of_coin(coin: str, files: Sequence[tuple[Path, str]], window: TimeSpan) -> Candles:
    own = [(path, pair) for path, pair in files if coin_of(pair, f"the pair {pair} of {path}") == coin]
    if not own:
        there = ", ".join(sorted({coin_of(pair, "--pair") for _, pair in files})) or "none"
        raise ConfigError(f"there are no prices of {coin}: --prices must name a file of it (there: {there})")
    read = [read_candles(path, pair) for path, pair in own]
    cut = [candles.between(*_bounds(candles, window)) for candles in read]
    left = sorted((item for item in cut if len(item.times)), key=lambda item: int(item.times[0]))
    if not left:
        raise ConfigError(f"no candle of {coin} is in the window: {_ranges(read)}")
    whole = _joined(coin, left)
    _check_window(coin, whole, window, read)
    return whole


def _bounds(candles: Candles, window: TimeSpan) -> tuple[int, int]:
    start = int(candles.times[0]) if window.start_ms is None else window.start_ms
    return start, candles.ends_ms if window.end_ms is None else window.end_ms


def _joined(coin: str, parts: Sequence[Candles]) -> Candles:
    """Pieces one after the other as one."""
    for one, other in pairwise(parts):
        if other.times[0] < one.ends_ms or other.step_ms != one.step_ms:
            raise ConfigError(
                f"{one.source} and {other.source} both hold prices of {coin}: name one with --prices, or a "
                "--start and an --end that only one of them covers"
            )
    if len(parts) == 1:
        return parts[0]
    return Candles(
        coin=coin,
        source=" + ".join(part.source for part in parts),
        sha256=" + ".join(part.sha256 for part in parts),
        step_ms=parts[0].step_ms,
        times=np.concatenate([part.times for part in parts]),
        ohlc=np.concatenate([part.ohlc for part in parts]),
    )


def _check_window(coin: str, whole: Candles, window: TimeSpan, read: Sequence[Candles]) -> None:
    early = window.start_ms is not None and window.start_ms <= int(whole.times[0]) - whole.step_ms
    late = window.end_ms is not None and window.end_ms > whole.ends_ms
    if early or late:
        raise ConfigError(f"the window reaches beyond the prices of {coin}: {_ranges(read)}")


def _ranges(read: Sequence[Candles]) -> str:
    return ", ".join(f"{item.source} has {_utc(int(item.times[0]))} to {_utc(item.ends_ms)}" for item in read)


def _utc(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"
