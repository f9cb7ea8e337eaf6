"""A crash that never was: geometric Brownian motion with jumps, pinned to its fall. No file is needed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.values import number
from ltv_guard.replay.candles import MINUTE_MS, USD, Candles, Floats

BEGINS_MS = 1_577_836_800_000  # 2020-01-01, as good as any
FIRST_PRICES = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0}
OTHER_PRICE = 100.0
PARTS = 4  # a minute is drawn in so many parts, which its candle sums up
NOISE, OWN_NOISE = 0.0012, 0.0004  # of the logarithm, in a minute: of the market, and of each coin
JUMPS, JUMP, JUMP_NOISE = 6, -0.02, 0.01  # on average so many in the whole fall
MOST_HOURS = 24 * 366
MINUTES_PER_HOUR = 60
KEYS = ("fall", "hours", "seed")
EXAMPLE = "fall=0.5,hours=36,seed=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """All coins lose this share of their price within these hours."""

    fall: Decimal
    hours: int
    seed: int = 0


def crash_of(text: str) -> Crash:
    """What `--synthetic fall=0.5,hours=36,seed=1` asks for. Raises ConfigError."""
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    unknown = [key for key in given if key not in KEYS]
    if unknown or "fall" not in given or "hours" not in given:
        raise ConfigError(f"--synthetic {text} can't be read: it must say fall, hours and seed, as {EXAMPLE}")
    try:
        fall, hours, seed = (number(given.get(key, "0"), "36") for key in KEYS)
    except ValueError as error:
        raise ConfigError(f"--synthetic {text}: a value {error}") from None
    if not 0 <= fall < 1:
        raise ConfigError(f"--synthetic {text}: fall must be at least 0 and below 1 (0.5 means 50 %)")
    if not 1 <= hours <= MOST_HOURS or hours % 1 or seed % 1 or seed < 0:
        raise ConfigError(f"--synthetic {text}: hours must be whole, 1 to {MOST_HOURS}; seed a whole number")
    return Crash(fall=fall, hours=int(hours), seed=int(seed))


def synthetic(crash: Crash, coins: Iterable[str]) -> list[Candles]:
    """One-minute candles of each coin that is not a dollar."""
    return [_candles(crash, coin) for coin in coins if coin not in USD]


def _candles(crash: Crash, coin: str) -> Candles:
    minutes = crash.hours * MINUTES_PER_HOUR
    chance = np.random.default_rng(crash.seed)
    steps = minutes * PARTS
    market = chance.normal(0, NOISE / np.sqrt(PARTS), steps)
    jumps = chance.random(steps) < JUMPS / steps
    market += jumps * chance.normal(JUMP, JUMP_NOISE, steps)
    own = np.random.default_rng([crash.seed, zlib.crc32(coin.encode())])
    noise = own.normal(0, OWN_NOISE / np.sqrt(PARTS), steps)
    path = _pinned(market, float(np.log(1 - float(crash.fall)))) + _pinned(noise, 0.0)
    first = FIRST_PRICES.get(coin, OTHER_PRICE)
    prices = np.round(first * np.exp(np.append(0.0, path)), 7 - int(np.ceil(np.log10(first))))
    corners = np.stack([prices[part : part + steps : PARTS][:minutes] for part in range(PARTS)])
    closes = prices[PARTS::PARTS]
    every = np.vstack([corners, closes])
    return Candles(
        coin=coin,
        source=f"synthetic fall={crash.fall},hours={crash.hours},seed={crash.seed}",
        sha256="",
        step_ms=MINUTE_MS,
        times=BEGINS_MS + MINUTE_MS * np.arange(minutes),
        ohlc=np.column_stack([every[0], every.max(axis=0), every.min(axis=0), closes]),
    )


def _pinned(steps: Floats, end: float) -> Floats:
    """The random path of these steps, tilted so that it ends exactly at the fall that was asked for."""
    path = np.cumsum(steps)
    leaned: Floats = path + (end - path[-1]) * np.arange(1, len(path) + 1) / len(path)
    return leaned
