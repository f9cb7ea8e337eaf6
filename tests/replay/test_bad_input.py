"""What can't be replayed, from the command line: one sentence that names file and row, and exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from replay_cases import MINUTE, START

from ltv_guard.cli.replay import command
from ltv_guard.replay.candles import HEADER

LOAN = "loans: [{collateral_coin: BTC, collateral_amount: 1, loan_coin: USDT, start_ltv: 0.60}]\n"
POOL = "loans: [{product: crypto_loan, collateral: {BTC: 1, ETH: 1}, debts: {USDT: 100}}]\n"
GOOD = "100,101,99,100"


def rows(*prices: str, at: tuple[int, ...] | None = None) -> str:
    minutes = at or range(len(prices))
    lines = [f"{START + MINUTE * minute},{price}" for minute, price in zip(minutes, prices, strict=True)]
    return "\n".join([HEADER, *lines, ""])


def replay(folder: Path, prices: str, loans: str = LOAN, *words: str) -> Result:
    (folder / "btcusdt_1m.csv").write_text(prices)
    (folder / "loans.yaml").write_text(loans)
    given = ("--loans", str(folder / "loans.yaml"), "--prices", str(folder / "btcusdt_1m.csv"))
    return CliRunner().invoke(command, [*given, *words])


def refusal(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("ltv-guard: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        ("", "is empty"),
        (HEADER + "\n", "holds no candle below its header"),
        (rows(GOOD, GOOD, at=(1, 0)), "row 3: its timestamp is before that of the row above"),
        (rows(GOOD, GOOD, at=(1, 1)), "row 3: its timestamp is that of the row above"),
        (rows(GOOD, "100,NaN,99,100"), "row 3: a number is missing (NaN)"),
        (rows(GOOD, GOOD, "0,101,0,100"), "row 4: a price is zero or negative"),
        (rows("100,101,-99,100"), "row 2: a price is zero or negative"),
        ("time,price\n1,2\n", "row 1 must be timestamp_ms,open,high,low,close"),
        (rows(GOOD, "100,101,99"), "row 3 has 4 columns"),
    ],
)
def test_a_bad_file_of_prices_is_named_with_its_row(tmp_path: Path, prices: str, says: str) -> None:
    said = refusal(replay(tmp_path, prices))
    assert "btcusdt_1m.csv " in said
    assert says in said


def test_a_pair_without_prices_a_window_outside_of_them_and_a_loan_that_is_lost_already(
    tmp_path: Path,
) -> None:
    good = rows(GOOD, GOOD)
    said = refusal(replay(tmp_path, good, POOL))
    assert "there are no prices of ETH: --prices must name a file of it (there: BTC)" in said
    said = refusal(replay(tmp_path, good, LOAN, "--start", "2019-01-01"))
    assert "the window reaches beyond the prices of BTC: btcusdt_1m.csv has 2023-11-14 22:00" in said
    said = refusal(replay(tmp_path, good, LOAN, "--start", "2024-01-01"))
    assert "no candle of BTC is in the window: btcusdt_1m.csv has 2023-11-14 22:00" in said
    said = refusal(replay(tmp_path, good, LOAN.replace("0.60", "0.96")))
    assert "loans.yaml: the loan 1 has an LTV of 0.9600 at the first price" in said
    said = refusal(replay(tmp_path, good, LOAN.replace("start_ltv: 0.60", "debt: -1")))
    assert "loans.yaml: loans.0.debt must be 0 or more coins" in said


def test_gaps_are_no_error_and_are_told_in_the_report(tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    result = replay(tmp_path, rows(*[GOOD] * 4, at=(0, 1, 5, 6)), LOAN, "--html", str(html))
    assert result.exit_code == 0
    assert "BTC: 3 candles are missing in 1 places, the first 2023-11-14 22:02" in result.output
    report = html.read_text()
    assert "Candles that are missing" in report
    assert "<td>2023-11-14T22:02:00.000Z</td><td>3</td>" in report
