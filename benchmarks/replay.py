"""How fast a replay is: loan-candles a second for one loan over five years of one-minute candles.

python benchmarks/replay.py HOURLY.csv.gz     hourly candles of BTC, walked through minute by minute
python benchmarks/replay.py FRONTIER...       files of candles: a loan of each, and the fine frontier of them

Beside it the same policy in a plain Python loop over the same candles, in floats and without the exchange;
`replay_peers.py` has other people's libraries over the same candles. All seconds but those of a frontier are
of CPU. A frontier's are of the clock, and nothing else may run.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.replay.candle_path import CandlePath, candle_path
from ltv_guard.replay.candles import Candles, read_candles
from ltv_guard.replay.frontier import frontier, undominated
from ltv_guard.replay.loan_spec import ORDER_LINES, LoanSpec
from ltv_guard.replay.one_replay import Case, played
from ltv_guard.replay.policy_grid import FINE

MINUTES, MINUTE_MS = 60, 60_000
CORES = 2
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


def order_at(ltv: str, coin: str = "BTC") -> LoanSpec:
    return LoanSpec(
        key=LoanKey(Product.LEGACY, coin),
        collateral={coin: Decimal(1)},
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


def one_loan(file: Path) -> None:
    minutes = minutes_of(read_candles(file))
    began = time.process_time()
    path = candle_path([minutes])
    print(f"{len(path.times):,} points, made in {time.process_time() - began:.2f} s")
    replayed("little happens (LTV 0.25)", path, "0.25", "0")
    replayed("three rescues (LTV 0.60)", path, "0.60", "5")
    day_ms, start = 86_400_000, int(minutes.times[0])
    crash = candle_path([minutes.between(start + 128 * day_ms, start + 144 * day_ms)])
    replayed("the crash of May 2021 (LTV 0.60)", crash, "0.60", "5")
    print(f"peak memory {peak_mb(resource.RUSAGE_SELF):.0f} MB")
    plain_loop(minutes, 0.60)


def fine_frontier(files: Sequence[Path]) -> None:
    """A loan of each coin at an LTV of 0.60, and a wallet of half of what secures them."""
    path = candle_path([read_candles(file) for file in files])
    wallet = {coin: Decimal("0.5") for coin in path.coins}
    case = Case(loans=[order_at("0.60", coin) for coin in path.coins], wallet=wallet)
    began = time.perf_counter()
    points = frontier(case, path, grid=FINE, cores=CORES)
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    best, summed = undominated(points), time.perf_counter() - began - seconds
    print(f"{len(points):,} points of {len(path.coins)} loans and {path.candles:,} candles: {seconds:.1f} s,")
    print(f"{seconds / len(points) * 10_000:.1f} s for 10,000; {used.ru_utime + used.ru_stime:.0f} s of CPU")
    print(f"{len(best)} that none beats, found in {summed:.2f} s")
    print(
        f"peak memory {peak_mb(resource.RUSAGE_SELF):.0f} MB, and {peak_mb(resource.RUSAGE_CHILDREN):.0f} MB"
    )


def peak_mb(whose: int) -> float:
    """Of a process, or of the largest of its children."""
    return resource.getrusage(whose).ru_maxrss / 1024


def main() -> None:
    files = [Path(word) for word in sys.argv[1:]]
    if len(files) == 1:
        one_loan(files[0])
    else:
        fine_frontier(files)


if __name__ == "__main__":
    main()
