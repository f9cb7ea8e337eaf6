"""The nearest that two backtesting libraries can express of a replay, over the same candles.

pip install backtesting vectorbt       in an environment of their own; nothing of this project is needed
python benchmarks/replay_peers.py HOURLY.csv.gz

One coin secures 0.60 of its first price; whenever debt / value reaches 0.75, coins are bought, until 0.65.
They know no loan, no liquidation, no latency and no exchange, and look at the close of a candle alone.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import backtesting
import numpy as np
import pandas as pd
import vectorbt
from backtesting import Backtest, Strategy
from numba import njit
from vectorbt.portfolio import nb
from vectorbt.portfolio.enums import Direction, SizeType

MINUTES = 60
START, TRIGGER, TARGET = 0.60, 0.75, 0.65
CASH = 1e9


def minutes_of(file: str) -> pd.DataFrame:
    """A straight line through each hour."""
    hourly = pd.read_csv(file)
    opens = np.append(hourly["open"].iloc[0], hourly["close"].iloc[:-1])
    along = np.arange(MINUTES + 1) / MINUTES
    prices = np.round(opens[:, None] + (hourly["close"].to_numpy() - opens)[:, None] * along, 2)
    first, last = prices[:, :-1].reshape(-1), prices[:, 1:].reshape(-1)
    times = hourly["timestamp_ms"].to_numpy()[:, None] + 60_000 * np.arange(MINUTES)
    return pd.DataFrame(
        {"Open": first, "High": np.maximum(first, last), "Low": np.minimum(first, last), "Close": last},
        index=pd.to_datetime(times.reshape(-1), unit="ms"),
    )


class TopUp(Strategy):
    """`held` begins with the coin that secures the loan."""

    def init(self) -> None:
        self.held, self.debt = 1.0, START * float(self.data.Open[0])

    def next(self) -> None:
        ltv = self.debt / (self.held * self.data.Close[-1])
        if ltv >= TRIGGER:
            bought = self.held * (ltv / TARGET - 1)
            self.buy(size=max(1, round(bought * 1_000)))  # whole units only: thousandths of a coin
            self.held += bought


def by_backtesting(candles: pd.DataFrame) -> int:
    test = Backtest(candles / 1_000, TopUp, cash=CASH, finalize_trades=True)
    # Prices are of a thousandth of a coin, so the debt is as well: the ratio is the same.
    return int(test.run()["# Trades"])


@njit
def top_up(c: Any, debt: float, trigger: float, target: float) -> Any:  # noqa: ANN401 - vectorbt's own
    held, price = 1.0 + c.position_now, c.close[c.i, c.col]
    ltv = debt / (held * price)
    if ltv < trigger:
        return nb.order_nothing_nb()
    return nb.order_nb(held * (ltv / target - 1), price, SizeType.Amount, Direction.LongOnly)


def by_vectorbt(candles: pd.DataFrame) -> int:
    debt = START * float(candles["Open"].iloc[0])
    found = vectorbt.Portfolio.from_order_func(
        candles["Close"], top_up, debt, TRIGGER, TARGET, init_cash=CASH, freq="1min"
    )
    return int(found.orders.count())


def timed(name: str, run: Any, candles: pd.DataFrame) -> None:  # noqa: ANN401 - one of the two
    began = time.process_time()
    orders = run(candles)
    seconds, count = time.process_time() - began, len(candles)
    print(f"{name:34} {count:9,} candles  {seconds:8.3f} s  {count / seconds / 1e6:8.2f} M/s  {orders} adds")


def main() -> None:
    candles = minutes_of(sys.argv[1])
    by_vectorbt(candles.iloc[:1_000])  # it compiles at first, which is not counted
    timed(f"vectorbt {vectorbt.__version__}", by_vectorbt, candles)
    timed(f"backtesting {backtesting.__version__}", by_backtesting, candles)


if __name__ == "__main__":
    main()
