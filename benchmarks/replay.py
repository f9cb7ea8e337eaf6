"""How fast a replay is: loan-candles a second for one loan over five years of one-minute candles.

python benchmarks/replay.py HOURLY.csv.gz     hourly candles of BTC, walked through minute by minute

Beside it the same policy in a plain Python loop over the same candles, in floats and without the exchange.
"""

from __future__ import annotations

import resource
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.replay.candle_path import CandlePath, candle_path
from ltv_guard.replay.candles import Candles, read_candles
from ltv_guard.replay.loan_spec import ORDER_LINES, LoanSpec
from ltv_guard.replay.one_replay import Case, played

MINUTES, MINUTE_MS = 60, 60_000
TRIGGER, TARGET, LIQUIDATION = 0.75, 0.65, 0.95


def minutes_of(hourly: Candles) -> Candles:
    """A straight line through each hour."""
    closes = hourly.ohlc[:, 3]
    opens = np.append(hourly.ohlc[0, 0], closes[:-1])
    rows = np.empty((len(closes), MINUTES, 4))
    for minute in range(MINUTES):
        first, last = (np.round(opens + (closes - opens) * at / MINUTES, 2) for at in (minute, minute + 1))
        rows[:, minute] = np.column_stack([first, np.maximum(first, last), np.minimum(first, last), last])
    times = (hourly.times[:, None] + MINUTE_MS * np.arange(MINUTES)).reshape(-1)
    return Candles(coin="BTC", source="", sha256="", step_ms=MINUTE_MS, times=times, ohlc=rows.reshape(-1, 4))


def order_at(ltv: str) -> LoanSpec:
    return LoanSpec(
        key=LoanKey(Product.LEGACY, "1"),
        collateral={"BTC": Decimal(1)},
        debts={"USDT": Decimal(0)},
        start_ltv=Decimal(ltv),
        initial_ltv=ORDER_LINES[0],
        margin_call_ltv=ORDER_LINES[1],
        liquidation_ltv=ORDER_LINES[2],
    )


def show(name: str, candles: int, seconds: float, note: str) -> None:
    print(f"{name:34} {candles:9,} candles  {seconds:8.3f} s  {candles / seconds / 1e6:8.2f} M/s  {note}")


def replayed(name: str, path: CandlePath, ltv: str, wallet: str) -> None:
    case = Case(loans=[order_at(ltv)], wallet={"BTC": Decimal(wallet)})
    began = time.process_time()
    account = played(case, path)
    show(name, path.candles, time.process_time() - began, f"{len(account.events)} events")


def plain_loop(minutes: Candles, ltv: float) -> None:
    debt, held, adds = ltv * float(minutes.ohlc[0, 0]), 1.0, 0
    began = time.process_time()
    for row in minutes.ohlc.tolist():
        for price in row:
            now = debt / (held * price)
            if now >= LIQUIDATION:
                break
            if now >= TRIGGER:
                held, adds = held * now / TARGET, adds + 1
    show("a plain loop in floats", len(minutes.times), time.process_time() - began, f"{adds} adds")


def main() -> None:
    minutes = minutes_of(read_candles(Path(sys.argv[1])))
    began = time.process_time()
    path = candle_path([minutes])
    print(f"{len(path.times):,} points, made in {time.process_time() - began:.2f} s")
    replayed("little happens (LTV 0.25)", path, "0.25", "0")
    replayed("three rescues (LTV 0.60)", path, "0.60", "5")
    day_ms, start = 86_400_000, int(minutes.times[0])
    crash = candle_path([minutes.between(start + 128 * day_ms, start + 144 * day_ms)])
    replayed("the crash of May 2021 (LTV 0.60)", crash, "0.60", "5")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    plain_loop(minutes, 0.60)


if __name__ == "__main__":
    main()
