"""Candles of one pair, in columns. What is wrong with a file is one sentence that names it and the row."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.replay.candle_file import HEADER

COLUMNS = HEADER.split(",")
FIRST_ROW = 2  # the header is row 1
MINUTE_MS = 60_000
LATEST_MS = 2**52
USD = ("USDT", "USDC", "USD")  # what a pair may be quoted in: each counts as a dollar
Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """`times` are when each opens (ms), `ohlc` is (rows, 4): open, high, low, close, in USD a coin."""

    coin: str
    source: str
    sha256: str
    step_ms: int
    times: Times
    ohlc: Floats

    @property
    def ends_ms(self) -> int:
        """When the last candle is over: UTC, ms."""
        return int(self.times[-1]) + self.step_ms

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Where candles are missing: the time of the first that is, and how many."""
        jumps = np.flatnonzero(np.diff(self.times) > self.step_ms)
        return [
            (
                int(self.times[at]) + self.step_ms,
                int(self.times[at + 1] - self.times[at]) // self.step_ms - 1,
            )
            for at in jumps
        ]

    def between(self, start_ms: int, end_ms: int) -> Candles:
        """Those that open from `start_ms` on and before `end_ms`."""
        first, last = np.searchsorted(self.times, [start_ms, end_ms])
        return Candles(
            coin=self.coin,
            source=self.source,
            sha256=self.sha256,
            step_ms=self.step_ms,
            times=self.times[first:last],
            ohlc=self.ohlc[first:last],
        )


def coin_of(pair: str, named_by: str) -> str:
    """The coin that a pair such as BTCUSDT prices. Raises ConfigError."""
    name = pair.strip().upper()
    for quote in USD:
        if name.endswith(quote) and name != quote:
            return name.removesuffix(quote)
    raise ConfigError(f"{named_by} must be a pair against USDT, USDC or USD, such as BTCUSDT")


def pair_in(path: Path) -> str | None:
    """The pair that a file is named after: `btcusdt_5m_...`; None where it is not."""
    found = re.match(r"([a-z0-9]+(?:usdt|usdc|usd))(?=[_.-])", path.name.lower())
    return None if found is None else found[1]


def read_candles(path: Path, pair: str | None = None) -> Candles:
    """A CSV file, or one in gzip. Raises ConfigError."""
    pair = pair or pair_in(path)
    if pair is None:
        raise ConfigError(f"{path} does not say which pair it holds: name it with --pair, such as BTCUSDT")
    data = _bytes(path)
    lines = _lines(path, data)
    table = _table(path, lines)
    times = np.clip(np.nan_to_num(table[:, 0]), -1, LATEST_MS).astype(np.int64)
    _check(path, table, times)
    return Candles(
        coin=coin_of(pair, f"the pair {pair} of {path}"),
        source=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        step_ms=_grid(times),
        times=times,
        ohlc=np.ascontiguousarray(table[:, 1:]),
    )


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except FileNotFoundError:
        raise ConfigError(f"the file of prices {path} does not exist") from None
    except (OSError, EOFError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not gzip that can be read"
        raise ConfigError(f"the file of prices {path} can't be read ({reason})") from None


def _lines(path: Path, data: bytes) -> list[str]:
    try:
        lines = data.decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8; is it the right file?") from None
    if not lines:
        raise ConfigError(f"{path} is empty: it must hold {HEADER}, then a row for each candle")
    if lines[0].replace(" ", "") != HEADER:
        raise ConfigError(f"{path} row 1 must be {HEADER}")
    if len(lines) == 1:
        raise ConfigError(f"{path} holds no candle below its header")
    return lines[1:]


def _table(path: Path, lines: list[str]) -> Floats:
    try:
        table = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2, dtype=np.float64)
    except ValueError:
        table = np.empty((0, 0))
    if table.shape != (len(lines), len(COLUMNS)):
        raise ConfigError(_first_odd(path, lines))
    return table


def _first_odd(path: Path, lines: list[str]) -> str:
    for row, line in enumerate(lines, FIRST_ROW):
        cells = line.split(",")
        if len(cells) != len(COLUMNS):
            return f"{path} row {row} has {len(cells)} columns: it must have {len(COLUMNS)}, {HEADER}"
        for name, cell in zip(COLUMNS, cells, strict=True):
            try:
                float(cell)
            except ValueError:
                return f"{path} row {row}: {name} is no number"
    return f"{path} is not a table of numbers"


def _grid(times: Times) -> int:
    """The length of a candle: what most rows are apart."""
    steps, counts = np.unique(np.diff(times), return_counts=True)
    counts = counts[steps > 0]
    return int(steps[steps > 0][np.argmax(counts)]) if len(counts) else MINUTE_MS


def _check(path: Path, table: Floats, times: Times) -> None:
    for complaint, wrong in _complaints(table, times).items():
        if wrong.any():
            raise ConfigError(f"{path} row {int(np.argmax(wrong)) + FIRST_ROW}: {complaint}")


def _complaints(table: Floats, times: Times) -> dict[str, Bools]:
    """What may be wrong with rows, each with the rows where it is."""
    prices, steps = table[:, 1:], np.diff(times, prepend=times[:1] - 1)
    grid = _grid(times)
    crossed = (prices[:, [2]] > prices) | (prices[:, [1]] < prices)
    return {
        "a number is missing (NaN) or infinite": ~np.isfinite(table).all(axis=1),
        "a price is zero or negative": (prices <= 0).any(axis=1),
        "its timestamp is no time in ms since 1970": (times != table[:, 0]) | (times < 0),
        "low is above, or high below, another of its prices": crossed.any(axis=1),
        "its timestamp is that of the row above": steps == 0,
        "its timestamp is before that of the row above: sort the rows": steps < 0,
        f"it is off the grid of {grid // 1000} s that most rows keep": np.append(
            False, steps[1:] % grid != 0
        ),
    }
