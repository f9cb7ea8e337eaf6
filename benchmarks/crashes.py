"""What real crashes do to a loan, with and without a guard: the table of docs/replay.md.

python benchmarks/crashes.py FOLDER     files of candles, as docs/replay.md says what they hold
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.replay.candle_path import candle_path
from ltv_guard.replay.candles import pair_in, read_candles
from ltv_guard.replay.least_wallet import least_wallet
from ltv_guard.replay.loan_spec import ORDER_LINES, LoanSpec
from ltv_guard.replay.one_replay import Case, lost, played, played_unguarded
from ltv_guard.replay.replay_event import Happening

START_LTV = Decimal("0.60")
PLENTY = Decimal(100)


def row(file: Path) -> str:
    """One file as a line of the table: an order of one coin against dollars."""
    candles = read_candles(file)
    path = candle_path([candles])
    loan = LoanSpec(
        key=LoanKey(Product.LEGACY, "1"),
        collateral={candles.coin: Decimal(1)},
        debts={"USDT": Decimal(0)},
        start_ltv=START_LTV,
        initial_ltv=ORDER_LINES[0],
        margin_call_ltv=ORDER_LINES[1],
        liquidation_ltv=ORDER_LINES[2],
    )
    case = Case(loans=[loan], wallet={candles.coin: PLENTY})
    guarded, twin = played(case, path), played_unguarded(case, path)
    (tally,), (of_twin,) = guarded.tallies.values(), twin.tallies.values()
    adds = [event for event in guarded.events if event.what is Happening.ADD]
    added = sum((event.amount or Decimal(0) for event in adds), Decimal(0))
    least = least_wallet(case, path)
    fall = 1 - candles.ohlc[:, 2].min() / candles.ohlc[0, 0]
    cells = (
        file.name.removesuffix(".gz").removesuffix(".csv"),
        f"{fall:.0%}",
        "liquidated" if lost(twin) else f"{of_twin.worst:.4f}",
        "liquidated" if lost(guarded) else f"{tally.worst:.4f}",
        str(len(adds)),
        f"{added:.4f}",
        "none saves it" if least is None else f"{least.get(candles.coin, Decimal(0)):.4f}",
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    print("| file | deepest fall | unguarded | guarded: worst LTV | adds | added | least wallet |")
    print("|---|---|---|---|---|---|---|")
    for file in sorted(Path(sys.argv[1]).iterdir()):
        if pair_in(file) is not None:
            print(row(file), flush=True)


if __name__ == "__main__":
    main()
